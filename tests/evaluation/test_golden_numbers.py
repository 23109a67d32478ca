"""Published numbers of CIFAR-10 over the official Inception weights; needs both, and hours on a CPU.

Source of the numbers: torch-fidelity's README (TensorFlow's originals are 11.24 and 3.1508).
"""

import os
from pathlib import Path

import pytest
import torch
from torchvision.datasets import CIFAR10

from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.extractors.inception_features import InceptionFeatures
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.classifier_score import ClassifierScore
from genexp.evaluation.metrics.frechet import FrechetDistance
from genexp.evaluation.scores import Generated, Score
from genexp.tensors import to_float

WEIGHTS = "GENEXP_TEST_INCEPTION"
DATA = "GENEXP_TEST_CIFAR10"
MISSING = [
    f"{name} must name {what}"
    for name, what, present in (
        (WEIGHTS, "the file weights-inception-2015-12-05-6726825d.pth", Path(os.environ.get(WEIGHTS, "")).is_file()),
        (DATA, "a folder with cifar-10-batches-py", Path(os.environ.get(DATA, ""), "cifar-10-batches-py").is_dir()),
    )
    if not present
]

pytestmark = [pytest.mark.weights, pytest.mark.skipif(bool(MISSING), reason="; ".join(MISSING))]


def images_of(split: str, device: torch.device) -> ImageSet:
    """A split of CIFAR-10 as its archive holds it."""
    data = torch.from_numpy(CIFAR10(os.environ[DATA], train=split == "train").data).movedim(3, 1)

    def batches():
        return ({"image": to_float(part.to(device))} for part in data.split(100))

    return ImageSet(split, split, len(data), (3, 32, 32), batches)


@pytest.fixture(scope="module")
def scores() -> dict[str, Score]:
    """The train split measured against the test split."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train, test = (images_of(split, device) for split in ("train", "test"))
    metrics = {"fid": FrechetDistance(), "is": ClassifierScore(splits=10)}
    evaluator = Evaluator(InceptionFeatures(os.environ[WEIGHTS]), metrics)
    reference = evaluator.reference(test)
    return evaluator.scores(
        evaluator.summarise(train.batches()), reference, Generated(train.count, 0, "none", "cifar10 train")
    )


def test_the_distance_between_the_splits_is_the_published_one_and_is_called_fid(scores):
    assert scores["fid"].value.value == pytest.approx(3.1508, abs=0.01)


def test_the_interval_lies_below_the_biased_value(scores):
    draws = scores["fid"].value.draws
    assert len(draws) == 20
    assert 0 < sum(draws) / len(draws) < scores["fid"].value.value


def test_the_inception_score_of_the_train_split_is_the_published_one(scores):
    value = scores["classifier_score/inception@6726825d"].value
    assert value.value == pytest.approx(11.24, abs=0.03)
    assert value.details["split_std"] == pytest.approx(0.2, abs=0.15)
