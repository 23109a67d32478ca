"""A first stage that this project trained and ships, as a codec."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from genexp.inference.codes import FrozenCodec
from genexp.networks.map_codec import MapCodec
from genexp.networks.shipped_networks import trained_with_card


@dataclass(eq=False)
class ShippedCodec(FrozenCodec):
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
        if self.image_shape[0] != network.channels:
            raise ValueError(
                f"image_shape must have the {network.channels} channels of {self.asset}, got {list(self.image_shape)}"
            )
        self.digest = card["sha256"]
        network.to(memory_format=torch.channels_last)  # in which norms of every place need no copies
        self._begin(network, card["scale"] if self.scale is None else self.scale)
