"""Encoders and decoders whose latent is a feature map (C, h, w), read by a family as one vector of C h w numbers.

Of an encoder's maps the first half are means and the second log-variances, which is the order of a vector of both. All
convolutions: `maps` and `images` take any size that the halvings divide.
"""

from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.feature_maps import MapDecoder, MapEncoder


class SpatialEncoder(nn.Module):
    """A `MapEncoder` to the parameters of a posterior.

    Reference: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), section 3.1.

    Args:
        channels: Image channels.
        image_size: Side of the square image, a multiple of 2^halvings.
        latent_size: Units of the latent: a multiple of its places, (image_size / 2^halvings)^2.
        halvings: Base-2 logarithm of the factor f by which maps are smaller than the image.
        width: Feature maps.
        depth: Residual blocks.
        norm: As for `MapEncoder`.

    Raises:
        ValueError: a size is out of range, or units do not fill maps.
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        latent_size: int,
        halvings: int = 2,
        width: int = 64,
        depth: int = 2,
        norm: str = "pixel",
    ) -> None:
        super().__init__()
        self.network = MapEncoder(channels, image_size, 1, halvings, width, depth, norm)
        self.latent_maps, self.factor = maps_of(latent_size, self.network.grid), self.network.factor
        self.network.give(2 * self.latent_maps)

    def give(self, numbers: int) -> None:
        """Return so many numbers an image."""
        self.network.give(maps_of(numbers, self.network.grid, "numbers of the posterior"))

    def maps(self, image: Tensor) -> Tensor:
        """Images (B, channels, H, W) to parameters (B, D, H / f, W / f)."""
        return self.network(image)

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, channels, H, W) to parameters (B, D h w)."""
        return self.maps(image).flatten(1)


class SpatialDecoder(nn.Module):
    """A `MapDecoder` of a latent; mirrors `SpatialEncoder`, same arguments."""

    def __init__(
        self,
        channels: int,
        image_size: int,
        latent_size: int,
        halvings: int = 2,
        width: int = 64,
        depth: int = 2,
        norm: str = "pixel",
    ) -> None:
        super().__init__()
        self.network, self.channels = MapDecoder(channels, image_size, 1, halvings, width, depth, norm), channels
        self.latent_maps = maps_of(latent_size, self.network.grid)
        self.network.take(self.latent_maps)
        self.reach = self.network.reach

    @property
    def last_weight(self) -> nn.Parameter:
        """The weight of the last layer."""
        return self.network.last_weight

    def give(self, numbers: int) -> None:
        """Return so many numbers of a pixel."""
        self.network.give(numbers)

    def images(self, maps: Tensor) -> Tensor:
        """Latents (B, C, h, w) to raw values (B, channels, f h, f w)."""
        return self.network(maps)

    def forward(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, latent_size) to raw values (B, channels, H, W)."""
        return self.images(latent.unflatten(1, (self.latent_maps, *self.network.grid)))


def maps_of(units: int, grid: tuple[int, int], what: str = "latent_size") -> int:
    """How many maps so many units fill.

    Raises:
        ValueError: they fill none, or some in part.
    """
    places = grid[0] * grid[1]
    if units < 1 or units % places:
        raise ValueError(f"{what} must be a multiple of the {grid[0]} x {grid[1]} places of a map, got {units}")
    return units // places
