"""What a picture of one or two coloured shapes shows, by the nearest of all scenes that there are."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from genexp.data import scene_pictures, shape_pictures
from genexp.data.scene_pictures import FACTORS, GROUNDS, OF_RELATION, OF_SHAPES, PLACES, hides
from genexp.data.shape_pictures import COLOURS, RADII, coverage
from genexp.evaluation.extractors.frozen import require_channels
from genexp.evaluation.extractors.resizing import resized

_PIECE = 32
STEPS = 5
"""Shifts a direction, and changes of radius, from -jitter to jitter."""


class SceneReader:
    """Reads count, relation, shapes, colours, sizes and background of a picture of `data=scenes`, without weights.

    A shape in a part of the picture - the whole, or its left, right, upper or lower half - is ground + coverage x
    (colour - ground), with its centre and radius moved in five steps from -`jitter` to `jitter`. In every part the
    squared difference to all of these follows from 1,000 products a channel. One shape lies in one part and the rest
    is ground; two lie in two halves of one ground, so their differences add up and 4,600,000 pairs of them need not be
    drawn. Hypotheses of one and of two shapes compete, and the picture shows what the nearest shows.

    The features are, for every level of every factor, the mean squared difference to the nearest scene that shows it
    (33 values, images in [-1, 1]).

    Args:
        jitter: Shift and change of radius of the scenes compared with, in half picture widths.

    Raises:
        ValueError: `jitter` is out of range.
    """

    name = "scene_reader"
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
        code = [Path(file).read_bytes() for file in (__file__, scene_pictures.__file__, shape_pictures.__file__)]
        self.digest = hashlib.sha256(b"".join([*code, str(jitter).encode()])).hexdigest()
        self._covers: dict[int, list[Tensor]] = {}

    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, 33) of pictures (B, 3, S, S) in [-1, 1]; larger ones than 32 x 32 are made smaller first.

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
        """The level (B,) of every factor that pictures with features (B, 33) show, -1 where there is no other shape."""
        parts = features.split(list(self.attributes.values()), 1)
        found = {name: part.argmin(1) for name, part in zip(self.attributes, parts, strict=True)}
        of_two = ("relation", *(f"other_{name}" for name in OF_SHAPES))
        return {
            name: torch.where(found["count"] == 1, each, -1) if name in of_two else each for name, each in found.items()
        }

    def _distances(self, image: Tensor) -> Tensor:
        side = image.shape[2]
        covers = [each.to(image.device) for each in self._covers_of(side)]
        places = [_in_place(place, image, side) for place in range(len(PLACES))]
        shapes = [_to_shapes(pixels, cover) for pixels, cover in zip(places, covers, strict=True)]  # (B, 4, 2, 6, G)
        empty = [_to_ground(pixels)[:, None, None, None] for pixels in places]  # (B, 1, 1, 1, G)
        one = torch.stack([near + empty[0] - own for near, own in zip(shapes, empty, strict=True)]).amin(0)
        first = [shapes[a] + _least(shapes[b], 4)[:, None, None, None] for a, b in OF_RELATION.tolist()]
        other = [shapes[b] + _least(shapes[a], 4)[:, None, None, None] for a, b in OF_RELATION.tolist()]
        of_first, of_other = torch.stack([one, *first]).amin(0), torch.stack(other).amin(0)
        counted = torch.stack([one.flatten(1).amin(1), torch.stack(first).amin(0).flatten(1).amin(1)], 1)
        related = torch.stack([each.flatten(1).amin(1) for each in first], 1)
        axes = {"shape": 1, "size": 2, "colour": 3}
        parts = [counted, related]
        parts += [_least(of, axes[name]) for of in (of_first, of_other) for name in OF_SHAPES]
        parts.append(_least(of_first, 4))
        return torch.cat(parts, 1).clamp(min=0) / image[0].numel()

    def _covers_of(self, image_size: int) -> list[Tensor]:
        """Coverages (1000, P) of all shapes and sizes, shifts and changes of radius, of each place in its part."""
        if image_size not in self._covers:
            moves = torch.linspace(-self.jitter, self.jitter, STEPS) if self.jitter else torch.zeros(1)
            of = [torch.arange(len(FACTORS[name])) for name in ("shape", "size")]
            grid = torch.cartesian_prod(*of, *[torch.arange(len(moves))] * 3)
            radius = RADII[grid[:, 1]] + moves[grid[:, 4]]
            self._covers[image_size] = []
            for place, centre in enumerate(PLACES):
                covered = coverage(grid[:, 0], centre + moves[grid[:, 2:4]], radius, image_size)
                self._covers[image_size].append(_in_place(place, covered, image_size))
        return self._covers[image_size]


def _in_place(place: int, image: Tensor, side: int) -> Tensor:
    """The pixels (..., P) of images (..., S, S) in the part of a place: the whole, left, right, upper or lower half.

    Of an odd number of pixels a side, the line in the middle belongs to the right or lower half.
    """
    half = side // 2
    rows, columns = [
        (slice(None), slice(None)),
        (slice(None), slice(half)),
        (slice(None), slice(half, None)),
        (slice(half), slice(None)),
        (slice(half, None), slice(None)),
    ][place]
    return image[..., rows, columns].flatten(-2)


def _to_shapes(pixels: Tensor, covers: Tensor) -> Tensor:
    """Squared differences (B, 4, 2, 6, G) of a part (B, 3, P) to the nearest of every shape, size, colour and ground.

    They are infinite where a shape has the colour of its ground. |x - g - c (k - g)|^2 = |x - g|^2 -
    2 c . ((x - g) (k - g)) + |c|^2 |k - g|^2.
    """
    colour, ground = (levels.to(pixels) / 127.5 - 1 for levels in (COLOURS, GROUNDS))
    step = (colour[:, None] - ground).flatten(0, 1)  # (6 G, 3)
    below = ground.repeat(len(colour), 1)
    inside = (pixels @ covers.T).transpose(1, 2)  # (B, 1000, 3)
    fixed = covers.square().sum(1)[:, None] * step.square().sum(1) + 2 * covers.sum(1)[:, None] * (below * step).sum(1)
    found = torch.baddbmm(fixed.expand(len(pixels), -1, -1), inside, (-2 * step.T).expand(len(pixels), -1, -1))
    kinds = [len(FACTORS[name]) for name in ("shape", "size")]
    nearest = found.reshape(len(pixels), *kinds, -1, len(step)).amin(3).unflatten(-1, (len(colour), len(ground)))
    nearest = nearest + _to_ground(pixels)[:, None, None, None]
    return nearest.masked_fill(hides().to(pixels.device), torch.inf)


def _to_ground(pixels: Tensor) -> Tensor:
    """Squared differences (B, G) of a part (B, 3, P) to every plain ground."""
    ground = GROUNDS.to(pixels) / 127.5 - 1
    plain = pixels.square().sum((1, 2))[:, None] - 2 * pixels.sum(2) @ ground.T
    return plain + pixels.shape[2] * ground.square().sum(1)


def _least(found: Tensor, axis: int) -> Tensor:
    """The smallest of all values (B, ...) for every place on an axis, (B, n)."""
    return found.movedim(axis, 1).flatten(2).amin(2)
