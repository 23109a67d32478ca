"""Images to latents and back: what every model with an encoder shares."""

import torch
from torch import Tensor, nn

from genexp.conditioning.base import Condition
from genexp.latents.gaussian import DiagonalGaussian
from genexp.tensors import Grid

COLUMNS = 10


def posterior_of(encoder: nn.Module, image: Tensor, condition: Condition, latent_size: int) -> DiagonalGaussian:
    """What an encoder says of the latents (B, latent_size) of images (B, ...).

    Raises:
        ValueError: it does not return 2 * latent_size numbers an image.
    """
    parameters = encoder(image, condition)
    if parameters.shape[1:] != (2 * latent_size,):
        rule = f"encoder must return 2 * latent_size = {2 * latent_size} values an image"
        raise ValueError(f"{rule}, got shape {tuple(parameters.shape[1:])}")
    return DiagonalGaussian.from_parameters(parameters)


def compared(image: Tensor, decoded: Tensor) -> Grid:
    """Images (B, C, H, W), each over what it comes back as, in rows of 10; those that fill no row are left out."""
    columns = min(COLUMNS, len(image))
    shown = len(image) // columns * columns
    pairs = torch.stack([image, decoded])[:, :shown].unflatten(1, (-1, columns))
    return Grid(pairs.transpose(0, 1).flatten(0, 2), columns, down=("data", "decoded") * (shown // columns))
