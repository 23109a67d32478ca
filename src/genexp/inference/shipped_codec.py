"""A first stage that this project trained and ships, as a codec."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.inference.codes import require_scale, shape_of_codes
from genexp.networks.map_codec import MapCodec
from genexp.networks.trained import trained_with_card
from genexp.restoration.decoding import in_tiles


@dataclass(eq=False)
class ShippedCodec:
    """A shipped autoencoder between images and `scale` times its latents, feature maps; nothing is learned there.

    Reference: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), section 3.

    Args:
        asset: Name of the shipped weights.
        image_shape: Shape (c, H, W) of the images, of any size that its factor divides; they should be of the kind that
            it was trained on.
        scale: Codes over latents, above 0; None for one over their standard deviation on its training images, which the
            card tells.
        tile: Side in pixels of the parts in which images are decoded, see `in_tiles`; None for whole.

    Raises:
        ValueError: an argument is out of range, or the asset is no codec, or one of other images.
    """

    asset: str
    image_shape: Sequence[int]
    scale: float | None = None
    tile: int | None = None

    def __post_init__(self) -> None:
        network, card = trained_with_card(self.asset)
        if not isinstance(network, MapCodec):
            raise ValueError(f"asset must be an autoencoder of maps, got {self.asset}, a {type(network).__name__}")
        self.image_shape, self.scale = tuple(self.image_shape), card["scale"] if self.scale is None else self.scale
        require_scale(self.scale)
        if self.image_shape[0] != network.channels:
            raise ValueError(
                f"image_shape must have the {network.channels} channels of {self.asset}, got {list(self.image_shape)}"
            )
        self._network, self.digest = network, card["sha256"]
        self.code_shape = shape_of_codes(network, self.image_shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShippedCodec) and (self.digest, self.scale) == (other.digest, other.scale)

    @torch.no_grad()
    def encode(self, image: Tensor) -> Tensor:
        """Images (B, *image_shape) in [-1, 1] to codes (B, *code_shape), in float32 under any autocast."""
        self._follow(image)
        with torch.autocast(image.device.type, enabled=False):
            return self.scale * self._network.encode(image.float())

    @torch.no_grad()
    def decode(self, code: Tensor) -> Tensor:
        """Codes (B, *code_shape) to images (B, *image_shape) in [-1, 1], in float32 under any autocast."""
        self._follow(code)
        with torch.autocast(code.device.type, enabled=False):
            maps = code.float() / self.scale
            return self._network.decode(maps) if self.tile is None else in_tiles(self._network, maps, self.tile)

    def _follow(self, tensor: Tensor) -> None:
        if next(self._network.parameters()).device != tensor.device:
            self._network.to(tensor.device)
