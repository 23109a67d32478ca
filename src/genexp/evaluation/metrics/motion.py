"""Whether what moves in videos moves as it should."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.extractors.motion import Motion
from genexp.evaluation.jackknife import centred_draws, draws_of_mean, groups_to_leave_out, sizes_of
from genexp.evaluation.metrics.base import DISTANCE, Better, OfSets, Value
from genexp.evaluation.summaries import FeatureStore

_UNITS = {"error": "pixels", "jerk": "pixels", "bend": "pixels", "size": "", "brightness": "", "shape": ""}


class MotionError(OfSets):
    """How far videos of one shape are from steady motion on a straight line, and their speeds from real ones.

    Means over videos of what `Motion` says of each, lower is better: `motion_error` and its parts `motion_jerk` (along
    the line) and `motion_bend` (across it) in pixels; `motion_size`, `motion_brightness` and `motion_shape`, by which
    share of itself each of them changes from frame to frame. `motion_speeds` is the distance between the distributions
    of generated and real speeds, in pixels a frame: the mean difference of the i-th slowest of both (Wasserstein-1).
    Real videos have values above 0 as well, by their pixels and by the number of videos: the floor. Traps: a shape that
    stands still is perfectly steady, and only `motion_speeds` tells; variety of place and shape is not seen at all.

    Args:
        extractor: What is told of a video.
    """

    values: ClassVar[dict[str, Better]] = {
        **{f"motion_{name}": "lower" for name in _UNITS},
        "motion_speeds": "lower",
    }
    reacts: ClassVar[dict[str, str]] = {}

    def __init__(self, extractor: Motion) -> None:
        self.extractor = extractor

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> Tensor:
        """The speeds (N,) of real videos, slowest first.

        Raises:
            ValueError: the extractor tells nothing of motion, or there are no videos.
        """
        if not isinstance(extractor, Motion):
            raise ValueError(f"MotionError needs the extractor Motion, got {type(extractor).__name__}")
        return _speeds(reference)

    def compute(self, generated: FeatureStore, prepared: Tensor) -> dict[str, Value]:
        """The values, with the interval of other videos.

        Raises:
            ValueError: there are no videos.
        """
        speeds = _speeds(generated)
        told = generated.features.double()
        found = {}
        for place, (name, unit) in enumerate(_UNITS.items()):
            draws = draws_of_mean(told[:, place], generated.group)
            found[f"motion_{name}"] = Value(float(told[:, place].mean()), draws, limits=DISTANCE, unit=unit)
        distance = wasserstein(speeds, prepared)
        draws = self._draws(distance, generated, prepared)
        details = {"mean": float(speeds.mean()), "mean_real": float(prepared.mean())}
        found["motion_speeds"] = Value(distance, draws, details, DISTANCE, "pixels a frame")
        return found

    def _draws(self, whole: float, generated: FeatureStore, real: Tensor) -> Sequence[float]:
        groups = groups_to_leave_out(generated.group)
        if not groups:
            return ()
        speeds, without = generated.features[:, -1].double(), []
        for own in groups:
            kept = torch.ones(len(speeds), dtype=torch.bool)
            kept[own] = False
            without.append(wasserstein(speeds[kept].sort().values, real))
        return tuple(centred_draws(whole, without, sizes_of(groups)))


def wasserstein(first: Tensor, second: Tensor) -> float:
    """The area between the distribution functions of two sets of numbers, (N,) and (M,), each in ascending order."""
    ends = torch.cat([first, second]).sort().values
    shares = [torch.searchsorted(each, ends[:-1], right=True) / len(each) for each in (first, second)]
    return float(((shares[0] - shares[1]).abs() * ends.diff()).sum())


def _speeds(store: FeatureStore) -> Tensor:
    if store.count < 1:
        raise ValueError("motion needs at least 1 video, got 0")
    return store.features[:, -1].double().sort().values
