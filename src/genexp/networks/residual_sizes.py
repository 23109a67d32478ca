"""Widths of residual networks of the papers by image size, and what follows from halving an image."""

from typing import TypeVar

Row = TypeVar("Row")

GENERATORS = {
    8: (1, 1, 1),
    16: (1, 1, 1),
    28: (1, 1, 1),
    32: (1, 1, 1, 1),
    48: (8, 4, 2, 1),
    64: (16, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
}
"""Multipliers by image size: from 32 pixels on those of Miyato et al. (2018); BigGAN has (16, 16, 8, 4, 2) at 64."""
DISCRIMINATORS = {
    8: ((1, 1, 1), 1),
    16: ((1, 1, 1), 2),
    28: ((1, 1, 1, 1), 2),
    32: ((1, 1, 1, 1), 2),
    48: ((1, 2, 4, 8, 16), 4),
    64: ((1, 2, 4, 8, 16), 5),
    128: ((1, 2, 4, 8, 16, 16), 5),
}
"""Multipliers and halvings by image size, likewise; BigGAN halves 4 times at 64."""


def of_size(known: dict[int, Row], name: str, image_size: int) -> Row:
    """The row of an image size.

    Raises:
        ValueError: there is none, so that the option `name` must be given.
    """
    if image_size not in known:
        sizes = ", ".join(map(str, known))
        raise ValueError(f"{name} must be given for an image_size other than {sizes}, got {image_size}")
    return known[image_size]


def halved(image_size: int, times: int, name: str) -> int:
    """The side of an image after so many halvings.

    Raises:
        ValueError: the side is not divisible so often, as the option `name` says.
    """
    size = image_size // 2**times
    if size < 1 or size * 2**times != image_size:
        raise ValueError(f"image_size must be divisible by 2^{times}, as {name} say, got {image_size}")
    return size
