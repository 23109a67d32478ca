"""The 1,797 real handwritten digits that ship with scikit-learn."""

import gzip
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from genexp.data.scikit_learn_files import scikit_learn_file
from genexp.data.source import Arrays, Split, fingerprint, require_split, stratified_order

Interpolation = Literal["nearest", "bilinear", "bicubic"]
NATIVE_SIZE = 8
_TEST, _VAL = 400, 200


class Digits:
    """Handwritten digits of 43 people, 8 x 8 pixels with 17 grey levels, bright ink on a dark ground.

    The split is fixed: 1,197 train, 200 val, 400 test images, with the classes in equal shares.

    Reference: Alpaydin and Kaynak, "Cascading classifiers" (1998); the UCI optical recognition test set.

    Args:
        image_size: Pixels a side; 8 is native, other sizes are resized from the 17 levels.
        channels: 1, or 3 to repeat the grey channel.
        interpolation: How other sizes are made: nearest, bilinear or bicubic; smaller ones are antialiased.

    Raises:
        ValueError: an argument is out of range.
    """

    classes = tuple(str(digit) for digit in range(10))

    def __init__(
        self, image_size: int = NATIVE_SIZE, channels: int = 1, interpolation: Interpolation = "bilinear"
    ) -> None:
        if image_size < 1:
            raise ValueError(f"image_size must be at least 1 pixel, got {image_size}")
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (RGB), got {channels}")
        if interpolation not in ("nearest", "bilinear", "bicubic"):
            raise ValueError(f"interpolation must be nearest, bilinear or bicubic, got {interpolation!r}")
        self.image_size, self.channels, self.interpolation = image_size, channels, interpolation

    def split(self, name: Split) -> "DigitExamples":
        """The images and labels of one split."""
        require_split(name)
        return DigitExamples(name, self.image_size, self.channels, self.interpolation)


class DigitExamples:
    """One split of the digits, read from scikit-learn at first use."""

    generated = False

    def __init__(self, name: Split, image_size: int, channels: int, interpolation: Interpolation) -> None:
        self.name, self.image_size, self.channels, self.interpolation = name, image_size, channels, interpolation
        self.fingerprint = fingerprint(
            __file__, split=name, image_size=image_size, channels=channels, interpolation=interpolation
        )
        self._arrays: Arrays | None = None

    def __len__(self) -> int:
        return len(self._loaded())

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """Images (B, C, H, W) uint8 and labels (B,)."""
        return self._loaded().read(rows)

    def _loaded(self) -> Arrays:
        if self._arrays is None:
            levels, labels = digit_levels(self.name)
            image = resize_levels(levels, self.image_size, self.interpolation).expand(-1, self.channels, -1, -1)
            self._arrays = Arrays({"image": image.contiguous(), "label": labels}, self.fingerprint)
        return self._arrays


def digit_levels(name: Split) -> tuple[Tensor, Tensor]:
    """Grey levels (N, 1, 8, 8) float in [0, 16] and labels (N,) int64 of one split."""
    with gzip.open(scikit_learn_file("data", "digits.csv.gz"), "rt") as file:
        rows = torch.from_numpy(np.loadtxt(file, delimiter=","))
    levels = rows[:, :-1].float().reshape(-1, 1, NATIVE_SIZE, NATIVE_SIZE)
    labels = rows[:, -1].long()
    order = stratified_order(labels, seed=0)
    parts = {"test": order[:_TEST], "val": order[_TEST : _TEST + _VAL], "train": order[_TEST + _VAL :]}
    rows = parts[name].sort().values
    return levels[rows], labels[rows]


def resize_levels(levels: Tensor, image_size: int, interpolation: Interpolation) -> Tensor:
    """Resize levels (N, 1, 8, 8) in [0, 16] and spread them over uint8 0..255, rounding once."""
    if image_size != NATIVE_SIZE:
        smooth = interpolation != "nearest"
        options = {"align_corners": False, "antialias": image_size < NATIVE_SIZE} if smooth else {}
        levels = interpolate(levels, size=(image_size, image_size), mode=interpolation, **options)
    return levels.mul(255 / 16).round().clamp(0, 255).to(torch.uint8)
