from statistics import fmean, stdev

import pytest
import torch
from scipy.stats import mannwhitneyu

from genexp.evaluation.metrics.memorisation import Memorisation, mann_whitney
from genexp.evaluation.summaries import FeatureStore


def normal(*shape, seed=0, std=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * std


def store(features):
    found = FeatureStore(features.shape[1])
    found.update(features, torch.arange(len(features)))
    return found


def measure(generated, training, cells=3):
    metric = Memorisation(cells)
    found = metric.compute(store(generated), metric.prepare(store(training), None))
    return {name: value.value for name, value in found.items()}, found


def test_authenticity_is_the_definition():
    generated, training = normal(40, 3, seed=1), normal(30, 3)
    authentic = 0
    for g in generated.double():
        to_training = (training.double() - g).norm(dim=1)
        j = int(to_training.argmin())
        others = (training.double() - training[j].double()).norm(dim=1)
        others[j] = torch.inf
        authentic += float(others.min() < to_training[j])
    found, values = measure(generated, training)
    assert found["authenticity"] == pytest.approx(authentic / 40, abs=1e-12)
    first = values["authenticity"].details["real"]
    left_out = [measure(training[[i]], training[torch.arange(30) != i])[0]["authenticity"] for i in range(30)]
    assert first == pytest.approx(fmean(left_out), abs=1e-12)


def test_the_test_statistic_is_that_of_mann_and_whitney():
    first, second = normal(40, 1).flatten().round(decimals=1), normal(70, 1, seed=1).flatten()
    u = mannwhitneyu(first.numpy(), second.numpy()).statistic
    assert mann_whitney(first, second) == pytest.approx((u - 1400) / (40 * 70 * 111 / 12) ** 0.5, rel=1e-12)
    assert mann_whitney(second, first) == pytest.approx(-mann_whitney(first, second), rel=1e-12)
    assert mann_whitney(first, first) == pytest.approx(0, abs=1e-12)


def test_new_samples_of_the_law_score_as_the_training_set_does():
    ct, authenticity, ratio = [], [], []
    for seed in range(40):
        found, values = measure(normal(150, 4, seed=2 * seed), normal(200, 4, seed=2 * seed + 1), cells=1)
        ct.append(found["ct"])
        ratio.append(found["nearest_ratio"])
        authenticity.append(found["authenticity"] - values["authenticity"].details["real"])
    for name, found, aim in (("ct", ct, 0), ("authenticity", authenticity, 0), ("nearest_ratio", ratio, 1)):
        assert fmean(found) == pytest.approx(aim, abs=4 * stdev(found) / 40**0.5), name
    assert 0.75 < stdev(ct) < 1.4


@pytest.mark.parametrize("copied", [slice(0, 100), slice(100, 200), slice(0, 200, 2), slice(1, 200, 2)])
def test_copies_of_any_half_of_the_training_set_are_seen(copied):
    training = normal(200, 8)
    found, values = measure(training[copied], training)
    assert found["authenticity"] == 0
    assert found["ct"] < -5
    assert found["nearest_ratio"] == 0
    assert values["nearest_ratio"].details == {"real": 1.0, "copies": 1.0}


def test_copies_among_new_samples_are_seen():
    training, new = normal(300, 8), normal(300, 8, seed=1)
    honest, _ = measure(new, training)
    mixed, values = measure(torch.cat([training[:150], new[:150]]), training)
    assert values["nearest_ratio"].details["copies"] == 0.5
    assert mixed["authenticity"] < 0.6 * honest["authenticity"]
    assert mixed["ct"] < honest["ct"] - 3
    assert mixed["nearest_ratio"] < 0.6 * honest["nearest_ratio"]


def test_slightly_changed_copies_are_seen_and_distant_images_are_not_taken_for_them():
    training = normal(300, 8)
    near, _ = measure(training + normal(300, 8, seed=1, std=0.05), training)
    far, _ = measure(normal(300, 8, seed=1, std=3), training)
    assert near["authenticity"] < 0.05
    assert near["ct"] < -10
    assert near["nearest_ratio"] < 0.2
    assert far["authenticity"] > 0.9
    assert far["ct"] > 5
    assert far["nearest_ratio"] > 2


def test_cells_tell_copying_in_one_place_from_distance_in_another():
    """Copies in one cell and distant images in another cancel without cells."""
    centre = torch.tensor([10.0, 0, 0, 0])
    training = torch.cat([normal(200, 4) + centre, normal(200, 4, seed=1) - centre])
    copies, wide = training[:100], normal(100, 4, seed=2, std=1.5) - centre
    metric = Memorisation(cells=2)
    prepared = metric.prepare(store(training), None)
    alone = metric.compute(store(copies), prepared)["ct"].value
    both = metric.compute(store(torch.cat([copies, wide])), prepared)["ct"].value
    assert alone < -10
    assert alone < both < -2


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="cells must be at least 1, got 0"):
        Memorisation(0)
    with pytest.raises(ValueError, match="need at least 2 real images, got 1"):
        Memorisation().prepare(store(normal(1, 2)), None)
    with pytest.raises(ValueError, match="cells must be at most the number of real images 2, got 3"):
        Memorisation().prepare(store(normal(2, 2)), None)
    with pytest.raises(ValueError, match=r"real images must differ .* got copies only"):
        Memorisation().prepare(store(torch.ones(5, 2)), None)
    with pytest.raises(ValueError, match="at least 1 generated image, got 0"):
        Memorisation().compute(FeatureStore(2), Memorisation().prepare(store(normal(5, 2)), None))
