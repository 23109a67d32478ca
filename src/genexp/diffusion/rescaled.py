"""Discrete schedules made from others."""

import torch

from genexp.diffusion.schedules import VariancePreserving


class ZeroTerminalSNR(VariancePreserving):
    """Another schedule, moved and stretched so that nothing of the image is left at its last time.

    alpha_t becomes (alpha_t - alpha_T) alpha_1 / (alpha_1 - alpha_T): the first time keeps its levels, the last is pure
    noise, as where sampling begins. The noise no longer leads back to the image there: a network predicts the velocity,
    the flow or the image.

    Reference: Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed" (2024), algorithm 1.

    Args:
        schedule: A schedule of at least two integer times.

    Raises:
        ValueError: it has one time, or is not discrete.
    """

    def __init__(self, schedule: VariancePreserving) -> None:
        if not schedule.discrete or schedule.last < 2:
            raise ValueError(
                f"schedule must have at least 2 integer times, got {type(schedule).__name__} up to {schedule.last:g}"
            )
        signal = schedule(torch.arange(schedule.last + 1), torch.float64)[0]
        first, last = signal[1], signal[-1]
        signal = torch.cat([signal[:1], (signal[1:] - last) * first / (first - last)])
        super().__init__(1 - (signal[1:] / signal[:-1]).square())
