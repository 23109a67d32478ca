"""Time grids: the few times of a schedule that a sampler visits."""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from genexp.contracts import Schedule


def leading(steps: int, schedule: Schedule) -> list[float]:
    """1 + the whole part of i T / steps for i = 0, 1, ...: ends at time 1 and begins a step below T.

    Real times are first + i (last - first) / steps. With a whole number for the distance, floor(T / steps), as many
    codes have it, 501 of 1000 steps would be the times 1 to 501 and begin in the middle of the schedule.

    Reference: Song et al., "Denoising Diffusion Implicit Models" (2021), appendix D.2, linear: floor(c i), with c such
    that the last time is close to T.
    """
    first, last = schedule.first, schedule.last
    if schedule.discrete:
        return [first + math.floor(i * last / steps) for i in range(steps)]
    return [first + i * (last - first) / steps for i in range(steps)]


def trailing(steps: int, schedule: Schedule) -> list[float]:
    """T / steps, 2 T / steps, ..., T: begins where training ends, at the most noise.

    Reference: Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed" (2024).
    """
    return [schedule.last - i * schedule.last / steps for i in range(steps)]


def linspace(steps: int, schedule: Schedule) -> list[float]:
    """`steps` equally spaced times from the schedule's first to its last, both included; one step is the last."""
    first, last = schedule.first, schedule.last
    return [last - i * (last - first) / max(steps - 1, 1) for i in range(steps)]


def quadratic(steps: int, schedule: Schedule) -> list[float]:
    """1 + the whole part of squares of equally spaced numbers from 0 to sqrt(0.8 T): dense near the data.

    Real times are the squares themselves, above the first time. One step is the noisiest of these times.

    Reference: Song et al., "Denoising Diffusion Implicit Models" (2021), appendix D.2, quadratic.
    """
    first, last = schedule.first, schedule.last
    end = math.sqrt(0.8 * (last if schedule.discrete else last - first))
    places = [1.0] if steps == 1 else [i / (steps - 1) for i in range(steps)]
    squares = [(end * place) ** 2 for place in places]
    return [first + (math.floor(square) if schedule.discrete else square) for square in squares]


def log_snr(steps: int, schedule: Schedule) -> list[float]:
    """Times at equal distances of log(alpha^2 / sigma^2), from the schedule's first to its last.

    Reference: Lu et al., "DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling in Around 10 Steps"
    (2022), section 3.3.

    Raises:
        ValueError: no signal is left at the last time, where the logarithm is infinite.
    """
    low, high = _ends(schedule, "log_snr")
    values = torch.linspace(low, high, steps, dtype=torch.float64)
    return [schedule.last, *schedule.at_snr(values)[1:].tolist()]


def karras(steps: int, schedule: Schedule, rho: float = 7.0) -> list[float]:
    """Times with equally spaced powers (sigma / alpha)^(1 / rho) of the noise level, from the last to the first time's.

    The larger rho, the more times are near the data; at 1 the noise levels themselves are equally spaced, at infinity
    their logarithms, as with `log_snr`.

    Reference: Karras et al., "Elucidating the Design Space of Diffusion-Based Generative Models" (2022), equation 5.

    Raises:
        ValueError: no signal is left at the last time, where the noise level is infinite, or `rho` is not positive.
    """
    if not 0 < rho < math.inf:
        raise ValueError(f"spacing must have a positive number with karras, got {rho}")
    most, least = (math.exp(-each / 2 / rho) for each in _ends(schedule, "karras"))
    levels = torch.linspace(most, least, steps, dtype=torch.float64).pow(rho)
    return [schedule.last, *schedule.at_snr(-2 * levels.log())[1:].tolist()]


def _ends(schedule: Schedule, name: str) -> list[float]:
    """The log-SNR at the last and the first time."""
    ends = schedule.log_snr(as_times([schedule.last, schedule.first], schedule)).tolist()
    if math.isinf(ends[0]):
        raise ValueError(
            f"spacing must not be {name} for a schedule without signal at its last time {schedule.last:g}; "
            "trailing, leading and linspace go with every schedule"
        )
    return ends


