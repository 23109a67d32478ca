"""How close every generated image comes to a real one of its own: PSNR and SSIM."""

from typing import ClassVar

from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.extractors.whole_images import Images, whole_images_of
from genexp.evaluation.metrics.base import Better, MetricKind, OfSets, Value
from genexp.evaluation.pairing import between, chunk_of, mean_of, require_matched
from genexp.evaluation.summaries import FeatureStore
from genexp.losses.structural_similarity import SIGMA, fitting_window, structural_similarity


class Reconstruction(OfSets):
    """PSNR (decibels) and SSIM between generated image i and real image i, each averaged over the images.

    For models that answer to a given image: super-resolution, inpainting, autoencoding. Higher is better for both.
    Traps: the sharper of two answers often scores lower, since a blurred mean has the least squared error; PSNR of a
    pair without any difference is infinite, and so is then the mean (`pooled`, the PSNR of the mean squared error over
    all pairs, stays finite as long as one pair differs); SSIM depends on the window, which is smaller than the usual 11
    on images below 11 pixels.

    Reference: Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
    Similarity" (2004).

    Args:
        extractor: The images, with their shape.
        window: Side of SSIM's window in pixels, odd; None: 11, or the largest that fits.
        sigma: Standard deviation of its Gaussian weights in pixels.
    """

    values: ClassVar[dict[str, Better]] = {"psnr": "higher", "ssim": "higher"}
    reacts: ClassVar[dict[str, str]] = {}
    kind: ClassVar[MetricKind] = "pairs"

    def __init__(self, extractor: Images, window: int | None = None, sigma: float = SIGMA) -> None:
        self.extractor = whole_images_of(type(self).__name__, extractor)
        self.window, self.sigma = fitting_window(extractor.shape, window), sigma

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> FeatureStore:
        """The real images.

        Raises:
            ValueError: the extractor is another than `Images`.
        """
        whole_images_of(type(self).__name__, extractor)
        return reference

    def compute(self, generated: FeatureStore, prepared: FeatureStore) -> dict[str, Value]:
        """The mean of both over all pairs.

        Raises:
            ValueError: there are not as many generated as real images, or their indices differ.
        """
        require_matched(type(self).__name__, generated, prepared)
        chunk = chunk_of(self.extractor.shape, 1 << 18)
        first, second = self.extractor.restored(generated.features), self.extractor.restored(prepared.features)
        error = between(squared_error, first, second, chunk)
        noise_ratio = -10 * (error / 4).log10()
        similarity = between(self._similarity, first, second, chunk)
        details = {"pooled": float(-10 * (error.mean() / 4).log10()), "identical": float((error == 0).sum())}
        return {
            "psnr": mean_of(noise_ratio, generated.group, details),
            "ssim": mean_of(similarity, generated.group),
        }

    def _similarity(self, first: Tensor, second: Tensor) -> Tensor:
        return structural_similarity(first, second, self.window, self.sigma)[0]


def squared_error(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared difference (B,) of images (B, C, H, W) in float64."""
    return (first.double() - second.double()).square().flatten(1).mean(1)
