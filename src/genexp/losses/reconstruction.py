"""Likelihoods of an image given a decoder's raw outputs: exact negative log-likelihoods in nats, summed over pixels.

The decoder returns `outputs(channels)` unbounded numbers per pixel, most often one a channel; what they mean, and the
activation they need, is the likelihood's own business. All densities are over image values in [-1, 1], so their nats
may be compared.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

from genexp.tensors import in_float32

BINARISATIONS = ("none", "threshold", "dynamic")
MINIMUM_STD = 1 / 255
"""Half of one 8-bit level in [-1, 1]: a learned standard deviation stays above it."""


class ReconstructionLikelihood(nn.Module, ABC):
    """The distribution p(image | raw) of independent pixels; calling it gives -log p(image | raw)."""

    levels: int | None = None
    """Values that a pixel may have, where p is a probability (and so has bits per dimension); None for a density."""

    parameters_per_value: int = 1
    """Numbers that a decoder returns of every pixel and channel, those of one kind together: (B, n * C, H, W)."""

    is_likelihood: bool = True
    """Whether the loss is a negative log-likelihood: of distances it is not, and the model has no density."""

    @abstractmethod
    def pixel_nll(self, raw: Tensor, image: Tensor) -> Tensor:
        """Nats (B, ...) of every value or pixel, negative logs of likelihoods; `raw` is float32 or better."""

    @abstractmethod
    def mean(self, raw: Tensor) -> Tensor:
        """The mean image in [-1, 1], the picture to show for raw decoder outputs (B, C, H, W)."""

    def observe(self, image: Tensor, uniform: Tensor) -> Tensor:
        """The data that this likelihood models, made from `image` with noise `uniform` in [0, 1) of the same shape."""
        return image

    def terms(self) -> dict[str, Tensor]:
        """Scalars worth logging beside the loss."""
        return {}

    def forward(self, raw: Tensor, image: Tensor) -> Tensor:
        """Negative log-likelihood of each image, summed over its pixels and channels.

        Args:
            raw: Decoder outputs (B, outputs(C), H, W), unbounded.
            image: Observed images (B, C, H, W) in [-1, 1].

        Returns:
            Nats (B,), in float32 or better whatever the precision of the decoder.

        Raises:
            ValueError: The shapes do not fit.
        """
        count, channels, *rest = image.shape
        if raw.shape != (expected := (count, self.outputs(channels), *rest)):
            rule = (
                f"of image {tuple(image.shape)}" if expected == image.shape else f"{expected} for image of {channels}"
            )
            raise ValueError(f"raw must have the shape {rule}, got {tuple(raw.shape)}")
        return self.pixel_nll(in_float32(raw), image).flatten(1).sum(1)

    def outputs(self, channels: int) -> int:
        """Numbers that a decoder returns of every pixel of so many channels."""
        return self.parameters_per_value * channels


class Bernoulli(ReconstructionLikelihood):
    """Binary pixels y in {-1, 1}: -log p(y) = softplus(-raw y), with mean tanh(raw / 2).

    On grey images this expression is not a likelihood, so they are refused unless `binarise` says how they become
    binary; `ContinuousBernoulli` models them as they are.

    Reference: Salakhutdinov and Murray, "On the Quantitative Analysis of Deep Belief Networks" (2008), for the
    binarisation that draws each pixel anew with its intensity as probability.

    Args:
        binarise: `none` (the data must be binary), `threshold` (at mid grey), or `dynamic` (drawn anew at every visit).
    """

    levels = 2

    def __init__(self, binarise: str = "none") -> None:
        super().__init__()
        if binarise not in BINARISATIONS:
            raise ValueError(f"binarise must be one of {', '.join(BINARISATIONS)}, got {binarise}")
        self.binarise = binarise

    def observe(self, image: Tensor, uniform: Tensor) -> Tensor:
        """Binary images in {-1, 1}.

        Raises:
            ValueError: `binarise` is `none` and the image has grey pixels.
        """
        if self.binarise == "none":
            if ((image.abs() - 1).abs() > 1e-4).any():
                raise ValueError(
                    "image must be binary for a Bernoulli likelihood, got grey values: take "
                    "model.reconstruction.binarise=threshold or dynamic, or model/reconstruction=continuous_bernoulli"
                )
            return image.sign()
        intensity = (image + 1) / 2
        return (intensity > (uniform if self.binarise == "dynamic" else 0.5)).to(image.dtype) * 2 - 1

    def pixel_nll(self, raw: Tensor, image: Tensor) -> Tensor:
        """-log of the probability of every pixel."""
        return functional.softplus(-raw * image)

    def mean(self, raw: Tensor) -> Tensor:
        """P(white) - P(black)."""
        return torch.tanh(raw / 2)


class ContinuousBernoulli(ReconstructionLikelihood):
    """Grey pixels y in [-1, 1] with density proportional to exp(h y), h = raw / 2, and its exact normaliser.

    -log p(y) = log(2 sinh(h) / h) - h y. The raw output is the logit of the usual parameter lambda; nothing is singular
    at lambda = 1/2, where h = 0. Over [0, 1] instead of [-1, 1] each pixel would have log 2 nats less.

    Reference: Loaiza-Ganem and Cunningham, "The continuous Bernoulli: fixing a pervasive error in variational
    autoencoders" (2019).
    """

    def pixel_nll(self, raw: Tensor, image: Tensor) -> Tensor:
        """-log density of every pixel."""
        h = raw / 2
        return math.log(2) + _log_sinhc(h) - h * image

    def mean(self, raw: Tensor) -> Tensor:
        """The Langevin function coth(h) - 1 / h."""
        return _langevin(in_float32(raw) / 2)


class Gaussian(ReconstructionLikelihood):
    """Pixels with mean `raw` and one standard deviation for all of them, fixed or learned.

    -log p(y) = (y - raw)^2 / (2 std^2) + log std + log(2 pi) / 2. The learned optimum is the root mean squared error,
    which balances reconstruction against the KL without a weight to tune.

    Reference: Rybkin, Daniilidis and Levine, "Simple and Effective VAE Training with Calibrated Decoders" (2021).

    Args:
        std: Standard deviation in image units (the image range is 2); the initial one if `learned`.
        learned: Whether it is a parameter of the model.
        clip: Whether mean images are clipped to [-1, 1], which a fit leaves by a little; not for points.
    """

    def __init__(self, std: float = 1.0, learned: bool = False, clip: bool = True) -> None:
        super().__init__()
        if learned and std <= MINIMUM_STD:
            raise ValueError(f"std must start above {MINIMUM_STD:.4f} to be learned, got {std}")
        if std <= 0:
            raise ValueError(f"std must be positive, got {std}")
        self.learned, self.clip = learned, clip
        if learned:
            self.raw_std = nn.Parameter(torch.tensor(math.log(math.expm1(std - MINIMUM_STD))))
        else:
            self.register_buffer("fixed_std", torch.tensor(float(std)), persistent=False)

    @property
    def std(self) -> Tensor:
        """The standard deviation, a scalar."""
        return MINIMUM_STD + functional.softplus(self.raw_std) if self.learned else self.fixed_std

    def pixel_nll(self, raw: Tensor, image: Tensor) -> Tensor:
        """-log density of every pixel, constants included."""
        return ((image - raw) / self.std).square() / 2 + self.std.log() + math.log(2 * math.pi) / 2

    def mean(self, raw: Tensor) -> Tensor:
        """The mean itself, clipped to the image range if `clip`."""
        return raw.clamp(-1, 1) if self.clip else raw

    def terms(self) -> dict[str, Tensor]:
        """The standard deviation, if it is learned."""
        return {"std": self.std} if self.learned else {}


def _log_sinhc(h: Tensor) -> Tensor:
    """log(sinh(h) / h): a series where |h| < 1/2, else h + log(1 - exp(-2 h)) - log(2 h) of |h|."""
    near = h.abs() < 0.5
    square = h.square().where(near, 0)
    series = square * (1 / 6 - square * (1 / 180 - square * (1 / 2835 - square / 37800)))
    far = h.abs().where(~near, 1)
    return torch.where(near, series, far + torch.log1p(-torch.exp(-2 * far)) - torch.log(2 * far))


def _langevin(h: Tensor) -> Tensor:
    """coth(h) - 1 / h, the derivative of `_log_sinhc`."""
    near = h.abs() < 0.5
    small, far = h.where(near, 0), h.where(~near, 1)
    square = small.square()
    series = small * (1 / 3 - square * (1 / 45 - square * (2 / 945 - square / 4725)))
    return torch.where(near, series, 1 / torch.tanh(far) - 1 / far)
