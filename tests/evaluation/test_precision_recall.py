from statistics import stdev

import pytest
import torch

from genexp.evaluation.metrics.precision_recall import DensityCoverage, PrecisionRecall, same_law_coverage
from genexp.evaluation.summaries import FeatureStore


def normal(*shape, seed=0, mean=0.0, std=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * std + mean


def store(features):
    found = FeatureStore(features.shape[1])
    found.update(features, torch.arange(len(features)))
    return found


def measure(generated, real, k=3):
    found = {}
    for metric in (PrecisionRecall(k), DensityCoverage(k)):
        found |= metric.compute(store(generated), metric.prepare(store(real), None))
    return {name: value.value for name, value in found.items()}


def pairwise(x, y):
    return [[sum((a - b) ** 2 for a, b in zip(p, q)) ** 0.5 for q in y.tolist()] for p in x.tolist()]


def by_hand(generated, real, k):
    """The definitions, as loops."""
    own, cross = pairwise(real, real), pairwise(generated, real)
    real_radius = [sorted(row[:i] + row[i + 1 :])[k - 1] for i, row in enumerate(own)]
    own = pairwise(generated, generated)
    radius = [sorted(row[:i] + row[i + 1 :])[k - 1] for i, row in enumerate(own)]
    m, n = len(generated), len(real)
    return {
        "precision": sum(any(cross[i][j] <= real_radius[j] for j in range(n)) for i in range(m)) / m,
        "recall": sum(any(cross[i][j] <= radius[i] for i in range(m)) for j in range(n)) / n,
        "density": sum(cross[i][j] < real_radius[j] for i in range(m) for j in range(n)) / (k * m),
        "coverage": sum(any(cross[i][j] < real_radius[j] for i in range(m)) for j in range(n)) / n,
    }


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.7, 0.6), (0.0, 2.0)])
def test_they_are_the_definitions(k, mean, std):
    generated, real = normal(31, 4, seed=1, mean=mean, std=std), normal(43, 4)
    assert measure(generated, real, k) == pytest.approx(by_hand(generated, real, k), rel=1e-12)


def test_on_a_line_of_points_the_surface_counts_for_precision_and_not_for_coverage():
    real = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    generated = torch.tensor([[4.0], [14.0], [24.0], [34.0]])
    found = measure(generated, real, k=1)
    assert found == {"precision": 0.25, "recall": 1.0, "density": 0.0, "coverage": 0.0}


def test_copies_of_the_real_images_are_perfect():
    real = normal(50, 6)
    found = measure(real, real)
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)
    assert found["density"] == pytest.approx(1)  # itself and the k - 1 points within: k a ball


def test_collapse_costs_recall_and_coverage_and_noise_costs_precision_and_density():
    real = normal(300, 4)
    fine = measure(normal(300, 4, seed=1), real)
    collapsed = measure(normal(300, 4, seed=1, std=0.1), real)
    wide = measure(normal(300, 4, seed=1, std=4), real)
    assert collapsed["precision"] > 0.98
    assert collapsed["recall"] < 0.1 < 0.8 < fine["recall"]
    assert collapsed["coverage"] < 0.3 < 0.85 < fine["coverage"]
    assert collapsed["density"] > fine["density"]
    assert wide["precision"] < 0.5 < 0.8 < fine["precision"]
    assert wide["density"] < 0.3 < 0.8 < fine["density"]


def test_an_outlier_fools_precision_and_not_density():
    real = torch.cat([normal(200, 4), torch.full((1, 4), 50.0)])
    generated = normal(200, 4, seed=1, mean=40, std=3)
    found = measure(generated, real)
    assert found["precision"] > 0.9
    assert found["density"] < 0.4
    assert found["coverage"] < 0.01


@pytest.mark.parametrize(("k", "real", "generated"), [(1, 50, 50), (5, 100, 60), (3, 60, 200)])
def test_coverage_of_one_law_has_a_closed_form(k, real, generated):
    metric, values = DensityCoverage(k), []
    for seed in range(60):
        prepared = metric.prepare(store(normal(real, 2, seed=2 * seed)), None)
        found = metric.compute(store(normal(generated, 2, seed=2 * seed + 1)), prepared)["coverage"]
        values.append(found.value)
    expected = same_law_coverage(k, real, generated)
    assert found.details["same_law"] == expected
    assert sum(values) / 60 == pytest.approx(expected, abs=4 * stdev(values) / 60**0.5)


def test_known_values_of_the_closed_form():
    assert same_law_coverage(5, 10_000, 10_000) == pytest.approx(0.96877, abs=1e-5)
    assert same_law_coverage(1, 2, 1) == pytest.approx(1 / 2)


def test_density_of_one_law_is_one_on_average():
    metric = DensityCoverage(3)
    values = []
    for seed in range(60):
        prepared = metric.prepare(store(normal(80, 2, seed=2 * seed)), None)
        values.append(metric.compute(store(normal(80, 2, seed=2 * seed + 1)), prepared)["density"].value)
    assert sum(values) / 60 == pytest.approx(1, abs=4 * stdev(values) / 60**0.5)


@pytest.mark.slow
def test_the_authors_example_at_full_size():
    """Two samples of N(0, I), D = 1000, 10,000 each, k = 5: .4772, .4705, 1.0555, .9735 in the README of prdc."""
    found = measure(normal(10_000, 1000, seed=1), normal(10_000, 1000), k=5)
    assert found["precision"] == pytest.approx(0.4772, abs=0.03)
    assert found["recall"] == pytest.approx(0.4705, abs=0.03)
    assert found["density"] == pytest.approx(1.0555, abs=0.15)
    assert found["coverage"] == pytest.approx(0.9735, abs=0.02)


def test_in_many_dimensions_two_samples_of_one_law_are_far_from_perfect():
    found = measure(normal(1000, 1000, seed=1), normal(1000, 1000), k=5)
    assert 0.3 < found["precision"] < 0.7
    assert 0.3 < found["recall"] < 0.7
    assert found["coverage"] == pytest.approx(same_law_coverage(5, 1000, 1000), abs=0.03)


def test_bad_input_is_refused():
    for metric in (PrecisionRecall, DensityCoverage):
        with pytest.raises(ValueError, match="k must be at least 1, got 0"):
            metric(0)
        with pytest.raises(ValueError, match="3 nearest neighbours need at least 4 real images, got 3"):
            metric(3).prepare(store(normal(3, 2)), None)
    with pytest.raises(ValueError, match="3 nearest neighbours need at least 4 generated images, got 3"):
        measure(normal(3, 2), normal(10, 2))
    metric = DensityCoverage(3)
    prepared = metric.prepare(store(normal(10, 2)), None)
    with pytest.raises(ValueError, match="need at least 1 generated image, got 0"):
        metric.compute(FeatureStore(2), prepared)
