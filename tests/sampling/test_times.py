"""Time grids, number by number."""

from itertools import pairwise

import pytest

from genexp.sampling.times import time_grid


@pytest.mark.parametrize(
    ("spacing", "steps", "last", "expected"),
    [
        ("leading", 10, 1000, [901, 801, 701, 601, 501, 401, 301, 201, 101, 1, 0]),
        ("trailing", 10, 1000, [1000, 900, 800, 700, 600, 500, 400, 300, 200, 100, 0]),
        ("linspace", 5, 1000, [1000, 750, 500, 251, 1, 0]),
        ("quadratic", 5, 1000, [801, 451, 201, 51, 1, 0]),
        ("trailing", 3, 10, [10, 7, 3, 0]),
        ("leading", 3, 10, [7, 4, 1, 0]),
        ("linspace", 1, 10, [10, 0]),
        ("quadratic", 1, 1000, [801, 0]),
        ("leading", 7, 10, [9, 8, 6, 5, 3, 2, 1, 0]),
        ("trailing", 4, 80.0, [80.0, 60.0, 40.0, 20.0, 0]),
        ([1, 9, 4], None, 10, [9, 4, 1, 0]),
        ([1, 9, 4], 3, 10, [9, 4, 1, 0]),
    ],
)
def test_grids(spacing, steps, last, expected):
    assert time_grid(steps, last, spacing) == expected


@pytest.mark.parametrize("steps", [334, 501, 667, 751, 999])
def test_many_steps_begin_near_the_end_of_the_schedule(steps):
    """A distance rounded down would make 501 of 1000 steps the times 1 to 501."""
    times = time_grid(steps, 1000, "leading")
    assert len(times) == steps + 1
    assert times[0] >= 998
    assert {a - b for a, b in pairwise(times[:-1])} <= {1000 // steps, 1000 // steps + 1}


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_all_steps_visit_all_times(spacing):
    assert time_grid(None, 50, spacing) == list(range(50, -1, -1))


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace", "quadratic"])
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20, 33, 100, 999, 1000])
def test_times_fall_strictly_and_stay_inside(spacing, steps):
    times = time_grid(steps, 1000, spacing)
    assert all(a > b for a, b in pairwise(times))
    assert times[-1] == 0
    assert 1 <= times[-2] <= times[0] <= 1000
    assert len(times) == steps + 1 or spacing == "quadratic"


def test_impossible_grids_are_refused():
    with pytest.raises(ValueError, match="steps must lie between 1 and the schedule's 10, got 11"):
        time_grid(11, 10, "leading")
    with pytest.raises(ValueError, match=r"steps must lie between 1 and the schedule's 80\.0, got None"):
        time_grid(None, 80.0, "trailing")
    with pytest.raises(ValueError, match="steps must be null or the 2 times listed in spacing, got 3"):
        time_grid(3, 10, [1, 2])
    with pytest.raises(ValueError, match=r"spacing must hold times in \(0, 10\], got \[0, 11\]"):
        time_grid(None, 10, [0, 11])
