"""The interfaces of autoencoders whose latents are feature maps."""

from typing import Protocol, runtime_checkable

from torch import Tensor


class MapCoder(Protocol):
    """Between images of any size that its factor divides and feature maps; nothing is learned there."""

    latent_maps: int
    """Maps C of a code (C, H / factor, W / factor)."""

    factor: int
    """Pixels a side of a place of the maps."""

    reach: int | None
    """Farthest place, from the one that a pixel lies in, that it depends on; None where it depends on all of them."""

    def encode(self, image: Tensor) -> Tensor:
        """Images (B, c, H, W) in [-1, 1] to maps (B, C, h, w)."""
        ...

    def decode(self, maps: Tensor) -> Tensor:
        """Maps (B, C, h, w) to images (B, c, H, W) in [-1, 1]."""
        ...


@runtime_checkable
class HasMaps(Protocol):
    """A model that may be an autoencoder of feature maps."""

    def map_coder(self) -> MapCoder | None:
        """What codes its images as maps; None where its latents are none."""
        ...


@runtime_checkable
class EncodesMaps(Protocol):
    """An encoder to maps of numbers of a posterior."""

    latent_maps: int
    factor: int

    def maps(self, image: Tensor) -> Tensor:
        """Images (B, c, H, W) to numbers (B, D, h, w)."""
        ...


@runtime_checkable
class DecodesMaps(Protocol):
    """A decoder of maps."""

    reach: int | None

    def images(self, maps: Tensor) -> Tensor:
        """Maps (B, C, h, w) to raw values (B, c', H, W)."""
        ...
