"""What is kept of a score."""

import pytest

from genexp.evaluation.metrics.base import SHARE, Value
from genexp.evaluation.protocol import Protocol
from genexp.evaluation.scores import Score
from genexp.runs.results import record

PROTOCOL = Protocol(
    metric="recall", settings="", extractor="x", extractor_digest="0" * 64, input_size=0, resize="none",
    quantiser="none", reference="train", reference_digest="0" * 64, n_reference=9, n_generated=9, seed=0, weights="raw",
    sampler="none",
)  # fmt: skip


@pytest.mark.parametrize(("draws", "ends"), [((0.9, 1.1), (0.0, 1.0)), ((0.5, 0.5), (0.5, 0.5))])
def test_the_interval_of_a_share_is_cut_to_what_a_share_can_be(draws, ends):
    found = record(Score(PROTOCOL, Value(sum(draws) / 2, draws, limits=SHARE), "higher"), None)
    assert (found["low"], found["high"]) == ends
    assert found["value"] == sum(draws) / 2


def test_other_intervals_are_left_whole():
    found = record(Score(PROTOCOL, Value(1.0, (0.9, 1.1)), "lower"), None)
    assert found["low"] == pytest.approx(1 - 12.706 * 0.1, abs=1e-3)
    assert found["high"] == pytest.approx(1 + 12.706 * 0.1, abs=1e-3)
