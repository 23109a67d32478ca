"""Time grids: the few times of a schedule that a sampler visits."""

import math
from collections.abc import Callable, Sequence


def leading(steps: int, last: float) -> list[float]:
    """1 + the whole part of i T / steps for i = 0, 1, ...: ends at time 1 and begins a step below T.

    With a whole number for the distance, floor(T / steps), as many codes have it, 501 of 1000 steps would be the times
    1 to 501 and begin in the middle of the schedule.

    Reference: Song et al., "Denoising Diffusion Implicit Models" (2021), appendix D.2, linear: floor(c i), with c such
    that the last time is close to T.
    """
    return [1 + math.floor(i * last / steps) for i in range(steps)]


def trailing(steps: int, last: float) -> list[float]:
    """T / steps, 2 T / steps, ..., T: begins where training ends, at the most noise.

    Reference: Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed" (2024).
    """
    return [last - i * last / steps for i in range(steps)]


def linspace(steps: int, last: float) -> list[float]:
    """`steps` equally spaced times from 1 to T, both included; one step is T."""
    return [last - i * (last - 1) / max(steps - 1, 1) for i in range(steps)]


def quadratic(steps: int, last: float) -> list[float]:
    """1 + the whole part of squares of equally spaced numbers from 0 to sqrt(0.8 T): dense near the data.

    One step is the noisiest of these times.

    Reference: Song et al., "Denoising Diffusion Implicit Models" (2021), appendix D.2, quadratic.
    """
    end = math.sqrt(0.8 * last)
    places = [1.0] if steps == 1 else [i / (steps - 1) for i in range(steps)]
    return [1 + math.floor((end * place) ** 2) for place in places]


SPACINGS: dict[str, Callable[[int, float], list[float]]] = {
    "leading": leading,
    "trailing": trailing,
    "linspace": linspace,
    "quadratic": quadratic,
}


def time_grid(steps: int | None, last: int | float, spacing: str | Sequence[float] = "trailing") -> list[float]:
    """The times a sampler visits, from the noisiest down, with 0 at the end.

    Where only integer times exist they are rounded, and times that fall together are visited once: `quadratic` then
    has fewer steps than asked for. A step between equal times would change nothing.

    Args:
        steps: Evaluations of the denoiser; None for every integer time, or for as many as an explicit list has.
        last: The schedule's last time T; an int where only integer times exist.
        spacing: `leading`, `trailing`, `linspace`, `quadratic`, or the times themselves in any order.

    Raises:
        ValueError: `steps` does not fit the schedule or the list, or a listed time lies outside (0, T].
    """
    if isinstance(spacing, str):
        times = SPACINGS[spacing](_checked_steps(steps, last), last)
    else:
        times = list(spacing)
        if steps not in (None, len(times)):
            raise ValueError(f"steps must be null or the {len(times)} times listed in spacing, got {steps}")
    if isinstance(last, int):
        times = [round(time) for time in times]
    if not times or min(times) <= 0 or max(times) > last:
        raise ValueError(f"spacing must hold times in (0, {last}], got {times}")
    return [*sorted(set(times), reverse=True), 0]


def require_spacing(spacing: str | Sequence[float]) -> None:
    """Refuse a spacing of an unknown name.

    Raises:
        ValueError: `spacing` is a string other than the four names.
    """
    if isinstance(spacing, str) and spacing not in SPACINGS:
        raise ValueError(f"spacing must be one of {', '.join(SPACINGS)} or a list of times, got {spacing!r}")


def _checked_steps(steps: int | None, last: int | float) -> int:
    if steps is None and isinstance(last, int):
        return last
    if steps is None or steps < 1 or (isinstance(last, int) and steps > last):
        raise ValueError(f"steps must lie between 1 and the schedule's {last}, got {steps}")
    return steps
