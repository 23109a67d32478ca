import math

import pytest
import torch

from genexp.data.digits import Digits
from genexp.data.stacked_digits import StackedDigits
from genexp.data.toy2d import Toy2d
from genexp.evaluation.extractors.classifiers import StackedDigitFeatures
from genexp.evaluation.extractors.untrained import Coordinates, RandomFeatures
from genexp.evaluation.metrics.modes import Modes, PointModes, divergence, toy_centres
from genexp.evaluation.protocol import describe
from genexp.evaluation.summaries import FeatureStore
from genexp.tensors import to_float


class Believing:
    """An extractor whose features are the logits themselves."""

    name = "believing"

    @staticmethod
    def logits(features):
        return features


def store(features):
    found = FeatureStore(features.shape[1])
    found.update(features, torch.arange(len(features)))
    return found


def classes(*numbers, count=10):
    return torch.eye(count)[list(numbers)]


def measure(metric, generated, real, extractor=Believing):
    return metric.compute(store(generated), metric.prepare(store(real), extractor))


def test_modes_are_the_classes_that_appear():
    real = classes(*range(10)).repeat(10_000, 1)
    found = measure(Modes(), classes(*[0, 1, 2, 3] * 25), real)
    assert found["modes"].value == 4
    assert found["modes"].details == {"classes": 10, "real": 10}
    assert found["mode_kl"].value == pytest.approx(math.log(10 / 4), rel=1e-9)


def test_the_divergence_is_that_of_generated_from_real_shares():
    generated, real = torch.tensor([30, 10, 0]), torch.tensor([1_000_000, 2_000_000, 1_000_000])
    expected = 0.75 * math.log(0.75 / 0.25) + 0.25 * math.log(0.25 / 0.5)
    assert divergence(generated, real) == pytest.approx(expected, rel=1e-5)
    assert divergence(real, real) == pytest.approx(0, abs=1e-6)


def test_a_class_without_real_images_leaves_it_finite():
    assert divergence(torch.tensor([0, 10]), torch.tensor([99, 0])) == pytest.approx(math.log(100 / 0.5))


def test_the_divergence_comes_with_the_histogram_of_classes():
    found = measure(Modes(), classes(*[0, 0, 0, 2], count=3), classes(*[0, 1, 1, 2], count=3))
    assert found["mode_kl"].curve.columns == {
        "mode": [0, 1, 2],
        "share": [0.75, 0, 0.25],
        "standard_error": [pytest.approx(0.2165, abs=1e-4), 0, pytest.approx(0.2165, abs=1e-4)],
        "real": [0.25, 0.5, 0.25],
    }
    assert found["modes"].curve is None
    assert measure(Modes(), classes(0, count=101), classes(0, count=101))["mode_kl"].curve is None


def test_few_images_of_the_right_law_have_the_known_bias_and_the_draws_do_not():
    generator = torch.Generator().manual_seed(0)
    real = classes(*range(10)).repeat(1000, 1)
    values, means = [], []
    for _ in range(100):
        drawn = torch.eye(10)[torch.randint(10, (400,), generator=generator)]
        found = measure(Modes(), drawn, real)["mode_kl"]
        values.append(found.value)
        means.append(sum(found.draws) / 20)
    assert sum(values) / 100 == pytest.approx(9 / 800, rel=0.2)
    assert abs(sum(means) / 100) < 0.2 * 9 / 800


def test_stacked_digits_are_recognised_in_the_order_of_their_labels():
    examples = StackedDigits(Digits(), train_images=1000, val_images=1000, test_images=2000).split("test")
    drawn = examples.read(torch.arange(1000))
    extractor = StackedDigitFeatures()
    features = extractor(to_float(drawn["image"]))
    seen = extractor.logits(features).argmax(1)
    assert (seen == drawn["label"]).double().mean() > 0.98
    found = measure(Modes(), features, features, extractor)
    assert found["modes"].value == found["modes"].details["real"] > 975
    half = measure(Modes(), features[drawn["label"] < 500], features, extractor)
    assert half["modes"].value == pytest.approx(500, abs=12)
    assert half["mode_kl"].value == pytest.approx(math.log(2), abs=0.05)


@pytest.mark.parametrize(("kind", "count"), [("ring", 8), ("grid", 25)])
def test_points_of_the_law_itself_hit_all_modes_with_the_quality_of_the_plane(kind, count):
    source = Toy2d(kind)
    points = source.split("test").read(torch.arange(10_000))["image"]
    metric = PointModes(source.centres, source.std)
    found = measure(metric, points, source.split("train").read(torch.arange(20_000))["image"], Coordinates(2))
    assert found["modes"].value == found["modes"].details["classes"] == count
    expected = 1 - math.exp(-4.5)
    assert found["mode_quality"].value == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 1e4) ** 0.5)
    assert found["mode_kl"].value < 0.005


def test_a_mode_is_hit_by_a_point_of_high_quality_only():
    metric = PointModes([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], std=0.1)
    real = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).repeat(1000, 1)
    points = torch.tensor([[0.0, 0.29], [0.05, 0.0], [1.0, 0.31], [0.6, 0.0]])
    found = measure(metric, points, real)
    assert found["modes"].value == 1
    assert found["mode_quality"].value == 0.5
    assert found["mode_kl"].value == pytest.approx(math.log(3 / 2), rel=1e-3)


def test_the_centres_are_part_of_the_protocol():
    ring = PointModes(toy_centres("ring"), 0.02)
    assert describe(ring).startswith("PointModes(centres='8@")
    assert describe(ring) != describe(PointModes(toy_centres("ring", 2.0), 0.02))
    assert describe(ring) != describe(PointModes(toy_centres("ring"), 0.05))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"kind must have Gaussian modes .* got 'moons'"):
        toy_centres("moons")
    with pytest.raises(ValueError, match=r"centres must have shape \(M, D\), got \(2,\)"):
        PointModes([0.0, 1.0], 0.1)
    with pytest.raises(ValueError, match="std must be above 0, got 0"):
        PointModes([[0.0]], 0)
    with pytest.raises(ValueError, match="reach must be above 0, got -1"):
        PointModes([[0.0]], 1, -1)
    with pytest.raises(ValueError, match="points with 2 coordinates, got 3"):
        PointModes([[0.0, 0.0]], 1).prepare(store(torch.zeros(4, 3)), None)
    with pytest.raises(ValueError, match=r"extractor must classify .* got random"):
        Modes().prepare(store(torch.zeros(4, 3)), RandomFeatures(1))
    with pytest.raises(ValueError, match="at least 1 real image, got 0"):
        Modes().prepare(FeatureStore(10), Believing)
    with pytest.raises(ValueError, match="at least 1 generated image, got 0"):
        Modes().compute(FeatureStore(10), Modes().prepare(store(classes(0, 1)), Believing))
