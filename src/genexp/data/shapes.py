"""Procedural colour pictures of one shape each, with known and countable factors."""

import math

import torch
from torch import Tensor

from genexp.conditioning.kinds import Words
from genexp.data import generated
from genexp.data.generated import drawn_by_index
from genexp.data.source import Split, fingerprint, require_counts, require_split

FACTORS: dict[str, tuple[str, ...]] = {
    "shape": ("circle", "square", "triangle", "cross"),
    "colour": ("red", "green", "blue", "yellow", "magenta", "cyan"),
    "size": ("small", "large"),
    "position": ("centre", "top left", "top right", "bottom left", "bottom right"),
    "background": ("black", "grey", "white", "brown"),
}
MODES = math.prod(len(levels) for levels in FACTORS.values())
_COLOURS = torch.tensor([[220, 40, 40], [40, 170, 60], [50, 80, 220], [240, 210, 50], [210, 60, 200], [60, 200, 210]])
_GROUNDS = torch.tensor([[0, 0, 0], [128, 128, 128], [255, 255, 255], [100, 64, 26]])
_RADII = torch.tensor([0.22, 0.4])
_CENTRES = 0.45 * torch.tensor([[0, 0], [-1, -1], [1, -1], [-1, 1], [1, 1]])


class Shapes:
    """RGB pictures of one shape on a plain ground, deterministic by index, at any size.

    Five factors with 4, 6, 2, 5 and 4 levels give 960 modes. Every 960 consecutive pictures of a split show every mode
    once, so with split sizes in multiples of 960 the factors are independent and exactly uniform. Inside a mode, a
    small jitter moves and scales the shape. The label is shape and colour together, 24 classes: `red circle`, ...

    Args:
        image_size: Pixels a side.
        jitter: Largest shift, and largest change of radius, in half picture widths; at 0 a mode is one picture.
        train_images: Pictures of the train split.
        val_images: Pictures of the val split.
        test_images: Pictures of the test split.
        captions: Give every picture its caption as `ShapeCaptions`, in the column `caption`.

    Raises:
        ValueError: an argument is out of range.
    """

    classes = tuple(f"{colour} {shape}" for shape in FACTORS["shape"] for colour in FACTORS["colour"])

    def __init__(
        self,
        image_size: int = 32,
        jitter: float = 0.05,
        train_images: int = 9600,
        val_images: int = 960,
        test_images: int = 1920,
        captions: bool = False,
    ) -> None:
        if image_size < 8:
            raise ValueError(f"image_size must be at least 8 pixels to tell shapes apart, got {image_size}")
        if not 0 <= jitter <= 0.1:
            raise ValueError(f"jitter must lie in [0, 0.1], got {jitter}")
        self.image_size, self.jitter, self.captions = image_size, jitter, captions
        require_counts(train_images=train_images, val_images=val_images, test_images=test_images)
        self.counts = {"train": train_images, "val": val_images, "test": test_images}
        self._drawn: dict[str, ShapeExamples] = {}

    def split(self, name: Split) -> "ShapeExamples":
        """The pictures of one split, drawn when they are read."""
        require_split(name)
        if name not in self._drawn:
            self._drawn[name] = ShapeExamples(name, self.counts[name], self.image_size, self.jitter, self.captions)
        return self._drawn[name]

    def factors(self, index: int, split: Split = "train") -> dict[str, str]:
        """The level of every factor of one picture."""
        levels = factor_levels(self.split(split).mode[index : index + 1])
        return {name: FACTORS[name][int(level)] for name, level in levels.items()}

    def factor_levels(self, name: Split) -> dict[str, Tensor]:
        """The level (N,) of every factor, by its name, of all pictures of a split."""
        return factor_levels(self.split(name).mode)

    def caption(self, index: int, split: Split = "train") -> str:
        """One picture in words: `a small red circle at the top left on a black background`."""
        return describe(**self.factors(index, split))


class ShapeCaptions(Words):
    """The captions of the shapes as a condition of a model: 27 words, 12 a caption.

    Args:
        left_out: Share of training samples that are not told theirs, in [0, 1).
    """

    def __init__(self, left_out: float = 0.0) -> None:
        told = {word for levels in FACTORS.values() for level in levels for word in level.split()}
        super().__init__(sorted(told | set(["a", "at", "background", "in", "on", "the"])), 12, left_out)


