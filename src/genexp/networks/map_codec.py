"""A trained autoencoder of feature maps as one network: what is shipped of a first stage."""

from torch import Tensor, nn

from genexp.networks.feature_maps import MapDecoder, MapEncoder


class MapCodec(nn.Module):
    """An encoder to maps, of which only the means are left, and the decoder; see `genexp.contracts.maps.MapCoder`.

    Args:
        channels: Image channels.
        latent_maps: Maps of a code.
        halvings: Base-2 logarithm of the factor by which they are smaller.
        width: Feature maps of both networks.
        depth: Residual blocks of both.
        norm: As for `MapEncoder`.
    """

    def __init__(
        self, channels: int = 3, latent_maps: int = 4, halvings: int = 2, width: int = 32, depth: int = 2,
        norm: str = "pixel",
    ) -> None:  # fmt: skip
        super().__init__()
        side = 2**halvings
        self.encoder = MapEncoder(channels, side, latent_maps, halvings, width, depth, norm)
        self.decoder = MapDecoder(channels, side, latent_maps, halvings, width, depth, norm)
        self.channels, self.latent_maps, self.factor = channels, latent_maps, side
        self.reach = self.decoder.reach

    @classmethod
    def of(cls, encoder: MapEncoder, decoder: MapDecoder, **settings: int | str) -> "MapCodec":
        """The codec with the weights of trained networks, the encoder's of means and log-variances.

        Args:
            encoder: Its first half of numbers are means.
            decoder: Of as many maps.
            settings: As for the class.
        """
        codec = cls(**settings)
        state = dict(encoder.state_dict())
        for name in ("head.weight", "head.bias"):
            state[name] = state[name][: codec.latent_maps]
        codec.encoder.load_state_dict(state)
        codec.decoder.load_state_dict(decoder.state_dict())
        return codec.eval().requires_grad_(False)

    def encode(self, image: Tensor) -> Tensor:
        """Images (B, channels, H, W) in [-1, 1] to means (B, latent_maps, H / factor, W / factor)."""
        return self.encoder(image)

    def decode(self, maps: Tensor) -> Tensor:
        """Maps (B, latent_maps, h, w) to images (B, channels, factor h, factor w), clipped to [-1, 1]."""
        return self.decoder(maps).clamp(-1, 1)
