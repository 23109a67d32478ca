"""Counting modes: which classes, or which Gaussians, a generator produces at all."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.data.toy2d import Kind, Toy2d
from genexp.evaluation.dealing import GROUPS
from genexp.evaluation.extractors.classifiers import classifier_of
from genexp.evaluation.jackknife import draws_of_mean, draws_of_sums, groups_to_leave_out
from genexp.evaluation.metrics.base import DISTANCE, SHARE, Better, Curve, OfSets, Value
from genexp.evaluation.summaries import FeatureStore

SHOWN = 100
"""Modes up to which their histogram is kept."""

_CHUNK = 1024


@dataclass(frozen=True)
class RealModes:
    """How often real images fall into every mode (M,), and how the mode of features (B, D) is found."""

    counts: Tensor
    assign: Callable[[Tensor], Tensor]


class Modes(OfSets):
    r"""How many of a classifier's classes appear among generated images, and how far their frequencies are off.

    `modes` counts the classes that at least one generated image is taken for. `mode_kl` is the reverse divergence
    KL(generated class shares || real class shares) in nats; half a count is added to every class of the real side, so
    that a class which no real image is taken for leaves it finite. Up to 100 classes its picture and table are the
    histogram of classes beside that of real images.

    More modes and a smaller divergence are better. Traps: every image counts for some class, noise too, so read both
    beside a measure of quality; the number of modes grows with the number of images (for 1,000 modes take at least
    20,000); with N images of C classes the divergence of a perfect generator is about (C - 1) / (2 N), a bias
    that the mean of the pseudo-values does without.

    References: Metz, Poole, Pfau and Sohl-Dickstein, "Unrolled Generative Adversarial Networks" (2017); Srivastava,
    Valkov, Russell, Gutmann and Sutton, "VEEGAN" (2017).

    Args:
        extractor: Features of its own, or None for those of the evaluation; it must classify.
    """

    values: ClassVar[dict[str, Better]] = {"modes": "higher", "mode_kl": "lower"}
    reacts: ClassVar[dict[str, str]] = {"missing_class": "worse", "blur": "worse"}

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> RealModes:
        """Count the classes of the real images.

        Raises:
            ValueError: the extractor does not classify, or there are no real images.
        """
        _require_some(reference, "real")
        logits = classifier_of(extractor)
        classes = logits(reference.features[:1]).shape[1]

        def assign(features: Tensor) -> Tensor:
            return torch.cat([logits(chunk).argmax(1) for chunk in features.split(_CHUNK)])

        return RealModes(assign(reference.features).bincount(minlength=classes), assign)

    def compute(self, generated: FeatureStore, prepared: RealModes) -> dict[str, Value]:
        """Number of classes hit and divergence.

        Raises:
            ValueError: there are no generated images.
        """
        _require_some(generated, "generated")
        mode = prepared.assign(generated.features)
        hit = len(mode.unique())
        details = {"classes": float(len(prepared.counts)), "real": float((prepared.counts > 0).sum())}
        return {"modes": Value(float(hit), (), details), "mode_kl": _divergence(mode, generated.group, prepared.counts)}


class PointModes(OfSets):
    r"""How many of known Gaussians generated points hit, how evenly, and the share of points that belong to one.

    A point belongs to its nearest centre; it is of high quality when it lies within `reach` standard deviations of it.
    `modes` counts the centres with at least one point of high quality, `mode_quality` is the share of such points, and
    `mode_kl` is KL(generated shares || real shares) over the nearest centres of all points, with half a count added to
    every mode of the real side.

    More modes, a higher quality and a smaller divergence are better. Trap: real points reach a quality below 1, namely
    1 - exp(-reach^2 / 2) in the plane (0.989 at 3), and points crowded on the centres exceed it.

    References: Srivastava, Valkov, Russell, Gutmann and Sutton, "VEEGAN" (2017); Lin, Khetan, Fanti and Oh, "PacGAN"
    (2018).

    Args:
        centres: The means (M, D) of the Gaussians.
        std: Their standard deviation along every axis.
        reach: Standard deviations within which a point is of high quality.
        extractor: Coordinates of points, or None for the features of the evaluation.

    Raises:
        ValueError: an argument is out of range.
    """

    values: ClassVar[dict[str, Better]] = {"modes": "higher", "mode_kl": "lower", "mode_quality": "higher"}
    reacts: ClassVar[dict[str, str]] = {}  # points are no images

    def __init__(
        self,
        centres: Tensor | Sequence[Sequence[float]],
        std: float,
        reach: float = 3.0,
        extractor: FeatureExtractor | None = None,
    ) -> None:
        means = torch.as_tensor(centres, dtype=torch.float64)
        if means.ndim != 2 or not len(means):
            raise ValueError(f"centres must have shape (M, D), got {tuple(means.shape)}")
        if std <= 0:
            raise ValueError(f"std must be above 0, got {std}")
        if reach <= 0:
            raise ValueError(f"reach must be above 0, got {reach}")
        self._centres, self.std, self.reach, self.extractor = means, std, reach, extractor
        self.centres = f"{len(means)}@{hashlib.sha256(means.float().numpy().tobytes()).hexdigest()[:8]}"

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> RealModes:
        """Count the nearest centres of the real points.

        Raises:
            ValueError: there are no real points, or the features are not points of the centres' space.
        """
        _require_some(reference, "real")
        dimensions = self._centres.shape[1]
        if reference.dimensions != dimensions:
            raise ValueError(f"features must be points with {dimensions} coordinates, got {reference.dimensions}")
        counts = self._nearest(reference.features)[0].bincount(minlength=len(self._centres))
        return RealModes(counts, lambda points: self._nearest(points)[0])

    def compute(self, generated: FeatureStore, prepared: RealModes) -> dict[str, Value]:
        """Modes hit, divergence and share of high quality.

        Raises:
            ValueError: there are no generated points.
        """
        _require_some(generated, "generated")
        mode, distance = self._nearest(generated.features)
        good = distance <= self.reach * self.std
        share = good.double()
        return {
            "modes": Value(float(len(mode[good].unique())), (), {"classes": float(len(self._centres))}),
            "mode_kl": _divergence(mode, generated.group, prepared.counts),
            "mode_quality": Value(float(share.mean()), draws_of_mean(share, generated.group), limits=SHARE),
        }

    def _nearest(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest centre (N,) of points (N, D), and the distance (N,) to it."""
        found = [torch.cdist(chunk.double(), self._centres).min(1) for chunk in points.split(_CHUNK)]
        return torch.cat([part.indices for part in found]), torch.cat([part.values for part in found])


