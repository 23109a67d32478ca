"""The generator and discriminator of StyleGAN2, for square images of 8 to 128 pixels.

Reference: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.batch_sight import Diversity
from genexp.networks.classes import ReadsFurther, ToldBy
from genexp.networks.discriminator import Discriminator
from genexp.networks.equalised import Leaky, equalised, leaky, leaky_convolution
from genexp.networks.modulated import StyledLayer, ToImage
from genexp.networks.resampling import Filter, widths_by_size
from genexp.networks.style_mapping import StyleMapping


class StyleGAN2Generator(ReadsFurther, nn.Module):
    """Latents to styles, and a learned constant under these styles to an image, summed up over all sizes.

    All that is random of an image is its latent: the z that becomes the style; for mixing a second z and a normal
    value u, by whose rank the layer is chosen from which on the second one counts; and the noise of every layer, in
    this order. So an image is a function of its latent and condition, as in every generator of the house: the same in
    any batch and for any sampler, and repeated by the seed. The paper draws noise within the layers.

    In training a share `mixing` of images has two styles (style mixing), and the mean of styles follows; in evaluation
    neither.

    Args:
        image_size: Side of the square images in pixels, a power of two from 8 to 128.
        channels: Channels of the images.
        latent_size: Size of z.
        style_size: Size of the style vectors w.
        width: Channels at the full size; twice as many at every half, at most `widest`.
        widest: Largest number of channels.
        depth: Layers of the mapping from z to w.
        mixing: Share of training images with two styles, in [0, 1]; 0.9 in the paper.
        noise: Whether layers take noise.
        num_classes: Number of classes; None for an unconditional generator.
        told: What makes a vector of a further condition, which the mapping sees, by its name.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        latent_size: int = 512,
        style_size: int = 512,
        width: int = 64,
        widest: int = 512,
        depth: int = 8,
        mixing: float = 0.9,
        noise: bool = True,
        num_classes: int | None = None,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= mixing <= 1:
            raise ValueError(f"mixing must lie in [0, 1], got {mixing}")
        widths = widths_by_size(image_size, width, widest)
        self.num_classes, self.mixing = num_classes, mixing
        self.mapping = StyleMapping(latent_size, style_size, depth, num_classes, told)
        self.constant = nn.Parameter(torch.empty(widths[4], 4, 4))
        nn.init.normal_(self.constant)
        self.first = StyledLayer(widths[4], widths[4], style_size)
        self.doublings = nn.ModuleList(StyledLayer(a, b, style_size, double=True) for a, b in pairwise(widths.values()))
        self.layers = nn.ModuleList(StyledLayer(count, count, style_size) for count in list(widths.values())[1:])
        self.outputs = nn.ModuleList(ToImage(count, channels, style_size) for count in widths.values())
        self.filter = Filter()
        self.style_count = 2 * len(widths)
        self._noise_sizes = [4, *(size for size in list(widths)[1:] for _ in range(2))] if noise else []
        self._parts = [latent_size, *([latent_size, 1] if mixing else [0, 0]), sum(n**2 for n in self._noise_sizes)]
        self.latent_shape = (sum(self._parts),)

    @property
    def told(self) -> nn.ModuleDict:
        """What makes vectors of further conditions."""
        return self.mapping.told

    @property
    def mean_style(self) -> Tensor:
        """The running mean (style_size,) of w over training images."""
        return self.mapping.mean

    def forward(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, *latent_shape) and a condition to images (B, C, H, W), taught but not bound to lie in [-1, 1]."""
        return self.synthesise(self.styles(latent, condition), latent)

    def styles(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, *latent_shape) and a condition to the styles (B, L, style_size) of all layers."""
        self.require_told(condition)
        z, other, turn, _ = latent.split(self._parts, 1)
        style = self.mapping(z, condition)
        self.mapping.follow(style)
        styles = style[:, None].expand(-1, self.style_count, -1)
        if not (self.training and self.mixing):
            return styles
        # Uniform in 1 .. L - 1 with probability `mixing`, else beyond the last layer.
        place = 1 + (torch.special.ndtr(turn) / self.mixing * (self.style_count - 1)).floor()
        mixed = torch.arange(self.style_count, device=latent.device) >= place
        return torch.where(mixed[:, :, None], self.mapping(other, condition)[:, None], styles)

    def synthesise(self, styles: Tensor, latent: Tensor | None = None) -> Tensor:
        """Styles (B, L, style_size) to images (B, C, H, W).

        Args:
            styles: Styles of all layers, in order.
            latent: Latents (B, *latent_shape) that the noise is taken from; None for none.
        """
        noise = self._noise(latent)
        hidden = self.first(self.constant.expand(styles.shape[0], -1, -1, -1), styles[:, 0], noise[0])
        image = self.outputs[0](hidden, styles[:, 1])
        for i, (doubling, layer, output) in enumerate(zip(self.doublings, self.layers, self.outputs[1:], strict=True)):
            hidden = doubling(hidden, styles[:, 2 * i + 1], noise[2 * i + 1])
            hidden = layer(hidden, styles[:, 2 * i + 2], noise[2 * i + 2])
            image = self.filter.double(image) + output(hidden, styles[:, 2 * i + 3])
        return image

    def _noise(self, latent: Tensor | None) -> list[Tensor | None]:
        """The noise (B, 1, H, W) of every layer."""
        if latent is None or not self._noise_sizes:
            return [None] * (self.style_count - 1)
        values = latent[:, sum(self._parts[:3]) :].split([size**2 for size in self._noise_sizes], 1)
        return [rows.unflatten(1, (1, size, size)) for rows, size in zip(values, self._noise_sizes, strict=True)]


