"""The birthday test against its law, and the line that names a collapse."""

import pytest
import torch

from genexp.evaluation.collapse import collapse
from genexp.evaluation.metrics.duplicates import Duplicates
from genexp.evaluation.metrics.modes import PointModes
from genexp.evaluation.summaries import FeatureStore


def store(features):
    found = FeatureStore(features.shape[1])
    found.update(features, torch.arange(len(features)))
    return found


def test_a_uniform_choice_among_pictures_has_its_support():
    generator = torch.Generator().manual_seed(0)
    pictures = 100 * torch.randn(50, 4, generator=generator)
    chosen = pictures[torch.randint(50, (1500,), generator=generator)]
    metric = Duplicates(strictness=1e-3)
    prepared = metric.prepare(store(torch.randn(600, 4, generator=generator)), None)
    found = metric.compute(store(chosen), prepared)["duplicates"]
    assert found.details["support"] == pytest.approx(50, rel=0.05)
    assert found.details["real"] == pytest.approx(1e-3, rel=0.01)


def test_pictures_that_are_all_different_have_no_bound_and_too_few_are_refused():
    metric = Duplicates()
    prepared = metric.prepare(store(torch.arange(20.0)[:, None]), None)
    found = metric.compute(store(10 * torch.arange(30.0)[:, None]), prepared)["duplicates"]
    assert found.value == 0
    assert "support" not in found.details
    with pytest.raises(ValueError, match="duplicates needs at least 2 images, got 1"):
        metric.compute(store(torch.zeros(1, 1)), prepared)
    with pytest.raises(ValueError, match="strictness must lie between 0 and 1, got 0"):
        Duplicates(strictness=0)


def record(key, value, floor=None, **details):
    return {"key": f"{key}/digits_classifier@42f2cb7d", "value": value, "floor": floor, "details": details}


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (record("modes", 3, real=8.0, classes=8.0), "3 of 8 modes"),
        (record("modes", 8, real=8.0), None),
        (record("recall", 0.02, floor=0.9), "recall 0.02, of held-out images 0.9"),
        (record("recall", 0.5, floor=0.9), None),
        (record("vendi", 2.0, real=9.0), "Vendi score 2, of real images 9"),
        (
            record("duplicates", 0.01, real=1e-4, support=100.0),
            "one pair in 100 shows the same picture, as if there were 100 in all",
        ),
        (record("duplicates", 2e-4, real=1e-4, support=5000.0), None),
        (record("fd", 500.0, floor=0.9), None),
    ],
)
def test_each_kind_of_evidence_is_told_with_its_number(found, line):
    assert collapse([found]) == line


def test_missing_gaussians_are_evidence_as_their_metric_records_them():
    metric = PointModes(centres=[[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], std=0.1)
    points = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]).repeat(20, 1)
    prepared = metric.prepare(store(points), None)
    for generated, line in ((points, None), (points[::3], "1 of 3 modes")):
        value = metric.compute(store(generated), prepared)["modes"]
        assert collapse([record("modes", value.value, **value.details)]) == line


def test_evidence_is_joined():
    both = [record("modes", 3, real=8.0), record("coverage", 0.1, floor=0.95)]
    assert collapse(both) == "3 of 8 modes; coverage 0.1, of held-out images 0.95"
