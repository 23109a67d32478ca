"""The strip of a few noises over training: evenly spread moments, and the same bytes after a resume."""

from itertools import pairwise

import pytest
import torch

import tiny
from genexp.callbacks.evolution import COLUMNS, Evolution
from genexp.callbacks.sample_grid import SampleGrid
from genexp.sampling.latent import Latent


def samples(number):
    return torch.full((4, 1, 2, 2), number / 127.5 - 1)


def strip_of(evaluations, evolution=None, begin=1):
    evolution = evolution or Evolution(rows=2)
    for number in range(begin, evaluations + 1):
        grid = evolution.add(100 * number, samples(number))
    return evolution, grid


def test_a_strip_has_a_row_a_sample_and_a_column_a_moment():
    _, grid = strip_of(3)
    assert (grid.columns, grid.across, grid.down) == (3, ["100", "200", "300"], ["sample 0", "sample 1"])
    torch.testing.assert_close(grid.samples[:3], torch.cat([samples(n)[:1] for n in (1, 2, 3)]))
    torch.testing.assert_close(grid.samples[3:], grid.samples[:3])


@pytest.mark.parametrize("evaluations", [11, 12, 13, 25, 50, 99, 100])
def test_moments_stay_evenly_spread_and_the_newest_is_the_last(evaluations):
    _, grid = strip_of(evaluations)
    seen = [int(words.replace(",", "")) for words in grid.across]
    assert seen[-1] == 100 * evaluations
    assert COLUMNS / 2 <= len(seen) <= COLUMNS
    assert len({b - a for a, b in pairwise(seen[:-1])}) == 1
    assert len(grid.samples) == 2 * len(seen)


def test_a_strip_goes_on_from_its_state_and_an_evaluation_done_again_changes_nothing():
    _, whole = strip_of(30)
    half, _ = strip_of(17)
    state = half.state_dict()
    half.add(1800, samples(18))  # an evaluation after the checkpoint, which is done again
    resumed = Evolution(rows=2)
    resumed.load_state_dict(state)
    _, again = strip_of(30, resumed, begin=18)
    assert again.across == whole.across
    assert torch.equal(again.samples, whole.samples)


def test_points_have_no_strip(tmp_path):
    typed = ["experiment=toy/ring8", *tiny.COMMON, "training.max_images=64", f"paths.outputs={tmp_path}"]
    with pytest.raises(ValueError, match="evolution must be 0 for points"):
        tiny.run([*typed, "callbacks.sample_grid.evolution=3"])
    with pytest.raises(ValueError, match="evolution must be at least 0 samples, got -1"):
        SampleGrid(Latent(), evolution=-1)