class StyleGAN2Discriminator(Discriminator):
    """Images to scores: residual blocks that halve the image, what is seen of the batch, two layers at 4 x 4 pixels.

    Conditions are projected onto the features (see `Discriminator`) by an embedding, without the mapping network for
    classes that the later code of the authors has. `num_classes` and `told` are those of every `Discriminator`.

    Args:
        image_size: Side of the square images in pixels, a power of two from 8 to 128.
        channels: Channels of the images.
        width: Channels at the full size; twice as many at every half, at most `widest`.
        widest: Largest number of channels.
        residual: Whether blocks have a shortcut.
        diversity: What is seen of the other samples of a batch, at 4 x 4 pixels; None for nothing.

    Raises:
        ValueError: `image_size` or a width is out of range.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        width: int = 64,
        widest: int = 512,
        residual: bool = True,
        num_classes: int | None = None,
        diversity: Diversity | None = None,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__(num_classes, told=told)
        widths = list(widths_by_size(image_size, width, widest).values())[::-1]
        last = widths[-1]
        blocks = (_Halving(before, after, residual) for before, after in pairwise(widths))
        self.body = nn.Sequential(leaky_convolution(channels, widths[0], 1), *blocks)
        self.groups = None if diversity is None else diversity.layer((last, 4, 4))
        added = 0 if self.groups is None else self.groups.added
        summary = equalised(nn.Linear(16 * last, last))
        self.end = nn.Sequential(leaky_convolution(last + added, last, 3), nn.Flatten(), summary, Leaky())
        self._judge_by(last, equalised)

    def features(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) to features (B, F)."""
        hidden = self.body(image)
        return self.end(hidden if self.groups is None else self.groups(hidden))


class _Halving(nn.Module):
    """Two convolutions, the second on every other pixel of the filtered image, beside a shortcut; the sum / sqrt(2)."""

    def __init__(self, inputs: int, outputs: int, residual: bool) -> None:
        super().__init__()
        self.filter = Filter()
        self.first = leaky_convolution(inputs, inputs, 3)
        self.second = equalised(nn.Conv2d(inputs, outputs, 3, stride=2))
        self.shortcut = equalised(nn.Conv2d(inputs, outputs, 1, bias=False)) if residual else None

    def forward(self, image: Tensor) -> Tensor:
        """Features (B, inputs, H, W) to (B, outputs, H / 2, W / 2)."""
        hidden = leaky(self.second(self.filter.blur(self.first(image), padding=2)))
        if self.shortcut is None:
            return hidden
        return (hidden + self.shortcut(self.filter.halve(image))) / 2**0.5
