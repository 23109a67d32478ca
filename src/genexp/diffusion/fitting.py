"""What a prediction, a schedule and a weighting must have to go together."""

import torch

from genexp.contracts import Schedule
from genexp.diffusion.prediction import Epsilon, Flow, Preconditioned, Prediction, Sample, Velocity
from genexp.diffusion.weighting import UniformPreconditioned, Weighting

NAMED: dict[str, Prediction] = {
    "epsilon": Epsilon(),
    "sample": Sample(),
    "velocity": Velocity(),
    "flow": Flow(),
    "edm": Preconditioned(),
}
"""Predictions that are no matter of a goal, by the names of their files in conf/model/prediction."""


def require_leading_back(prediction: Prediction, schedule: Schedule) -> None:
    """Check with one pixel that the target of a noisy image leads back to the clean one, as at pure noise some do not.

    Where the network's output has no part in the clean image, there is no target.

    Raises:
        ValueError: it does not.
    """
    if (lost := _lost(prediction, schedule)) is not None:
        fitting = [name for name, each in NAMED.items() if _lost(each, schedule) is None]
        remedy = f"; these fit this schedule: model/prediction={', '.join(fitting)}" if fitting else ""
        raise ValueError(
            f"prediction must lead back to the clean image at every time of the schedule, got "
            f"{type(prediction).__name__} with {type(schedule).__name__}: {lost}{remedy}"
        )


def _lost(prediction: Prediction, schedule: Schedule) -> str | None:
    """What is found for a pixel of 1, and when; None where that is 1 at the middle, the last and the first time."""
    first, last = schedule.first, schedule.last
    middle = (first + last) // 2 if schedule.discrete else (first + last) / 2
    t = torch.tensor([middle, last, first], dtype=torch.int64 if schedule.discrete else torch.float64)
    alpha, sigma = schedule(t, torch.float64)
    target = prediction.target(torch.ones_like(alpha), -torch.ones_like(alpha), alpha, sigma)
    found = prediction.to_sample(target, alpha - sigma, alpha, sigma)
    scale = prediction.scale(alpha, sigma)
    for time, value, part in zip(t.tolist(), found.tolist(), scale.tolist(), strict=True):
        if part != 0 and not abs(value - 1) < 1e-6:
            return f"{value:.3g} for 1 at time {time:g}"
    return None


def require_same_spread(prediction: Prediction, weighting: Weighting) -> None:
    """Check that a weighting which is even in the error of a preconditioned network is of the network that is there.

    Raises:
        ValueError: they take the data for spread otherwise.
    """
    if isinstance(weighting, UniformPreconditioned) and isinstance(prediction, Preconditioned):
        ours, theirs = weighting.data_std, prediction.data_std
        if ours != theirs:
            raise ValueError(
                f"weighting must have the data_std of the prediction, {theirs:g}, got {ours:g}: every time counts "
                f"the same only then; type model.weighting.data_std={theirs:g} too"
            )
