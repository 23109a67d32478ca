"""Pairs of pictures of one random anatomy in two contrasts, as CT and MRI have them; made in code.

No patient is in them: slices of a body of ellipses, with values that are only like those of the two modalities.
"""

import math

import torch
from torch import Tensor

from genexp.data import generated
from genexp.data.generated import split_number
from genexp.data.source import Split, fingerprint, require_counts, require_split
from genexp.tensors import mix_seed

TISSUES: dict[str, tuple[float, float]] = {
    "air": (0.0, 0.0),
    "fat": (0.22, 0.8),
    "muscle": (0.5, 0.3),
    "striped organ": (0.61, 0.55),
    "smooth organ": (0.61, 0.12),
    "bright lesion": (0.7, 0.9),
    "dark lesion": (0.7, 0.02),
    "bone": (1.0, 0.05),
    "marrow": (0.8, 0.65),
    "canal": (0.5, 0.98),
}
"""Brightness of every tissue, from 0 to 1, in the source (like CT) and in the target (like MRI). Both organs, both
lesions, muscle and canal share theirs in the source: what they are is told by texture and shape, by the organ around a
lesion, and by the bone around the canal."""

STRIPES = 0.06
"""Amplitude of the texture of the striped organ, in the source."""
NOISE = 0.02, 0.01
"""Standard deviation of the noise of every pixel in source and target."""
_NUMBERS = 40


class Contrasts:
    """Pairs of grey pictures of one random anatomy, deterministic by index, at any size.

    The source is like CT: bone is white, soft tissues lie close together, fat is dark. The target is like MRI: fat and
    fluid are bright, bone is dark, and a slow bias field lies over all. No map of grey values makes the one of the
    other, see `TISSUES`; the field and the noise of the target cannot be known from the source.

    Args:
        image_size: Pixels a side, a multiple of 8.
        train_images: Pairs of the train split.
        val_images: Pairs of the val split.
        test_images: Pairs of the test split.
        bias: Largest change of the target's brightness by the field, as a share, in [0, 0.5].
        paired: Whether both pictures of a training example show one anatomy; else the source shows another, which no
            target of training does. Those of val and test always show one.

    Raises:
        ValueError: an argument is out of range.
    """

    classes = None

    def __init__(
        self,
        image_size: int = 32,
        train_images: int = 4000,
        val_images: int = 200,
        test_images: int = 500,
        bias: float = 0.15,
        paired: bool = True,
    ) -> None:
        if image_size < 8 or image_size % 8:
            raise ValueError(f"image_size must be a multiple of 8 pixels, got {image_size}")
        if not 0 <= bias <= 0.5:
            raise ValueError(f"bias must lie in [0, 0.5], got {bias}")
        require_counts(train_images=train_images, val_images=val_images, test_images=test_images)
        self.image_size, self.bias, self.paired = image_size, bias, paired
        self.counts: dict[Split, int] = {"train": train_images, "val": val_images, "test": test_images}

    def split(self, name: Split) -> "ContrastPairs":
        """The pairs of one split, drawn when they are read."""
        require_split(name)
        return ContrastPairs(name, self.counts[name], self.image_size, self.bias, self.paired or name != "train")


