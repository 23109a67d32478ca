"""Images to latents and back: what every model with an encoder shares."""

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from genexp.conditioning.base import Condition
from genexp.latents.gaussian import DiagonalGaussian
from genexp.latents.posteriors import Diagonal
from genexp.tensors import Grid

COLUMNS = 10


@runtime_checkable
class Headed(Protocol):
    """A network whose last layer can be of any size before it is trained, such as an encoder."""

    def give(self, numbers: int) -> None:
        """Return so many numbers of an image; a decoder of a pixel."""
        ...


@runtime_checkable
class HeadedDecoder(Headed, Protocol):
    """A decoder to images of so many channels, which can return more numbers of a pixel than that."""

    channels: int


def posterior_of(encoder: nn.Module, image: Tensor, condition: Condition, latent_size: int) -> DiagonalGaussian:
    """What an encoder says of the latents (B, latent_size) of images (B, ...).

    Raises:
        ValueError: it does not return 2 * latent_size numbers an image.
    """
    return Diagonal(latent_size).law(encoder(image, condition))


def compared(image: Tensor, decoded: Tensor) -> Grid:
    """Images (B, C, H, W), each over what it comes back as, in rows of 10; those that fill no row are left out."""
    columns = min(COLUMNS, len(image))
    shown = len(image) // columns * columns
    pairs = torch.stack([image, decoded])[:, :shown].unflatten(1, (-1, columns))
    return Grid(pairs.transpose(0, 1).flatten(0, 2), columns, down=("data", "decoded") * (shown // columns))


def give_heads(encoder: nn.Module, numbers: int, decoder: nn.Module, outputs: Callable[[int], int]) -> None:
    """Let networks return as many numbers as are wanted; those that cannot change are left as they are.

    Args:
        encoder: Is to return `numbers` of an image.
        numbers: Of a posterior.
        decoder: Is to return `outputs(channels)` of a pixel.
        outputs: Of a likelihood.
    """
    if isinstance(encoder, Headed):
        encoder.give(numbers)
    if isinstance(decoder, HeadedDecoder):
        decoder.give(outputs(decoder.channels))


def with_weights(parts: Mapping[str, object]) -> list[str]:
    """The names of those parts that have weights to learn."""
    return [
        name for name, part in parts.items() if isinstance(part, nn.Module) and any(True for _ in part.parameters())
    ]