def toy_centres(kind: Kind, scale: float = 1.0) -> Tensor:
    """Means (M, 2) of the Gaussians of `data=toy2d`.

    Raises:
        ValueError: that distribution is no mixture of Gaussians.
    """
    centres = Toy2d(kind, scale=scale).centres
    if centres is None:
        raise ValueError(f"kind must have Gaussian modes (ring or grid), got {kind!r}")
    return centres


def divergence(counts: Tensor, real_counts: Tensor) -> float:
    """KL(shares of `counts` (M,) || shares of `real_counts` (M,) with half a count added to each), in nats."""
    share = counts.double() / counts.sum()
    real = real_counts.double() + 0.5
    return float(torch.xlogy(share, share * real.sum() / real).sum())


def _divergence(mode: Tensor, group: Tensor, real_counts: Tensor) -> Value:
    modes = len(real_counts)
    counts = mode.bincount(minlength=modes)
    value, curve = divergence(counts, real_counts), histogram(counts, real_counts) if modes <= SHOWN else None
    if not groups_to_leave_out(group):
        return Value(value, curve=curve)
    by_group = (group * modes + mode).bincount(minlength=GROUPS * modes).reshape(GROUPS, modes)
    sizes = by_group.sum(1).tolist()
    draws = draws_of_sums(by_group.sum(0), by_group, lambda counts: divergence(counts, real_counts), sizes)
    return Value(value, draws, limits=DISTANCE, curve=curve)


def histogram(counts: Tensor, real_counts: Tensor) -> Curve:
    """Shares of `counts` (M,) by mode, their standard errors as of independent samples, and those of `real_counts`."""
    total = float(counts.sum())
    share = counts.double() / total
    columns = {
        "mode": torch.arange(len(counts)).tolist(),
        "share": share.tolist(),
        "standard_error": (share * (1 - share) / total).sqrt().tolist(),
        "real": (real_counts.double() / real_counts.sum()).tolist(),
    }
    return Curve("mode", "share", columns)


def _require_some(store: FeatureStore, which: str) -> None:
    if not store.count:
        raise ValueError(f"counting modes needs at least 1 {which} image, got 0")
