"""The interfaces by which the layers know each other. Nothing here computes."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypedDict, runtime_checkable

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning
from genexp.contracts.in_order import Autoregressive
from genexp.tensors import IndexedNoise


class Batch(TypedDict, total=False):
    """What every data source yields: named tensors with the batch on axis 0."""

    image: Tensor  # (B, C, H, W) float in [-1, 1]; (B, 2) for point data; (B, T, C, H, W) for video of T frames
    code: Tensor  # (B, *code_shape), what a codec makes of the image, where that is known already
    label: Tensor  # (B,) int64 in [0, num_classes)
    index: Tensor  # (B,) int64, the position of each sample in its split
    group: Tensor  # (B,) int64, the part of its set that each sample is dealt into, for the jackknife
    content: Tensor  # (B, 3, H, W), style transfer
    style: Tensor  # (B, 3, H, W), style transfer
    low_res: Tensor  # (B, C, h, w), super-resolution


class Schedule(Protocol):
    """Signal and noise levels of x_t = alpha x + sigma eps as functions of time, from clean data at 0 to `last`.

    The signal-to-noise ratio falls with time; its logarithm is time for solvers that know no other.
    """

    discrete: bool  # only the integer times 0 .. last exist, in tensors of integers; else times are real
    first: float  # the time of the least noise that a network is trained at, above 0
    last: float  # the time of the most noise, where images grow from

    def __call__(self, t: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Times (B,) to (alpha, sigma), each (B,), on the device of `t`."""

    def times(self, place: Tensor) -> Tensor:
        """Training times (B,) from places (B,) uniform in [0, 1), rising with them."""

    def embedded(self, t: Tensor) -> Tensor:
        """What a network is told of times (B,): numbers (B,)."""

    def log_snr(self, t: Tensor) -> Tensor:
        """log(alpha^2 / sigma^2) at times (B,), float64; infinite at clean data and where there is no signal."""

    def at_snr(self, log_snr: Tensor) -> Tensor:
        """The inverse of `log_snr`: real times (B,), float64; of a discrete schedule between its integer ones."""


@runtime_checkable
class Denoiser(Protocol):
    """The posterior mean E[x | x_t] of a diffusion process, whatever its network predicts.

    Times are those of `schedule`, above 0: of a discrete process of T steps the integers 1 .. T. What a call does not
    tell of `conditioning` is left out: without any it is the unconditional mean.
    """

    image_shape: tuple[int, ...]
    conditioning: Conditioning
    schedule: Schedule

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor: ...


@runtime_checkable
class LatentDecoder(Protocol):
    """A model that turns a latent with a standard normal prior into an image in one pass."""

    latent_shape: tuple[int, ...]
    conditioning: Conditioning

    def decode(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor: ...


@runtime_checkable
class LatentEncoder(LatentDecoder, Protocol):
    """A latent decoder that can also say which latents stand for given images."""

    def encode(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """The one latent (B, *latent_shape) that stands best for every image (B, C, H, W)."""
        ...

    def latents(self, batch: Batch, noise: IndexedNoise) -> Tensor:
        """A latent (B, *latent_shape) for every image of `batch`; what is random in it comes from `noise`."""
        ...


@runtime_checkable
class ImageMap(Protocol):
    """A model that turns given images into other images: style transfer, super-resolution."""

    def render(self, batch: Batch) -> Tensor: ...


@runtime_checkable
class Stylizer(Protocol):
    """A model that gives contents (B, 3, H, W) the style of other images, as strongly as `alpha` of [0, 1] says."""

    def stylize(self, content: Tensor, style: Tensor, alpha: float) -> Tensor: ...


@runtime_checkable
class JudgedMap(Protocol):
    """An image map that can say how far rendered images are from what they should be, on a scale without weights."""

    def render(self, batch: Batch) -> Tensor: ...

    def distances(self, images: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Named distances (B,) of `images` (B, C, H, W), rendered from `batch`; smaller is better."""
        ...

    def yardstick(self) -> tuple[str, str, str]:
        """What the distances are measured with: their settings in one line, an encoder's name, and its digest."""
        ...


class Noise(Protocol):
    """Random numbers for the samples of a batch, one row each; successive calls go on."""

    def normal(self, *shape: int) -> Tensor: ...  # (B, *shape) standard normal values

    def uniform(self, *shape: int) -> Tensor: ...  # (B, *shape) values uniform in [0, 1]


@runtime_checkable
class Density(Protocol):
    """A model that can say how likely data are, exactly or by a lower bound.

    `levels` is the number of values that a pixel may have, evenly spread over [-1, 1], where `log_prob` is that of a
    probability; None where it is that of a density over values in [-1, 1]. `exact` tells an exact value from a lower
    bound.
    """

    @property
    def levels(self) -> int | None: ...

    @property
    def exact(self) -> bool: ...

    def observe(self, batch: Batch, noise: Noise) -> Batch:
        """The data as the model sees them: quantised, dequantised, binarised; with all that is random in `log_prob`."""
        ...

    def log_prob(self, batch: Batch) -> Tensor:
        """Nats (B,) of an observed batch, given what a conditional model is told."""
        ...


@runtime_checkable
class StartsFromData(Protocol):
    """A model some of whose weights are set by the first batch of training, before its first step."""

    def start_from(self, batch: Batch) -> None:
        """Set them from the whole observed batch of this process; nothing where they have been set or loaded."""
        ...


@runtime_checkable
class Reconstructor(Protocol):
    """A model that encodes given images and decodes them again."""

    def reconstruct(self, batch: Batch) -> Tensor:
        """The images (B, C, H, W) in [-1, 1] of a batch as they come back."""
        ...


Source = Denoiser | LatentDecoder | ImageMap | Autoregressive
"""What a sampler draws from."""

Progress = Callable[[int, int], None]
"""Called as progress(done, total) after every step of a sampler."""


@runtime_checkable
class Sampler(Protocol):
    """How images are drawn from a trained model. Knows the model by protocol only; never holds it."""

    def require(self, model: object) -> None:
        """Raise TypeError unless it draws from `model`, ValueError where a setting does not fit it."""
        ...

    def start(self, model: object, noise: IndexedNoise) -> Tensor:
        """The initial noise or latent, one row a sample; what an interpolation interpolates."""
        ...

    def run(
        self,
        model: object,
        start: Tensor,
        noise: IndexedNoise,
        condition: Condition = UNCONDITIONAL,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] grown from `start`."""
        ...


@runtime_checkable
class FittedSampler(Protocol):
    """A sampler that first learns from the training images how the latents of a model are distributed."""

    def fit(self, model: object, batches: Iterable[Batch]) -> None:
        """Learn from images (B, C, H, W) in a fixed order; replaces what was learned before."""
        ...


class FeatureExtractor(Protocol):
    """Images to feature vectors, with a name and a digest of its weights that identify it in every reported number.

    `dimensions` is the length D of a feature vector; `image_size` is the side in pixels that images are brought to, or
    None, and `resize` names how.
    """

    name: str
    digest: str
    dimensions: int
    image_size: int | None
    resize: str

    def __call__(self, image: Tensor) -> Tensor:
        """Float images (B, C, H, W) in [-1, 1] to features (B, D)."""
        ...
