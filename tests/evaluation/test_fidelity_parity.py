"""The same numbers as torch-fidelity on the same images and the same (random) Inception weights."""

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.extractors.inception_features import InceptionFeatures
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.classifier_score import ClassifierScore
from genexp.evaluation.metrics.frechet import FrechetDistance
from genexp.evaluation.metrics.kernel import KernelDistance
from genexp.evaluation.metrics.precision_recall import PrecisionRecall
from genexp.tensors import to_float

COUNT = 8


class Images(Dataset):
    """What torch-fidelity takes: uint8 tensors (3, H, W)."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        return self.images[row]


def pictures(seed, contrast):
    """Random textures of different coarseness and colour, so that random features tell them apart."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for number in range(COUNT):
        side = 2 ** (1 + number % 5)
        coarse = torch.rand(3, side, side, generator=generator) * contrast + (1 - contrast) * torch.rand(
            3, 1, 1, generator=generator
        )
        found.append(coarse.repeat_interleave(32 // side, 1).repeat_interleave(32 // side, 2))
    return torch.stack(found).mul(255).round().byte()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights in torch-fidelity's format, scaled so that signals neither vanish nor explode on the way up."""
    from torch_fidelity import feature_extractor_inceptionv3 as port

    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(port, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(port.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = port.FeatureExtractorInceptionV3("inception-v3-compat", ["64"])
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        nn.init.normal_(network.fc.weight, std=0.3)
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def sides():
    return pictures(0, 0.9), pictures(1, 0.6)


@pytest.fixture(scope="module")
def theirs(weights, sides):
    import torch_fidelity

    generated, real = sides
    return torch_fidelity.calculate_metrics(
        input1=Images(generated),
        input2=Images(real),
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=weights,
        feature_layer_fid="64",
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        isc_splits=1,
        kid_subsets=1,
        kid_subset_size=COUNT,
        prc_neighborhood=3,
        batch_size=8,
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )


@pytest.fixture(scope="module")
def ours(weights, sides):
    generated, real = sides
    metrics = {
        "fid": FrechetDistance(InceptionFeatures(weights, 64)),
        "kid": KernelDistance(),
        "is": ClassifierScore(),
        "pr": PrecisionRecall(),
    }
    evaluator = Evaluator(InceptionFeatures(weights), metrics)
    reference = evaluator.reference(ImageSet("real", "x", COUNT, (3, 32, 32), lambda: [{"image": to_float(real)}]))
    found = evaluator.values(evaluator.summarise([{"image": to_float(generated)}]), reference)
    return {name: value for values in found.values() for name, value in values.items()}


@pytest.mark.parametrize(
    ("name", "their_name"),
    [
        ("fd", "frechet_inception_distance"),
        ("kid", "kernel_inception_distance_mean"),
        ("classifier_score", "inception_score_mean"),
        ("precision", "precision"),
        ("recall", "recall"),
    ],
)
def test_values_are_those_of_torch_fidelity(ours, theirs, name, their_name):
    assert ours[name].value == pytest.approx(theirs[their_name], rel=1e-4)
