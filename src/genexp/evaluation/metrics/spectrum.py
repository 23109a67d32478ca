"""How far the spatial frequencies of generated images are off."""

from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.dealing import GROUPS
from genexp.evaluation.grouped_moments import GroupedMoments
from genexp.evaluation.metrics.base import DISTANCE, Better, OfSets, Value
from genexp.evaluation.radial_spectrum import RadialSpectrum
from genexp.evaluation.uncertainty import pseudo_values


class Spectrum(OfSets):
    """Root mean square difference, in decibels, between the mean log spectra of generated and of real images.

    Lower is better; 0 means that on average every spatial frequency has its share. Blur, noise and the checkerboards of
    up-convolutions show as bins that are off (details `bin_<cycles an image>`: generated minus real). Traps: it looks
    at averages only and says nothing about content; images of few modes pass if their average spectrum is right.

    Reference: Durall, Keuper and Keuper, "Watch your Up-Convolution: CNN Based Generative Deep Neural Networks are
    Failing to Reproduce Spectral Distributions" (2020).

    Args:
        extractor: The spectra, with the shape of the images.
    """

    values: ClassVar[dict[str, Better]] = {"spectrum": "lower"}
    reacts: ClassVar[dict[str, str]] = {"collapse": "worse", "noise": "worse", "blur": "worse", "jpeg": "worse"}
    statistic = GroupedMoments

    def __init__(self, extractor: RadialSpectrum) -> None:
        self.extractor = extractor

    def prepare(self, reference: GroupedMoments, extractor: FeatureExtractor) -> Tensor:
        """The mean log spectrum of the real images.

        Raises:
            ValueError: the extractor gives something else than spectra, or there are no images.
        """
        if not isinstance(extractor, RadialSpectrum):
            raise ValueError(f"Spectrum needs the extractor RadialSpectrum, got {type(extractor).__name__}")
        return _mean(reference)

    def compute(self, generated: GroupedMoments, prepared: Tensor) -> dict[str, Value]:
        """The distance of the mean log spectra.

        Raises:
            ValueError: there are no generated images.
        """
        gap = _mean(generated) - prepared
        value = _root_mean_square(gap)
        draws: list[float] = []
        sizes = generated.sizes
        if generated.count >= 2 * GROUPS and len(sizes) > 1 and min(sizes) > 0:
            without = [_root_mean_square(rest.mean - prepared) for rest in generated.without_each()]
            draws = pseudo_values(value, without, sizes)
        details = {f"bin_{radius}": float(decibels) for radius, decibels in zip(self.extractor.radii, gap, strict=True)}
        return {"spectrum": Value(value, tuple(draws), details, DISTANCE)}


def _mean(statistic: GroupedMoments) -> Tensor:
    if statistic.count < 1:
        raise ValueError(f"a mean spectrum needs at least 1 image, got {statistic.count}")
    return statistic.total.mean


def _root_mean_square(gap: Tensor) -> float:
    return float(torch.linalg.vector_norm(gap) / len(gap) ** 0.5)
