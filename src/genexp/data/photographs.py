"""Patches of photographs of any sizes, for models of small images that are used on whole pictures."""

from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor

from genexp.data import content_style, decoding, picture_tensors, sixteen_bits
from genexp.data.content_style import Photographs
from genexp.data.decoding import open_picture, read_header
from genexp.data.generated import split_number
from genexp.data.picture_tensors import to_tensor, with_channels
from genexp.data.source import BadImage, Split, fingerprint, require_counts, require_split
from genexp.tensors import mix_seed
from genexp.terminal import counted, shown_path

KEPT = 256
"""Decoded pictures that stay in memory; of a larger set those that were used last."""


class Patches:
    """Squares cut out of photographs at their own scale, each place of every picture as likely as any other.

    Patch i of a split depends on the pictures and i alone. Validation and test have patches of other pictures: of
    `held_out`, or of those that the folder holds out.

    Args:
        photographs: The pictures; of `held_out` where there is one all are for training.
        held_out: Pictures of val and test, or None.
        image_size: Pixels a side of a patch.
        channels: 1 (grey) or 3 (RGB).
        train_patches: Patches until they repeat.
        eval_patches: Patches of val, and of test.

    Raises:
        ValueError: an argument is out of range.
    """

    classes = None

    def __init__(
        self,
        photographs: Photographs,
        image_size: int,
        channels: int = 3,
        held_out: Photographs | None = None,
        train_patches: int = 1_000_000,
        eval_patches: int = 64,
    ) -> None:
        require_counts(image_size=image_size, train_patches=train_patches, eval_patches=eval_patches)
        if channels not in (1, 3):
            raise ValueError(f"channels must be 1 (grey) or 3 (RGB), got {channels}")
        self.photographs, self.held_out = photographs, held_out
        self.image_size, self.channels = image_size, channels
        self.counts: dict[Split, int] = {"train": train_patches, "val": eval_patches, "test": eval_patches}

    def notes(self, num_classes: int | None) -> list[str]:
        """What was found, in lines for a person."""
        others = [] if self.held_out is None else [f"held out: {line}" for line in self.held_out.notes()]
        return self.photographs.notes() + others

    def split(self, name: Split) -> "PatchExamples":
        """The patches of one split; every picture is checked first."""
        require_split(name)
        chosen = self.photographs if name == "train" or self.held_out is None else self.held_out
        return PatchExamples(self, chosen, name)


class PatchExamples:
    """Patches of one split, cut when they are read.

    Raises:
        BadImage: a picture is smaller than a patch and such pictures are not to be skipped.
        ValueError: all of them are.
    """

    generated = True

    def __init__(self, source: Patches, photographs: Photographs, name: Split) -> None:
        self.source, self.max_pixels, self.count = source, photographs.max_pixels, source.counts[name]
        self.stream = split_number(name)
        files, digest = photographs.files(name, source.image_size)
        self.files, self.sizes = _large_enough(files, source.image_size, photographs, name)
        places = [(height - source.image_size + 1) * (width - source.image_size + 1) for height, width in self.sizes]
        self.ends = list(accumulate(places))
        self.fingerprint = fingerprint(
            __file__,
            content_style.__file__,
            picture_tensors.__file__,
            decoding.__file__,
            sixteen_bits.__file__,
            pictures=digest,
            sizes=self.sizes,
            image_size=source.image_size,
            channels=source.channels,
            stream=self.stream,
            count=self.count,
        )

    def __len__(self) -> int:
        return self.count

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """Patches (B, C, H, W) uint8, as `image`."""
        return {"image": torch.stack([self._patch(row) for row in rows.tolist()])}

    def _patch(self, row: int) -> Tensor:
        place = mix_seed(self.stream, row) % self.ends[-1]
        which, size = bisect_right(self.ends, place), self.source.image_size
        place -= self.ends[which - 1] if which else 0
        top, left = divmod(place, self.sizes[which][1] - size + 1)
        picture = decoded(self.files[which], self.source.channels, self.max_pixels)
        return picture[:, top : top + size, left : left + size]


@lru_cache(maxsize=KEPT)
def decoded(path: str, channels: int, max_pixels: int) -> Tensor:
    """A whole picture (C, H, W) uint8.

    Raises:
        BadImage: it cannot be read.
    """
    picture = open_picture(path, max_pixels)
    try:
        return to_tensor(with_channels(picture, channels))
    except ValueError as error:
        raise BadImage(path, str(error)) from error


def _large_enough(
    files: list[str], image_size: int, photographs: Photographs, split: Split
) -> tuple[list[str], list[tuple[int, int]]]:
    """The files of pictures that a patch fits into, and the heights and widths of these."""
    sizes = [read_header(path, photographs.max_pixels)[1:3] for path in files]
    small = [place for place, size in enumerate(sizes) if min(size) < image_size]
    if small:
        first, (height, width) = files[small[0]], sizes[small[0]]
        told = f"it has {width} x {height} pixels, less than image_size={image_size}"
        if photographs.skip and len(small) == len(files):
            told += f", and with all such left out {split} has none"
        if not photographs.skip or len(small) == len(files):
            raise BadImage(first, told)
        left = counted(len(small), "picture")
        print(f"left out {left} smaller than image_size={image_size}, first {shown_path(Path(first))}")
    kept = [place for place in range(len(files)) if place not in set(small)]
    return [files[place] for place in kept], [sizes[place] for place in kept]
