"""What a picture of one coloured shape shows, by the nearest of all pictures that there are."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from genexp.data import shape_pictures
from genexp.data.shape_pictures import CENTRES, COLOURS, FACTORS, GROUNDS, RADII, coverage
from genexp.evaluation.extractors.frozen import require_channels
from genexp.evaluation.extractors.resizing import resized

_PIECE = 64
_COVERED = "shape", "size", "position"
STEPS = 5
"""Shifts a direction, and changes of radius, from -jitter to jitter."""


class ShapeReader:
    """Reads shape, colour, size, position and background of a picture of `data=shapes`, without any trained weights.

    A picture of a mode is ground + coverage x (colour - ground). All modes are drawn at the picture's own size, each
    with its centre and radius moved in five steps from -`jitter` to `jitter`, and the picture shows what the
    nearest of these shows, by the sum of squared differences. That is the likeliest one under Gaussian noise.
    The distances to all pictures of one coverage follow from its products with the picture's three channels, so that
    5,000 products a channel serve 120,000 pictures.

    The features are, for every level of every factor, the mean squared difference to the nearest picture that shows it
    (21 values, images in [-1, 1]).

    Args:
        jitter: Shift and change of radius of the pictures compared with, in half picture widths.

    Raises:
        ValueError: `jitter` is out of range.
    """

    name = "shape_reader"
    image_size = None
    resize = "none"
    channels = 3
    largest = 32
    """Pixels a side that larger pictures are brought down to."""

    def __init__(self, jitter: float = 0.05) -> None:
        if not 0 <= jitter <= 0.08:
            raise ValueError(f"jitter must lie in [0, 0.08], where small and large stay apart, got {jitter}")
        self.jitter = jitter
        self.attributes = {name: len(levels) for name, levels in FACTORS.items()}
        self.dimensions = sum(self.attributes.values())
        code = [Path(file).read_bytes() for file in (__file__, shape_pictures.__file__)]
        self.digest = hashlib.sha256(b"".join([*code, str(jitter).encode()])).hexdigest()
        self._covers: dict[int, Tensor] = {}

    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, 21) of pictures (B, 3, S, S) in [-1, 1]; larger ones than 32 x 32 are made smaller first.

        Raises:
            ValueError: they are no square pictures of three channels.
        """
        require_channels(self.name, image, self.channels)
        if image.shape[2] != image.shape[3]:
            raise ValueError(f"extractor {self.name} takes square pictures, got {tuple(image.shape)}")
        if image.shape[2] > self.largest:
            image = resized(image, self.largest, "torch_antialias")
        return torch.cat([self._distances(piece) for piece in image.float().split(_PIECE)])

    def read(self, features: Tensor) -> dict[str, Tensor]:
        """The level (B,) of every factor that pictures with features (B, 21) show."""
        parts = features.split(list(self.attributes.values()), 1)
        return {name: part.argmin(1) for name, part in zip(self.attributes, parts, strict=True)}

    def _distances(self, image: Tensor) -> Tensor:
        covers = self._covers_of(image.shape[2]).to(image.device)
        pixels = image.flatten(2)
        inside = (pixels @ covers.T).transpose(1, 2)
        colour, ground = (levels.to(image) / 127.5 - 1 for levels in (COLOURS, GROUNDS))
        step = (colour[:, None] - ground).flatten(0, 1)
        below = ground.repeat(len(colour), 1)
        fixed = covers.square().sum(1)[:, None] * step.square().sum(1) + 2 * covers.sum(1)[:, None] * (
            below * step
        ).sum(1)
        found = torch.baddbmm(fixed.expand(len(image), -1, -1), inside, (-2 * step.T).expand(len(image), -1, -1))
        sizes = [len(FACTORS[name]) for name in _COVERED]
        nearest = found.reshape(len(image), *sizes, -1, len(step)).amin(4)
        plain = pixels.square().sum((1, 2))[:, None] - 2 * pixels.sum(2) @ below.T
        plain = plain + pixels.shape[2] * below.square().sum(1)
        nearest = (nearest + plain[:, None, None, None]).clamp(min=0) / pixels[0].numel()
        nearest = nearest.unflatten(-1, (len(colour), len(ground)))
        order = [*_COVERED, "colour", "background"]
        return torch.cat([_least(nearest, 1 + order.index(name)) for name in FACTORS], 1)

    def _covers_of(self, image_size: int) -> Tensor:
        """Coverages (5000, P) of all shapes, sizes and positions, and of all shifts and changes of radius."""
        if image_size not in self._covers:
            moves = torch.linspace(-self.jitter, self.jitter, STEPS) if self.jitter else torch.zeros(1)
            of = [torch.arange(len(FACTORS[name])) for name in _COVERED]
            grid = torch.cartesian_prod(*of, *[torch.arange(len(moves))] * 3)
            centre = CENTRES[grid[:, 2]] + moves[grid[:, 3:5]]
            radius = RADII[grid[:, 1]] + moves[grid[:, 5]]
            self._covers[image_size] = coverage(grid[:, 0], centre, radius, image_size).flatten(1)
        return self._covers[image_size]


def _least(found: Tensor, axis: int) -> Tensor:
    """The smallest of all values (B, ...) for every place on an axis, (B, n)."""
    return found.movedim(axis, 1).flatten(2).amin(2)