class ContrastPairs:
    """One split of the pairs."""

    generated = True

    def __init__(self, name: Split, count: int, image_size: int, bias: float, paired: bool = True) -> None:
        self.name, self.count, self.image_size, self.bias, self.paired = name, count, image_size, bias, paired
        form = {"split": name, "count": count, "image_size": image_size, "bias": bias}
        form |= {} if paired else {"paired": False}
        self.fingerprint = fingerprint(__file__, generated.__file__, **form)

    def __len__(self) -> int:
        return self.count

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """Sources and targets (B, 1, H, W) uint8, as `source` and `image`."""
        numbers, noise = self._all_drawn(rows)
        source, target, _ = anatomy(numbers, self.image_size)
        target = target * bias_field(numbers[:, -3:], self.image_size, self.bias)
        if not self.paired:
            source = anatomy(self._all_drawn(rows + self.count)[0], self.image_size)[0]
        pictures = torch.stack([source, target], 1) + torch.tensor(NOISE)[:, None, None] * noise
        source, target = (pictures.clamp(0, 1) * 255).round().to(torch.uint8)[:, :, None].unbind(1)
        return {"image": target, "source": source}

    def _all_drawn(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers (B, 40) of anatomies and noise (B, 2, H, W) of their pictures."""
        numbers, noise = (torch.stack(each) for each in zip(*map(self._drawn, rows.tolist()), strict=True))
        return numbers, noise

    def _drawn(self, row: int) -> tuple[Tensor, Tensor]:
        """Uniform numbers (40,) of one anatomy, and the noise (2, H, W) of its pictures."""
        generator = torch.Generator().manual_seed(mix_seed(split_number(self.name), row))
        numbers = torch.rand(_NUMBERS, generator=generator)
        return numbers, torch.randn(2, self.image_size, self.image_size, generator=generator)


def anatomy(numbers: Tensor, image_size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw slices of random anatomies without noise or bias field.

    Args:
        numbers: Uniform numbers (B, 40), which say all of them.
        image_size: Pixels a side.

    Returns:
        Source and target (B, H, W) with values from 0 to 1, and the share (B, 10, H, W) of every tissue of `TISSUES`
        in every pixel.
    """
    slices, draw = _Slices(len(numbers), image_size), _Numbers(numbers)
    body, inner = _laid_body(slices, draw)
    side = torch.where(draw.within(0, 1) < 0.5, 1.0, -1.0)
    _lay_organ(slices, draw, body, inner, side, striped=True)
    _lay_organ(slices, draw, body, inner, -side, striped=False)
    gas = draw.within(0.06, 0.12)
    place = body[0] + draw.within(-0.12, 0.12), body[1] - draw.within(0.25, 0.4) * inner[1]
    slices.add("air", slices.ellipse(*place, gas, gas))
    x, y = body[0] + draw.within(-0.04, 0.04), body[1] + draw.within(0.5, 0.6) * inner[1]
    spine = draw.within(0.15, 0.2)
    slices.add("bone", slices.ellipse(x, y, 1.1 * spine, spine))
    slices.add("marrow", slices.ellipse(x, y - 0.35 * spine, 0.7 * spine, 0.45 * spine))
    slices.add("canal", slices.ellipse(x, y + 0.45 * spine, 0.4 * spine, 0.4 * spine))
    return slices.source, slices.target, slices.shares


Two = tuple[Tensor, Tensor]


def _laid_body(slices: "_Slices", draw: "_Numbers") -> tuple[Two, Two]:
    """Lay fat and muscle; returns the centre and the half axes of the muscle, (B,) each."""
    across, deep = draw.within(0.72, 0.92), draw.within(0.58, 0.8)
    skin, turn = draw.within(0.06, 0.13), draw.within(-0.12, 0.12)
    body = draw.within(-0.05, 0.05), draw.within(-0.05, 0.05)
    slices.add("fat", slices.ellipse(*body, across, deep, turn))
    slices.add("muscle", slices.ellipse(*body, across - skin, deep - skin, turn))
    return body, (across - skin, deep - skin)


def _lay_organ(slices: "_Slices", draw: "_Numbers", body: Two, inner: Two, side: Tensor, striped: bool) -> None:
    """Lay the striped organ, which stands upright, or the smooth one, which lies; perhaps with a lesion in it."""
    x = body[0] + side * draw.within(0.4, 0.52) * inner[0]
    y = body[1] + draw.within(-0.3, 0.05) * inner[1]
    long, short = draw.within(0.2, 0.27), draw.within(0.14, 0.19)
    across, down = (short, long) if striped else (long, short)
    organ = slices.ellipse(x, y, across, down, draw.within(-0.5, 0.5))
    waves, begin = draw.within(7.5, 8.5)[:, None, None], draw.within(0, 2 * math.pi)[:, None, None]
    texture = STRIPES * torch.sin(math.pi * waves * slices.y + begin)
    slices.add("striped organ" if striped else "smooth organ", organ, texture if striped else None)
    size = draw.within(0.06, 0.1)
    place = x + draw.within(-0.05, 0.05), y + draw.within(-0.06, 0.06)
    there = (draw.within(0, 1) < 0.7).float()[:, None, None]
    slices.add("bright lesion" if striped else "dark lesion", organ * there * slices.ellipse(*place, size, size))


def bias_field(numbers: Tensor, image_size: int, strength: float) -> Tensor:
    """Fields (B, H, W) from 1 - `strength` to 1, of half a wave or less over the picture, by uniform numbers (B, 3)."""
    line = (torch.arange(image_size) + 0.5) * (2 / image_size) - 1
    angle, begin, length = _planes(numbers)
    angle, begin = 2 * math.pi * angle, 2 * math.pi * begin
    along = angle.cos() * line + angle.sin() * line[:, None]
    return 1 - strength * (0.5 + 0.5 * torch.sin((0.8 + 0.7 * length) * along + begin))


class _Numbers:
    """Uniform numbers (B, N), of which each is used once."""

    def __init__(self, numbers: Tensor) -> None:
        self._numbers = iter(numbers.unbind(1))

    def within(self, low: float, high: float) -> Tensor:
        """The next ones (B,), from `low` to `high`."""
        return low + (high - low) * next(self._numbers)


class _Slices:
    """Pictures that tissues are laid on one after the other."""

    def __init__(self, count: int, image_size: int) -> None:
        line = (torch.arange(image_size) + 0.5) * (2 / image_size) - 1
        self.x, self.y = line.expand(1, image_size, image_size), line[:, None].expand(1, image_size, image_size)
        self.pixel = 2 / image_size
        self.source, self.target = torch.zeros(count, image_size, image_size), torch.zeros(1)
        self.shares = torch.zeros(count, len(TISSUES), image_size, image_size)
        self.shares[:, 0] = 1

    def ellipse(self, x: Tensor, y: Tensor, across: Tensor, down: Tensor, turn: Tensor | None = None) -> Tensor:
        """Share (B, H, W) of every pixel that lies in ellipses of centres and half axes (B,), turned by so much."""
        turn = torch.zeros_like(x) if turn is None else turn
        x, y, across, down, sine, cosine = _planes(torch.stack([x, y, across, down, turn.sin(), turn.cos()], 1))
        right, below = self.x - x, self.y - y
        right, below = (cosine * right + sine * below) / across, (cosine * below - sine * right) / down
        beyond = (torch.hypot(right, below) - 1) * torch.minimum(across, down)
        return (0.5 - beyond / self.pixel).clamp(0, 1)

    def add(self, tissue: str, cover: Tensor, texture: Tensor | None = None) -> None:
        """Lay a tissue over what is there, by shares (B, H, W), with a texture of the source."""
        number, (source, target) = list(TISSUES).index(tissue), TISSUES[tissue]
        self.source = self.source + cover * (source + (0 if texture is None else texture) - self.source)
        self.target = self.target + cover * (target - self.target)
        self.shares = self.shares * (1 - cover[:, None])
        self.shares[:, number] += cover


def _planes(numbers: Tensor) -> list[Tensor]:
    """Numbers (B, N) as N tensors (B, 1, 1)."""
    return [each[:, None, None] for each in numbers.unbind(1)]
