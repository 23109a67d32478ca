"""How the feature metrics move on digits with known faults, and that each can be chosen by its name."""

import pytest
from hydra.utils import instantiate

from genexp.config.compose import compose
from genexp.data.datamodule import ImageData
from genexp.data.digits import Digits
from genexp.evaluation.canaries import CANARIES, RealImages, moved
from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.extractors.classifiers import ClassifierFeatures
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.classifier_score import ClassifierScore
from genexp.evaluation.metrics.duplicates import Duplicates
from genexp.evaluation.metrics.kernel import KernelDistance
from genexp.evaluation.metrics.memorisation import Memorisation
from genexp.evaluation.metrics.modes import Modes, PointModes
from genexp.evaluation.metrics.precision_recall import DensityCoverage, PrecisionRecall
from genexp.evaluation.metrics.recognised import Recognised
from genexp.evaluation.metrics.vendi import Vendi
from genexp.evaluation.uncertainty import interval

METRICS = {
    "kid": KernelDistance,
    "classifier_score": ClassifierScore,
    "precision_recall": PrecisionRecall,
    "density_coverage": DensityCoverage,
    "vendi": Vendi,
    "modes": Modes,
    "memorisation": Memorisation,
    "recognised": Recognised,
    "duplicates": Duplicates,
}
PROMISES = [(name, canary) for name, metric in METRICS.items() for canary in metric.reacts if canary in CANARIES]


@pytest.fixture(scope="module")
def measured():
    """Values of the held-out digits and of every canary: {canary: {metric: {value name: Value}}}."""
    data = ImageData(Digits(), shape=[1, 8, 8], num_classes=10, batch_size=64)
    train, test = RealImages.gathered(data.reference("train")), RealImages.gathered(data.eval_loader("test"))
    metrics = {name: metric() for name, metric in METRICS.items()}
    evaluator = Evaluator(ClassifierFeatures("digits_classifier"), metrics)
    reference = evaluator.reference(ImageSet("train", "x", len(train.image), (1, 8, 8), train.batches))
    sets = {"held_out": test} | {name: canary(test, train) for name, canary in CANARIES.items()}
    found = {name: evaluator.values(evaluator.summarise(images.batches()), reference) for name, images in sets.items()}
    as_reference = evaluator.reference(ImageSet("test", "y", len(test.image), (1, 8, 8), test.batches))
    return found | {"swapped": evaluator.values(evaluator.summarise(train.batches()), as_reference)}


@pytest.mark.parametrize(("name", "canary"), PROMISES)
def test_every_value_of_a_metric_moves_as_promised(measured, name, canary):
    real, faulty = measured["held_out"][name], measured[canary][name]
    for value_name, better in METRICS[name].values.items():
        aim = real[value_name].details.get("real", 0.0) if better == "reference" else 0.0
        found = moved(better, aim, real[value_name].value, faulty[value_name].value)
        assert found == METRICS[name].reacts[canary], (value_name, real[value_name].value, faulty[value_name].value)


def test_exchanging_real_and_generated_exchanges_precision_and_recall_and_leaves_the_distance(measured):
    one, other = measured["held_out"], measured["swapped"]
    assert other["kid"]["kid"].value == pytest.approx(one["kid"]["kid"].value, rel=1e-6)
    assert other["precision_recall"]["precision"].value == one["precision_recall"]["recall"].value
    assert other["precision_recall"]["recall"].value == one["precision_recall"]["precision"].value
    assert one["precision_recall"]["recall"].value != one["precision_recall"]["precision"].value


def test_what_each_is_there_for_is_seen_clearly(measured):
    real = measured["held_out"]

    def of(canary, metric, value):
        return measured[canary][metric][value].value

    assert of("collapse", "precision_recall", "recall") < 0.2 < real["precision_recall"]["recall"].value
    assert of("collapse", "density_coverage", "coverage") < 0.2 < real["density_coverage"]["coverage"].value
    assert of("missing_class", "modes", "modes") == 9
    assert of("missing_class", "modes", "mode_kl") == pytest.approx(0.105, abs=0.02)
    assert of("duplicates", "memorisation", "authenticity") == 0
    assert of("duplicates", "memorisation", "ct") < -10
    assert of("duplicates", "memorisation", "nearest_ratio") == 0
    assert abs(real["memorisation"]["ct"].value) < 2
    assert of("collapse", "vendi", "vendi") < 0.9 * real["vendi"]["vendi"].value
    distance = real["kid"]["kid"]
    assert of("noise", "kid", "kid") > distance.value + 5 * interval(distance.draws).error


@pytest.mark.parametrize(
    ("name", "expected"),
    [*((name, metric) for name, metric in METRICS.items()), ("point_modes", PointModes)],
)
def test_each_is_chosen_by_its_name(name, expected):
    data = ["data=toy2d", "data.source.kind=grid", "data.source.scale=2"] if name == "point_modes" else []
    config = compose("train", ["model=diffusion", *data, f"metrics={name}"])
    assert list(config.metrics) == [name]
    metric = instantiate(config.metrics[name])
    assert isinstance(metric, expected)
    assert metric.extractor is None
    if name == "point_modes":
        assert metric.centres.startswith("25@")


def test_several_are_chosen_together_and_stacked_digits_have_their_extractor():
    config = compose("train", ["model=diffusion", "metrics=[fd,kid,vendi]", "extractor=stacked_digits"])
    assert set(config.metrics) == {"fd", "kid", "vendi"}
    assert instantiate(config.extractor).dimensions == 192