def apart(steps: int, schedule: Schedule, offset: int = 0) -> list[float]:
    """1 + offset + i floor(T / steps) for i = 0, 1, ...: a whole number of times apart, as diffusers' `leading` has it.

    Raises:
        ValueError: times of the schedule are real, or `offset` is no whole number from 0 on.
    """
    if not schedule.discrete or offset != int(offset) or offset < 0:
        raise ValueError(f"spacing must have a whole number from 0 on, and integer times, with leading, got {offset}")
    return [1 + offset + i * (schedule.last // steps) for i in range(steps)]


SPACINGS: dict[str, Callable[[int, Schedule], list[float]]] = {
    "leading": leading,
    "trailing": trailing,
    "linspace": linspace,
    "quadratic": quadratic,
    "log_snr": log_snr,
    "karras": karras,
}

Spacing = str | Sequence[float] | Mapping[str, float]
"""A name of `SPACINGS`, the times themselves in any order, {"karras": rho}, or {"leading": offset, "end": 0 or 1}."""


def time_grid(steps: int | None, schedule: Schedule, spacing: Spacing = "trailing") -> list[float]:
    """The times a sampler visits, from the noisiest down, with 0 at the end, or 1 where a mapping says so.

    Where only integer times exist they are rounded, and times that fall together are visited once: `quadratic` then
    has fewer steps than asked for. A step between equal times would change nothing.

    Args:
        steps: Number of steps; None for every integer time, or for as many as an explicit list has.
        schedule: Its first and last time, and whether times are integers.
        spacing: `leading`, `trailing`, `linspace`, `quadratic`, `log_snr`, `karras`, {"karras": rho}, {"leading": n},
            see `apart`, or the times themselves in any order. With {"end": 1} beside `leading` a little noise is left,
            that of time 1, as diffusers has it without `set_alpha_to_one`.

    Raises:
        ValueError: `steps` does not fit the schedule or the list, or a listed time lies outside (0, T].
    """
    if isinstance(spacing, str):
        times = SPACINGS[spacing](_checked_steps(steps, schedule), schedule)
    elif isinstance(spacing, Mapping):
        made = karras if "karras" in spacing else apart
        number = spacing["karras" if "karras" in spacing else "leading"]
        times = made(_checked_steps(steps, schedule), schedule, number)
    else:
        times = list(spacing)
        if steps not in (None, len(times)):
            raise ValueError(f"steps must be {len(times)}, as many as spacing lists times, got {steps}")
    if schedule.discrete:
        times = [round(time) for time in times]
    if not times or min(times) <= 0 or max(times) > schedule.last:
        raise ValueError(f"spacing must hold times in (0, {schedule.last}], got {times}")
    end = spacing.get("end", 0) if isinstance(spacing, Mapping) else 0
    return [*(time for time in sorted(set(times), reverse=True) if time > end), end]


def as_times(times: Sequence[float], schedule: Schedule) -> Tensor:
    """Times as a schedule takes them: int64 where it is discrete, else float64."""
    return torch.tensor(times, dtype=torch.int64 if schedule.discrete else torch.float64)


def require_spacing(spacing: Spacing) -> None:
    """Refuse a spacing of an unknown name.

    Raises:
        ValueError: `spacing` is a string other than the names of `SPACINGS`, or a mapping that none of `Spacing` is.
    """
    unknown_name = isinstance(spacing, str) and spacing not in SPACINGS
    known = ({"karras"}, {"leading"}, {"leading", "end"})
    unknown = isinstance(spacing, Mapping) and (set(spacing) not in known or spacing.get("end", 0) not in (0, 1))
    if unknown_name or unknown:
        given = repr(dict(spacing) if isinstance(spacing, Mapping) else spacing)
        names = f"{', '.join(SPACINGS)}, {{karras: rho}}, {{leading: offset, end: 0 or 1}}"
        raise ValueError(f"spacing must be one of {names} or a list of times, got {given}")


def _checked_steps(steps: int | None, schedule: Schedule) -> int:
    if schedule.discrete and (steps is None or 1 <= steps <= schedule.last):
        return schedule.last if steps is None else steps
    if schedule.discrete:
        raise ValueError(f"steps must lie between 1 and the schedule's {schedule.last}, got {steps}")
    if steps is None or steps < 1:
        raise ValueError(
            "steps must be a number of at least 1 for a schedule of real times, such as 25, "
            f"got {'null' if steps is None else steps}"
        )
    return steps
