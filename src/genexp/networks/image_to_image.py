"""A generator that makes an image of a picture: the U-Net of pix2pix.

Reference: Isola, Zhu, Zhou and Efros, "Image-to-Image Translation with Conditional Adversarial Networks" (2017).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.conditioning.pictures import OfPictures
from genexp.networks.beside import SeesPictures, channels_beside
from genexp.networks.feature_norms import FEATURE_NORMS
from genexp.networks.layer_weights import LayerWeights, require_one_of

NORMS = ("instance", "batch", "layer", "none")


class ImageToImageGenerator(SeesPictures, nn.Module):
    """A picture halved down to its smallest size and doubled up again, with every size handed over to its like.

    All that is random of an image is which features the first layers upwards drop, in training and in drawing alike.
    That is its latent: a feature is dropped where its normal value lies below the quantile of `dropout`. So an image is
    a function of its latent and its picture, as in every generator of the house: the same in any batch, and repeated by
    the seed. The first layer, the smallest one and the last one have no norm; a norm `instance` is what the paper's
    batch norm is for the batches of one that it is trained with.

    Args:
        image_size: Side of the square images in pixels.
        channels: Channels of the images.
        beside: The pictures that it is told, by name; of the size of the images, at least one.
        width: Channels at half the image size; twice as many at every size below, at most `widest`.
        widest: Largest number of channels.
        halvings: How often the picture is halved; None: as often as its side can be.
        norm: Of features: `instance`, `batch`, `layer` or `none`.
        dropout: Share of features that are dropped, in [0, 1); at 0 there is one image of a picture.
        dropped_layers: How many of the layers upwards drop features, from the smallest on; the last one never does.

    Raises:
        ValueError: an argument is out of range, or there is no picture, or one of another size.
    """

    num_classes = None

    def __init__(
        self,
        image_size: int,
        channels: int,
        beside: Mapping[str, OfPictures],
        width: int = 64,
        widest: int = 512,
        halvings: int | None = None,
        norm: str = "instance",
        dropout: float = 0.5,
        dropped_layers: int = 3,
    ) -> None:
        super().__init__()
        require_one_of("norm", norm, NORMS)
        if not beside:
            raise ValueError("beside must name a picture that an image is made of, as in {source: ...}, got none")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        if dropped_layers < 0:
            raise ValueError(f"dropped_layers must be at least 0, got {dropped_layers}")
        count = _halvings(image_size, halvings)
        self.beside, self.dropout = tuple(beside), dropout
        widths = [min(width * 2**i, widest) for i in range(count)]
        inputs = [channels_beside(beside, image_size), *widths[:-1]]
        self.downs = nn.ModuleList(
            _layer(nn.Conv2d, before, after, norm if 0 < i < count - 1 else "none")
            for i, (before, after) in enumerate(zip(inputs, widths, strict=True))
        )
        ways = [widths[-1], *(2 * each for each in widths[-2::-1])]
        outputs = [*widths[-2::-1], channels]
        self.ups = nn.ModuleList(
            _layer(nn.ConvTranspose2d, before, after, norm if i < count - 1 else "none")
            for i, (before, after) in enumerate(zip(ways, outputs, strict=True))
        )
        sides = [image_size >> (count - 1 - i) for i in range(count - 1)]
        maps = [(each, side, side) for each, side in zip(outputs, sides, strict=False)]
        self.dropped = maps[:dropped_layers] if dropout else []
        # Without any dropped features one value stands there that nothing reads.
        self.latent_shape = (max(1, sum(torch.Size(shape).numel() for shape in self.dropped)),)

    def forward(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, *latent_shape) and pictures (B, C, H, W) to images (B, C, H, W) in [-1, 1]."""
        self.require_told(condition)
        hidden = torch.cat(self.pictures(condition), 1)
        seen = []
        for i, down in enumerate(self.downs):
            hidden = down(F.leaky_relu(hidden, 0.2) if i else hidden)
            seen.append(hidden)
        kept = self.kept(latent)
        hidden = seen.pop()
        for i, up in enumerate(self.ups):
            hidden = up(hidden.relu())
            if i < len(kept):
                hidden = hidden * kept[i].to(hidden.dtype)
            if seen:
                hidden = torch.cat([hidden, seen.pop()], 1)
        return hidden.tanh()

    def kept(self, latent: Tensor) -> list[Tensor]:
        """What the features (B, C, H, W) of every dropping layer are multiplied by: 0, or 1 over the share kept."""
        if not self.dropped:
            return []
        bound = torch.special.ndtri(torch.tensor(self.dropout, dtype=torch.float64)).item()
        factors = (latent > bound).to(latent.dtype) / (1 - self.dropout)
        parts = factors.split([torch.Size(shape).numel() for shape in self.dropped], 1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.dropped, strict=True)]


def _layer(kind: type[nn.Module], inputs: int, outputs: int, norm: str) -> nn.Sequential:
    """A convolution that halves, or a transposed one that doubles, and its norm."""
    convolution = LayerWeights("normal")(kind(inputs, outputs, 4, 2, 1, bias=norm == "none"))
    return nn.Sequential(convolution, *([] if norm == "none" else [FEATURE_NORMS[norm](outputs)]))


def _halvings(image_size: int, halvings: int | None) -> int:
    most = (image_size & -image_size).bit_length() - 1
    if most < 2:
        raise ValueError(f"image_size must be a multiple of 4 pixels, got {image_size}")
    count = most if halvings is None else halvings
    if not 2 <= count <= most:
        raise ValueError(f"halvings must lie in [2, {most}] for {image_size} pixels, or be null, got {halvings}")
    return count
