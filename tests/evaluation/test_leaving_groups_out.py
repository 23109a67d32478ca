"""The pseudo-values of every metric are those of computing it again without each group of samples."""

import pytest
import torch

from genexp.evaluation.dealing import group_numbers
from genexp.evaluation.extractors.classifiers import ClassifierFeatures
from genexp.evaluation.jackknife import centred_draws, draws_of_mean, groups_to_leave_out
from genexp.evaluation.metrics.classifier_score import ClassifierScore
from genexp.evaluation.metrics.kernel import KernelDistance
from genexp.evaluation.metrics.memorisation import Memorisation
from genexp.evaluation.metrics.modes import Modes, PointModes
from genexp.evaluation.metrics.precision_recall import DensityCoverage, PrecisionRecall
from genexp.evaluation.metrics.vendi import Vendi
from genexp.evaluation.summaries import FeatureStore
from genexp.evaluation.uncertainty import pseudo_values

METRICS = {
    "kid": KernelDistance(),
    "classifier_score": ClassifierScore(),
    "precision_recall": PrecisionRecall(),
    "density_coverage": DensityCoverage(),
    "vendi": Vendi(),
    "modes": Modes(),
    "memorisation": Memorisation(),
}
CENTRED = ("recall", "coverage")
WITHOUT_DRAWS = ("modes", "ct")


def store(features, index=None):
    found = FeatureStore(features.shape[1])
    found.update(features, torch.arange(len(features)) if index is None else index)
    return found


def sides(count, dimensions=64):
    generator = torch.Generator().manual_seed(0)
    generated = torch.randn(count, dimensions, generator=generator) * 2
    return generated, torch.randn(90, dimensions, generator=generator) + 0.3


@pytest.fixture(scope="module")
def extractor():
    return ClassifierFeatures("digits_classifier")


@pytest.mark.parametrize("name", METRICS)
def test_draws_are_those_of_computing_again_without_each_group(name, extractor):
    metric = METRICS[name]
    generated, real = sides(67)
    index = torch.arange(67) * 3 + 5
    prepared = metric.prepare(store(real), extractor)
    found = metric.compute(store(generated, index), prepared)
    group = group_numbers(index)
    sizes = group.bincount(minlength=20).tolist()
    without = [
        metric.compute(store(generated[kept], index[kept]), prepared)
        for kept in (group != number for number in range(20))
    ]
    assert set(found) == set(metric.values)
    for value_name, value in found.items():
        if value_name in WITHOUT_DRAWS:
            assert value.draws == ()
            continue
        rule = centred_draws if value_name in CENTRED else pseudo_values
        expected = rule(value.value, [part[value_name].value for part in without], sizes)
        assert value.draws == pytest.approx(tuple(expected), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_order_and_batches_do_not_change_a_value(name, extractor):
    metric = METRICS[name]
    generated, real = sides(67)
    prepared = metric.prepare(store(real), extractor)
    order = torch.randperm(67, generator=torch.Generator().manual_seed(1))
    pieces = FeatureStore(64)
    for part in order.split(10):
        pieces.update(generated[part], part)
    found, expected = metric.compute(pieces, prepared), metric.compute(store(generated), prepared)
    for value_name, value in expected.items():
        assert found[value_name].value == pytest.approx(value.value, rel=1e-12)
        assert found[value_name].draws == pytest.approx(value.draws, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_too_few_samples_for_groups_give_a_value_without_draws(name, extractor):
    metric = METRICS[name]
    generated, real = sides(19)
    for value in metric.compute(store(generated), metric.prepare(store(real), extractor)).values():
        assert value.draws == ()


def test_points_have_draws_too():
    metric = PointModes([[0.0, 0.0], [3.0, 0.0]], std=1.0)
    generated, real = sides(67, 2)
    prepared = metric.prepare(store(real), None)
    found = metric.compute(store(generated), prepared)
    group = group_numbers(torch.arange(67))
    parts = [metric.compute(store(generated[group != g], torch.arange(67)[group != g]), prepared) for g in range(20)]
    for name in ("mode_kl", "mode_quality"):
        without = [part[name].value for part in parts]
        expected = pseudo_values(found[name].value, without, group.bincount().tolist())
        assert found[name].draws == pytest.approx(tuple(expected), rel=1e-7, abs=1e-9)


def test_groups_are_left_out_only_where_enough_remains():
    assert len(groups_to_leave_out(group_numbers(torch.arange(40)))) == 20
    assert groups_to_leave_out(group_numbers(torch.arange(40)), keep=39) == ()
    assert groups_to_leave_out(group_numbers(torch.arange(19))) == ()
    assert draws_of_mean(torch.ones(19), group_numbers(torch.arange(19))) == ()


def test_the_mean_of_the_draws_of_a_mean_is_that_mean_and_each_is_its_group_s_gap_by_the_group_s_share():
    values, group = (
        torch.randn(60, generator=torch.Generator().manual_seed(0)).double(),
        group_numbers(torch.arange(60)),
    )
    draws = draws_of_mean(values, group_numbers(torch.arange(60)))
    mean = float(values.mean())
    expected = [mean + float((values[group == g] - mean).sum()) / 3 for g in range(20)]
    assert draws == pytest.approx(tuple(expected), rel=1e-10, abs=1e-12)
    assert sum(draws) / 20 == pytest.approx(mean, abs=1e-12)


def test_centred_draws_keep_the_spread():
    draws = centred_draws(0.5, [0.4, 0.45, 0.48], [1, 1, 1])
    assert sum(draws) / 3 == pytest.approx(0.5)
    raw = pseudo_values(0.5, [0.4, 0.45, 0.48])
    assert draws[0] - draws[1] == pytest.approx(raw[0] - raw[1])
