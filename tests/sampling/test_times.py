"""Time grids, number by number."""

from itertools import pairwise

import pytest

from genexp.diffusion.continuous import LinearContinuous, RectifiedFlow
from genexp.diffusion.exploding import NoiseLevel
from genexp.diffusion.schedules import Cosine
from genexp.sampling.times import SPACINGS, as_times, require_spacing, time_grid


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
        ([1, 9, 4], None, 10, [9, 4, 1, 0]),
        ([1, 9, 4], 3, 10, [9, 4, 1, 0]),
    ],
)
def test_grids(spacing, steps, last, expected):
    assert time_grid(steps, Cosine(last), spacing) == expected


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ("trailing", [1, 0.75, 0.5, 0.25, 0]),
        ("leading", [0.775, 0.55, 0.325, 0.1, 0]),
        ("linspace", [1, 0.7, 0.4, 0.1, 0]),
        ("quadratic", [0.82, 0.42, 0.18, 0.1, 0]),
        ([0.3, 0.9], [0.9, 0.3, 0]),
    ],
)
def test_grids_of_real_times(spacing, expected):
    steps = 4 if isinstance(spacing, str) else None
    assert time_grid(steps, RectifiedFlow(first=0.1), spacing) == pytest.approx(expected)


def test_equal_distances_of_the_logarithm_of_the_signal_to_noise_ratio():
    schedule = LinearContinuous()
    times = time_grid(11, schedule, "log_snr")
    assert (times[0], times[-2], times[-1]) == (1, pytest.approx(schedule.first), 0)
    values = schedule.log_snr(as_times(times[:-1], schedule)).diff()
    assert values.tolist() == pytest.approx([float(values.mean())] * 10)


def test_the_noise_levels_of_karras():
    """Equation 5 of the paper: 18 steps from 80 to 0.002."""
    times = time_grid(18, NoiseLevel(0.002, 80), "karras")
    for i, time in enumerate(times[:-1]):
        expected = (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
        assert time == pytest.approx(expected, rel=1e-9)
    assert times[-1] == 0
    assert time_grid(18, NoiseLevel(0.002, 80), {"karras": 7}) == times
    even = time_grid(5, NoiseLevel(0.002, 80), {"karras": 1})
    assert even[:-1] == pytest.approx([80, 60.0005, 40.001, 20.0015, 0.002])
    assert time_grid(9, NoiseLevel(0.002, 80), {"karras": 1e6})[1:-1] == pytest.approx(
        time_grid(9, NoiseLevel(0.002, 80), "log_snr")[1:-1], rel=1e-3
    )
    assert time_grid(1, LinearContinuous(), "karras") == [1, 0]


@pytest.mark.parametrize("steps", [334, 501, 667, 751, 999])
def test_many_steps_begin_near_the_end_of_the_schedule(steps):
    """A distance rounded down would make 501 of 1000 steps the times 1 to 501."""
    times = time_grid(steps, Cosine(), "leading")
    assert len(times) == steps + 1
    assert times[0] >= 998
    assert {a - b for a, b in pairwise(times[:-1])} <= {1000 // steps, 1000 // steps + 1}


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_all_steps_visit_all_times(spacing):
    assert time_grid(None, Cosine(50), spacing) == list(range(50, -1, -1))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20, 33, 100, 999, 1000])
def test_times_fall_strictly_and_stay_inside(spacing, steps):
    times = time_grid(steps, Cosine(), spacing)
    assert all(a > b for a, b in pairwise(times))
    assert times[-1] == 0
    assert 1 <= times[-2] <= times[0] <= 1000
    assert len(times) == steps + 1 or spacing in ("quadratic", "log_snr", "karras")
    assert len(time_grid(steps, LinearContinuous(), spacing)) == steps + 1


def test_impossible_grids_are_refused():
    with pytest.raises(ValueError, match="steps must lie between 1 and the schedule's 10, got 11"):
        time_grid(11, Cosine(10), "leading")
    for steps, told in ((None, "null"), (0, "0")):
        with pytest.raises(ValueError, match=f"steps must be a number of at least 1 for .* such as 25, got {told}"):
            time_grid(steps, RectifiedFlow(), "trailing")
    for spacing in ("log_snr", "karras"):
        told = f"spacing must not be {spacing} for a schedule without signal at its last time 1; trailing, leading and"
        with pytest.raises(ValueError, match=told):
            time_grid(10, RectifiedFlow(), spacing)
    with pytest.raises(ValueError, match="spacing must have a positive number with karras, got -1"):
        time_grid(10, LinearContinuous(), {"karras": -1})
    for spacing in ("edm", {"edm": 7}, {"karras": 7, "leading": 1}, {"end": 1}, {"leading": 1, "end": 2}):
        with pytest.raises(ValueError, match=r"spacing must be one of leading, .*, \{karras: rho\}, \{leading: "):
            require_spacing(spacing)
    with pytest.raises(ValueError, match="steps must be 2, as many as spacing lists times, got 3"):
        time_grid(3, Cosine(10), [1, 2])
    with pytest.raises(ValueError, match=r"spacing must hold times in \(0, 10\], got \[0, 11\]"):
        time_grid(None, Cosine(10), [0, 11])


def test_leading_as_diffusers_has_it_is_a_whole_number_of_times_apart():
    assert time_grid(3, Cosine(10), {"leading": 0}) == [7, 4, 1, 0]
    assert time_grid(3, Cosine(10), {"leading": 1, "end": 1}) == [8, 5, 2, 1]
    assert time_grid(3, Cosine(10), {"leading": 0, "end": 1}) == [7, 4, 1]  # a step from time 1 to it changes nothing
    with pytest.raises(ValueError, match=r"spacing must hold times in \(0, 10\], got \[6, 9, 12\]"):
        time_grid(3, Cosine(10), {"leading": 5})
    for schedule, offset in ((Cosine(10), -1), (Cosine(10), 0.5), (LinearContinuous(), 1)):
        with pytest.raises(ValueError, match="spacing must have a whole number from 0 on, and integer times, with"):
            time_grid(3, schedule, {"leading": offset})