class ShapeExamples:
    """One split of the shapes.

    Attributes:
        mode: Which of the 960 factor combinations every picture shows, (N,) int64.
        shift: Jitter of the centre in half picture widths, (N, 2).
        growth: Jitter of the radius in half picture widths, (N,).
    """

    generated = True

    def __init__(self, name: Split, count: int, image_size: int, jitter: float, captions: bool = False) -> None:
        self.image_size = image_size
        self.captions = _captions_of_modes() if captions else None
        columns = drawn_by_index(count, MODES, name, lambda generator: _draw_modes(generator, jitter))
        self.mode, self.shift, self.growth = columns["mode"], columns["shift"], columns["growth"]
        form = {"split": name, "count": count, "image_size": image_size, "jitter": jitter, "captions": captions}
        self.fingerprint = fingerprint(__file__, generated.__file__, **form)

    def __len__(self) -> int:
        return len(self.mode)

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """Draw images (B, 3, H, W) uint8 with their labels (B,) and, if wanted, captions (B, 12)."""
        mode = self.mode[rows]
        levels = factor_levels(mode)
        image = draw_shapes(mode, self.image_size, self.shift[rows], self.growth[rows])
        columns = {"image": image, "label": levels["shape"] * len(FACTORS["colour"]) + levels["colour"]}
        return columns if self.captions is None else {**columns, "caption": self.captions[mode]}


def factor_levels(mode: Tensor) -> dict[str, Tensor]:
    """Split mode numbers (B,) in [0, 960) into the level of every factor, (B,) each."""
    levels = {}
    for name in reversed(FACTORS):
        levels[name], mode = mode % len(FACTORS[name]), mode // len(FACTORS[name])
    return {name: levels[name] for name in FACTORS}


def draw_shapes(mode: Tensor, image_size: int, shift: Tensor | None = None, growth: Tensor | None = None) -> Tensor:
    """Draw antialiased pictures of the given modes.

    A pixel's coverage is clip(1/2 - d, 0, 1), where d is the signed distance of its centre to the outline in pixels.

    Args:
        mode: Mode numbers (B,) in [0, 960).
        image_size: Pixels a side.
        shift: Added to the centre, (B, 2) in half picture widths; none by default.
        growth: Added to the radius, (B,) in half picture widths; none by default.

    Returns:
        (B, 3, image_size, image_size) uint8.
    """
    levels = factor_levels(mode)
    centre = _CENTRES[levels["position"]] + (0 if shift is None else shift)
    radius = (_RADII[levels["size"]] + (0 if growth is None else growth)).reshape(-1, 1, 1)
    line = (torch.arange(image_size) + 0.5) * (2 / image_size) - 1
    x, y = line - centre[:, 0].reshape(-1, 1, 1), line[:, None] - centre[:, 1].reshape(-1, 1, 1)
    x, y = torch.broadcast_tensors(x, y)
    distance = torch.empty_like(x)
    for level, outline in enumerate((_circle, _square, _triangle, _cross)):
        chosen = levels["shape"] == level
        distance[chosen] = outline(x[chosen], y[chosen], radius[chosen])
    coverage = (0.5 - distance * image_size / 2).clamp(0, 1)[:, None]
    colour = _COLOURS[levels["colour"]].float().reshape(-1, 3, 1, 1)
    ground = _GROUNDS[levels["background"]].float().reshape(-1, 3, 1, 1)
    return (ground + coverage * (colour - ground)).round().to(torch.uint8)


def describe(shape: str, colour: str, size: str, position: str, background: str) -> str:
    """Factor levels in words."""
    place = "in the centre" if position == "centre" else f"at the {position}"
    return f"a {size} {colour} {shape} {place} on a {background} background"


def _captions_of_modes() -> Tensor:
    words, modes = ShapeCaptions(), factor_levels(torch.arange(MODES))
    named = [[FACTORS[name][level] for level in levels.tolist()] for name, levels in modes.items()]
    return torch.cat([words.read(describe(*levels)) for levels in zip(*named, strict=True)])


def _draw_modes(generator: torch.Generator, jitter: float) -> dict[str, Tensor]:
    def spread(*shape: int) -> Tensor:
        return jitter * (2 * torch.rand(*shape, generator=generator) - 1)

    mode = torch.randperm(MODES, generator=generator)
    return {"mode": mode, "shift": spread(MODES, 2), "growth": spread(MODES)}


def _circle(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    return torch.hypot(x, y) - radius


def _square(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) - 0.85 * radius


def _triangle(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """Equilateral, its tip up and its corners on the circle of `radius`."""
    sides = 0.5 * math.sqrt(3) * x.abs() - 0.5 * y
    return torch.maximum(sides, y) - 0.5 * radius


def _cross(x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    x, y = x.abs(), y.abs()
    upright = torch.maximum(x - 0.3 * radius, y - radius)
    level = torch.maximum(x - radius, y - 0.3 * radius)
    return torch.minimum(upright, level)
