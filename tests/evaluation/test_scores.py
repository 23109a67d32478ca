"""What is kept of a score."""

import pytest
import torch

from genexp.evaluation.metrics.base import DISTANCE, SHARE, Value
from genexp.evaluation.metrics.frechet import FrechetDistance
from genexp.evaluation.metrics.kernel import KernelDistance
from genexp.evaluation.metrics.memorisation import Memorisation
from genexp.evaluation.metrics.precision_recall import DensityCoverage, PrecisionRecall
from genexp.evaluation.metrics.vendi import Vendi
from genexp.evaluation.protocol import Protocol
from genexp.evaluation.scores import Score

PROTOCOL = Protocol(
    metric="recall", settings="", extractor="x", extractor_digest="0" * 64, input_size=0, resize="none",
    quantiser="none", reference="train", reference_digest="0" * 64, n_reference=9, n_generated=9, seed=0, weights="raw",
    sampler="none",
)  # fmt: skip


@pytest.mark.parametrize(("draws", "ends"), [((0.9, 1.1), (0.0, 1.0)), ((0.5, 0.5), (0.5, 0.5))])
def test_the_interval_of_a_share_is_cut_to_what_a_share_can_be(draws, ends):
    found = Score(PROTOCOL, Value(sum(draws) / 2, draws, limits=SHARE), "higher").record()
    assert (found["low"], found["high"]) == ends
    assert found["value"] == sum(draws) / 2


def test_other_intervals_are_left_whole():
    found = Score(PROTOCOL, Value(1.0, (0.9, 1.1)), "lower").record()
    assert found["low"] == pytest.approx(1 - 12.706 * 0.1, abs=1e-3)
    assert found["high"] == pytest.approx(1 + 12.706 * 0.1, abs=1e-3)


@pytest.mark.parametrize(("draws", "ends"), [((-0.2, 0.2), (0.0, 2.541)), ((-38.7, -38.8), (0.0, 0.0))])
def test_no_limit_of_a_distance_lies_below_0_though_its_estimate_may(draws, ends):
    found = Score(PROTOCOL, Value(0.9, draws, limits=DISTANCE), "lower").record()
    assert (found["low"], found["high"]) == pytest.approx(ends, abs=1e-3)
    assert found["extrapolated"] == pytest.approx(sum(draws) / 2)


@pytest.mark.parametrize(
    "metric", [FrechetDistance(), KernelDistance(), DensityCoverage(), PrecisionRecall(), Memorisation(), Vendi()]
)
def test_every_value_with_an_interval_says_what_it_can_be(metric):
    generator = torch.Generator().manual_seed(0)
    real, drawn = (metric.statistic(4), metric.statistic(4))
    for statistic in (real, drawn):
        statistic.update(torch.randn(80, 4, generator=generator), torch.arange(80))
    found = metric.compute(drawn, metric.prepare(real, None))
    for name, value in found.items():
        if value.draws:
            assert value.limits[0] >= 0, name
