"""A model of pictures and captions that this project trained and ships, as what guides others."""

from dataclasses import dataclass

from torch import Tensor

from genexp.conditioning.base import Conditioning
from genexp.losses.contrastive import InOneSpace
from genexp.networks.pictures_and_words import PicturesAndWords
from genexp.networks.shipped_networks import trained_with_card


@dataclass(eq=False)
class ShippedJudge:
    """What says how well pictures fit captions; nothing is learned there.

    Args:
        asset: Name of the shipped weights.

    Raises:
        ValueError: the asset is of another kind.
    """

    asset: str

    def __post_init__(self) -> None:
        network, card = trained_with_card(self.asset)
        if not isinstance(network, PicturesAndWords):
            raise ValueError(f"asset must be of pictures and captions, got {self.asset}, a {type(network).__name__}")
        self._network, self.digest = network, card["sha256"][:_DIGITS]
        self.image_shape, self.conditioning = network.network.image_shape, Conditioning({"caption": network.words})
        self._space = InOneSpace()
        self._space.network, self._space.text, self._space.scale = network.network, network.text, network.scale

    def fit(self, image: Tensor, caption: Tensor) -> Tensor:
        """Scaled cosines (B,) of images (B, *image_shape) in [-1, 1], each with its caption (B, L)."""
        if self._network.scale.device != image.device:
            self._network.to(image.device)
            self._space.scale = self._network.scale
        return self._space.fit(image.float(), caption)


_DIGITS = 12
