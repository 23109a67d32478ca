"""The deep convolutional generator and discriminator of the DCGAN, for square images of 8 to 128 pixels.

Reference: Radford, Metz and Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks" (2016).
"""

from itertools import pairwise
from math import log2
from typing import Any

from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.classes import ReadsBeside, ToldBy, vectors_of
from genexp.networks.discriminator import Discriminator, with_planes
from genexp.networks.feature_norms import FEATURE_NORMS, ClassBatchNorm, NoNorm
from genexp.networks.layer_weights import WEIGHT_NORMS, LayerWeights, require_one_of
from genexp.networks.packing import packed

NORMS = ("batch", "spectral", "none")
DISCRIMINATOR_NORMS = (*NORMS, "layer", "instance", "weight")
CONDITIONINGS = ("latent", "norm")


class DCGANGenerator(ReadsBeside):
    """Latents to images: a small seed, then one strided transposed convolution for every doubling of the size.

    Args:
        image_size: Side of the square images in pixels, a power of two from 8 to 128.
        channels: Channels of the images.
        latent_size: Size of the latent.
        width: Channels at half the image size; twice as many at every size below.
        norm: `batch`, `spectral` or `none`.
        num_classes: Number of classes; None for an unconditional generator.
        conditioning: Where the class enters: `latent` concatenates an embedding to the latent, `norm` gives every
            batch norm a gain and bias of the class (see `ClassBatchNorm`). Without effect if there are no classes.
        base_size: Side of the seed, 2 or 4.
        told: What makes a vector of a further condition, beside the latent, by its name.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        latent_size: int = 64,
        width: int = 64,
        norm: str = "batch",
        num_classes: int | None = None,
        conditioning: str = "latent",
        base_size: int = 4,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__()
        require_one_of("norm", norm, NORMS)
        require_one_of("conditioning", conditioning, CONDITIONINGS)
        if num_classes and conditioning == "norm" and norm != "batch":
            raise ValueError(f"norm must be batch for conditioning=norm, got {norm!r}")
        if told and conditioning == "norm":
            raise ValueError(f"conditioning must be latent with told of {', '.join(told)}, got 'norm'")
        sizes = _doublings(image_size, base_size)
        self.latent_shape = (latent_size,)
        self.num_classes = num_classes
        inputs = latent_size + self._tell(latent_size, told, apart=conditioning == "latent")
        normed_classes = num_classes if self.embedding is None else None
        widths = [width * 2**i for i in reversed(range(sizes))]
        ready = _ready(norm)
        self.seed = ready(nn.ConvTranspose2d(inputs, widths[0], base_size, bias=norm != "batch"))
        self.growths = nn.ModuleList(
            ready(nn.ConvTranspose2d(before, after, 4, 2, 1, bias=norm != "batch"))
            for before, after in pairwise(widths)
        )
        self.norms = nn.ModuleList(_batch_norm(count, norm, normed_classes) for count in widths)
        self.output = ready(nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1))

    def forward(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, latent_size) and a condition to images (B, C, H, W) in [-1, 1]."""
        hidden, label = self.seed(self.beside(latent, condition)[:, :, None, None]), condition.get("label")
        for norm, growth in zip(self.norms, [*self.growths, self.output], strict=True):
            hidden = growth(norm(hidden, label).relu())
        return hidden.tanh()


class DCGANDiscriminator(Discriminator):
    """Images to scores: one strided convolution for every halving of the size, then a linear map of all features.

    References, of the norms: Ioffe and Szegedy, "Batch Normalization" (2015); Ba, Kiros and Hinton, "Layer
    Normalization" (2016); Salimans and Kingma, "Weight Normalization" (2016); Miyato et al., "Spectral Normalization
    for Generative Adversarial Networks" (2018).

    Args:
        image_size: Side of the square images in pixels, a power of two from 8 to 128.
        channels: Channels of the images.
        width: Channels at half the image size; twice as many at every size below.
        norm: Of features, not after the first convolution: `batch`, `layer` (over all features of a sample, with a
            gain and bias for every channel) or `instance` (over the pixels of every channel). Of weights, the class
            embedding included: `spectral`, or `weight` (every output's weights are a learned length times a unit
            vector). Or `none`.
        base_size: Side of the last features, 2 or 4.
        num_classes: Number of classes; None for an unconditional discriminator.
        settings: Everything else that a `Discriminator` takes; with `conditioning` `concat` a vector of each condition
            stands in as many planes beside the image as the image has.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        width: int = 64,
        norm: str = "spectral",
        num_classes: int | None = None,
        base_size: int = 4,
        **settings: Any,
    ) -> None:
        super().__init__(num_classes, **settings)
        require_one_of("norm", norm, DISCRIMINATOR_NORMS)
        widths = [width * 2**i for i in range(_doublings(image_size, base_size))]
        ready = _ready(norm)
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(zip([self.pack * channels, *widths[:-1]], widths, strict=True)):
            normed = norm in FEATURE_NORMS and i > 0
            inputs = before + (channels * self.count_beside if i == 0 else 0)
            layers.append(ready(nn.Conv2d(inputs, after, 4, 2, 1, bias=not normed)))
            if normed:
                layers.append(_gain(FEATURE_NORMS[norm](after)))
            layers.append(nn.LeakyReLU(0.2))
        self.body = nn.Sequential(*layers, nn.Flatten())
        self._judge_by(widths[-1] * base_size**2, ready)
        self.planes = self._tell(channels, ready) if self.concatenated else None

    def features(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) and what they are told to features (B, F), of packs (ceil(B / n), F)."""
        if self.concatenated:
            image = with_planes(image, vectors_of(condition, self.planes, self.told))
        return self.body(packed(image, self.pack))


def _batch_norm(count: int, norm: str, num_classes: int | None) -> nn.Module:
    return ClassBatchNorm(count, num_classes) if norm == "batch" else NoNorm()


def _ready(norm: str) -> LayerWeights:
    """Weights from N(0, 0.02), biases zero; then the norm if it is one of weights."""
    return LayerWeights("normal", norm if norm in WEIGHT_NORMS else "none")


def _gain(layer: nn.Module) -> nn.Module:
    nn.init.normal_(layer.weight, 1.0, 0.02)
    return layer


def _doublings(image_size: int, base_size: int) -> int:
    if image_size not in (8, 16, 32, 64, 128):
        raise ValueError(f"image_size must be a power of two from 8 to 128, got {image_size}")
    if base_size not in (2, 4):
        raise ValueError(f"base_size must be 2 or 4, got {base_size}")
    return int(log2(image_size // base_size))
