"""Networks that make an image of one picture of any size, place by place: of a smaller one, or of a spoilt one."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil

from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.conditioning.bicubic import resized
from genexp.conditioning.pictures import OfPictures
from genexp.networks.beside import SeesPictures


class RestorationNetwork(SeesPictures, nn.Module, ABC):
    """What such networks share; as a generator they read one picture, and a latent that nothing depends on.

    Attributes:
        scale: Side of an image in sides of its picture.
        reach: Pixels of the picture to every side of a place that the image depends on there, at most.
        multiple: What sides of pictures must be multiples of.
        enlarges_first: Whether it sees a bicubic picture, whose weights follow from the size.

    Args:
        image_size: Side of the square images of training in pixels.
        beside: The one picture that an image is made of, by name.

    Raises:
        ValueError: there is another number of pictures, or its side does not divide that of the image.
    """

    num_classes = None
    latent_shape = (1,)
    reads_latent = False
    reach: int
    multiple: int = 1
    enlarges_first: bool = False

    def __init__(self, image_size: int, beside: Mapping[str, OfPictures]) -> None:
        super().__init__()
        if len(beside) != 1:
            raise ValueError(f"beside must name the one picture that an image is made of, got {len(beside)}")
        self.beside = tuple(beside)
        self.inputs, height, width = next(iter(beside.values())).row
        if height != width or image_size % height:
            raise ValueError(
                f"beside must hold a square picture whose side divides that of the images, {image_size}, got {width} x "
                f"{height}"
            )
        self.scale = image_size // height

    def forward(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Pictures (B, C, h, w) of a condition to images (B, C', scale h, scale w); latents are not looked at."""
        self.require_told(condition)
        return self.restored(self.pictures(condition)[0])

    @abstractmethod
    def restored(self, picture: Tensor) -> Tensor:
        """Images (B, C', scale h, scale w) of pictures (B, C, h, w); values may overshoot [-1, 1]."""


class Srcnn(RestorationNetwork):
    """The bicubic picture through three convolutions, f1 - f2 - f3 pixels wide.

    Beyond its borders the enlarged picture goes on by its last pixels; the convolutions add nothing of their own.

    Reference: Dong, Loy, He and Tang, "Image Super-Resolution Using Deep Convolutional Networks" (2016), section 3:
    9-1-5 and 9-5-5 with 64 and 32 filters, on the luminance.

    Args:
        image_size: Side of the images of training.
        channels: Channels of the images, those of the picture.
        beside: The one picture.
        kernels: Sides of the three filters, odd.
        widths: Filters of the first two layers.
        residual: Whether the convolutions say what is to be added to the bicubic picture; the paper's say all of it.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        beside: Mapping[str, OfPictures],
        kernels: Sequence[int] = (9, 1, 5),
        widths: Sequence[int] = (64, 32),
        residual: bool = False,
    ) -> None:
        super().__init__(image_size, beside)
        require_same_channels(self.inputs, channels)
        require_layers(kernels, widths)
        self.residual, self.enlarges_first = residual, self.scale > 1
        self.layers = convolutions([channels, *widths, channels], kernels)
        self.margin = sum(kernel // 2 for kernel in kernels)
        self.reach = ceil(self.margin / self.scale) + (3 if self.scale > 1 else 0)

    def restored(self, picture: Tensor) -> Tensor:
        """Images of the pictures' enlargements."""
        enlarged = resized(picture, self.scale) if self.scale > 1 else picture
        hidden = F.pad(enlarged, (self.margin,) * 4, mode="replicate")
        for layer in self.layers[:-1]:
            hidden = layer(hidden).relu()
        image = self.layers[-1](hidden)
        return enlarged + image if self.residual else image


class Espcn(RestorationNetwork):
    """Convolutions of the small picture, whose last channels are laid out as the pixels of the large one.

    Beyond its borders the picture goes on by its last pixels.

    Reference: Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional
    Neural Network" (2016), section 3: 5-3-3 with 64 and 32 filters and tanh.

    Args:
        image_size: Side of the images of training.
        channels: Channels of the images.
        beside: The one picture.
        kernels: Sides of the filters, odd.
        widths: Filters of all layers but the last.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        beside: Mapping[str, OfPictures],
        kernels: Sequence[int] = (5, 3, 3),
        widths: Sequence[int] = (64, 32),
    ) -> None:
        super().__init__(image_size, beside)
        require_layers(kernels, widths)
        self.layers = convolutions([self.inputs, *widths, channels * self.scale**2], kernels)
        self.reach = sum(kernel // 2 for kernel in kernels)

    def restored(self, picture: Tensor) -> Tensor:
        """Images of the pictures."""
        hidden = F.pad(picture, (self.reach,) * 4, mode="replicate")
        for layer in self.layers[:-1]:
            hidden = layer(hidden).tanh()
        return F.pixel_shuffle(self.layers[-1](hidden), self.scale)


class ResidualCnn(RestorationNetwork):
    """Convolutions of 3 pixels, all of one width, that say what is to be added to the picture.

    Reference: Zhang, Zuo, Chen, Meng and Zhang, "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image
    Denoising" (2017), section 3: 17 layers of 64 filters with batch norm.

    Args:
        image_size: Side of the images of training.
        channels: Channels of the images; of a grey picture all begin as it.
        beside: The one picture, of the size of the images.
        depth: Convolutions, at least 2.
        width: Filters of all but the last.
        batch_norm: Whether those between the first and the last have batch norm.

    Raises:
        ValueError: an argument is out of range, or the picture is of another size.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        beside: Mapping[str, OfPictures],
        depth: int = 17,
        width: int = 64,
        batch_norm: bool = True,
    ) -> None:
        super().__init__(image_size, beside)
        if self.scale != 1:
            raise ValueError(
                f"beside must hold a picture of the size of the images, got one {self.scale} times smaller"
            )
        if self.inputs != 1:
            require_same_channels(self.inputs, channels)
        if depth < 2 or width < 1:
            raise ValueError(f"depth must be at least 2 and width at least 1, got {depth} and {width}")
        widths = [self.inputs, *[width] * (depth - 1), channels]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        inner = range(depth - 2) if batch_norm else ()
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in inner)
        self.reach = depth

    def restored(self, picture: Tensor) -> Tensor:
        """Pictures with what they lack."""
        hidden = self.layers[0](picture).relu()
        for place, layer in enumerate(self.layers[1:-1]):
            hidden = layer(hidden)
            hidden = (self.norms[place](hidden) if self.norms else hidden).relu()
        return picture + self.layers[-1](hidden)


def convolutions(widths: Sequence[int], kernels: Sequence[int]) -> nn.ModuleList:
    """Convolutions without borders of their own, which cut half a kernel from every side."""
    layers = zip(pairwise(widths), kernels, strict=True)
    return nn.ModuleList(nn.Conv2d(before, after, kernel) for (before, after), kernel in layers)


def require_layers(kernels: Sequence[int], widths: Sequence[int]) -> None:
    """Raise ValueError unless kernels are odd and one more than the widths, which are at least 1."""
    if len(kernels) != len(widths) + 1 or any(kernel < 1 or kernel % 2 == 0 for kernel in kernels):
        raise ValueError(f"kernels must be odd and one more than widths={list(widths)}, got {list(kernels)}")
    if any(width < 1 for width in widths):
        raise ValueError(f"widths must be at least 1, got {list(widths)}")


def require_same_channels(picture: int, image: int) -> None:
    """Raise ValueError unless a picture has as many channels as its image."""
    if picture != image:
        raise ValueError(f"channels must be those of the picture, {picture}, got {image}")
