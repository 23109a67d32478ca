"""Latents that are feature maps, of images of any size."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from genexp.contracts.maps import DecodesMaps, EncodesMaps
from genexp.latents.gaussian import DiagonalGaussian
from genexp.latents.posteriors import Diagonal, Posterior


@dataclass(frozen=True)
class NetworkCoder:
    """Networks between images and maps, see `genexp.contracts.maps.MapCoder`."""

    latent_maps: int
    factor: int
    reach: int | None
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]


def map_coder(
    encoder: object, decoder: object, posterior: Posterior, picture: Callable[[Tensor], Tensor]
) -> NetworkCoder | None:
    """What codes images as the means of a posterior of maps; None where networks or posterior are of no maps.

    Args:
        encoder: To the posterior's numbers.
        decoder: To raw values.
        posterior: What the numbers say.
        picture: Images in [-1, 1] of raw values.
    """
    if not (isinstance(encoder, EncodesMaps) and isinstance(decoder, DecodesMaps)):
        return None
    if not (posterior.deterministic or isinstance(posterior, Diagonal)):
        return None

    def encode(image: Tensor) -> Tensor:
        numbers = encoder.maps(image)
        return numbers if posterior.deterministic else DiagonalGaussian.from_parameters(numbers).mean

    def decode(maps: Tensor) -> Tensor:
        return picture(decoder.images(maps))

    return NetworkCoder(encoder.latent_maps, encoder.factor, decoder.reach, encode, decode)
