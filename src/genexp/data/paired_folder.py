"""A person's own pairs of pictures as a dataset: what is made, and what it is made of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from PIL import Image
from torch import Tensor

from genexp.data import decoding, picture_tensors, sixteen_bits
from genexp.data.decoding import SEVERAL, open_picture
from genexp.data.layout import shown
from genexp.data.listing import in_words
from genexp.data.paired_layout import SIDES, FoundPairs, Pair, find_pairs
from genexp.data.picture_files import first_frames
from genexp.data.picture_tensors import Preparation
from genexp.data.source import BadImage, Split, fingerprint
from genexp.data.split_folders import SplitFolders
from genexp.on_disk import OnDisk
from genexp.terminal import counted


class PairedFolder(SplitFolders[Pair, FoundPairs]):
    """Pairs below a folder, as `image`, the target, and `source`.

    Split folders are those of `Folder`; a split without one is cut from train. In each (or in `root`) lie folders
    `source` and `target`, in any case, with pictures of the same names but for their endings and of the same sizes; or
    files that show both side by side, twice as wide as high.

    Args:
        root: The folder.
        image_size: Pixels a side.
        channels: Of the target, 1 (grey) or 3 (RGB).
        source_channels: Of the source, 1 or 3.
        source_side: Which half of a file is the source, left or right; without effect on two folders.
        fit: How other aspect ratios are handled: crop, pad or stretch; both pictures alike.
        interpolation: nearest, box, bilinear, bicubic or lanczos.
        settings: Everything else that `SplitFolders` takes; a picture without a partner cannot be used either.

    Raises:
        ValueError: an argument is out of range.
    """

    classes = None
    things: ClassVar[str] = "pairs"

    def __init__(
        self,
        root: Annotated[str | Path, OnDisk("folder")],
        image_size: int,
        channels: int = 3,
        source_channels: int = 3,
        source_side: Literal["left", "right"] = "left",
        fit: Literal["crop", "pad", "stretch"] = "crop",
        interpolation: str = "bilinear",
        **settings: Any,
    ) -> None:
        super().__init__(root, **settings)
        if source_side not in ("left", "right"):
            raise ValueError(f"source_side must be left or right, got {source_side!r}")
        if source_channels not in (1, 3):
            raise ValueError(f"source_channels must be 1 (grey) or 3 (RGB), got {source_channels}")
        self.source_side = source_side
        self.preparations = tuple(
            Preparation(image_size, each, fit, None, interpolation) for each in (source_channels, channels)
        )

    def split(self, name: Split) -> "PairedFiles":
        """The pairs of one split.

        Raises:
            ValueError: the split is empty.
        """
        return PairedFiles(self.chosen(name), self)

    def find(self, folder: Path, skip: bool) -> FoundPairs:
        """The pairs below a folder."""
        return find_pairs(folder, skip)

    def nothing(self) -> FoundPairs:
        """No pairs."""
        return FoundPairs()

    def parts(self, found: FoundPairs) -> list[Pair]:
        """The pairs, sorted by name."""
        return found.pairs

    def require_alike(self, found: Mapping[str, FoundPairs]) -> None:
        """Raise ValueError where some splits are folders of two and others files of two."""
        if len({each.halves for each in found.values() if each.pairs}) > 1:
            raise ValueError(f"root must hold pairs of one layout in all splits, got both in {shown(self.root)}")

    @property
    def pairs(self) -> dict[str, list[Pair]]:
        """The pairs of every split, sorted by name; raises as `divided`."""
        return self.divided

    def notes(self, num_classes: int | None) -> list[str]:
        """What was found, in lines for a person: splits, layout, and what is not used."""
        lines = [f"{counted(sum(map(len, self.pairs.values())), 'pair')} in {shown(self.root)}: {self.sizes()}"]
        two = f"files of two pictures, the source on the {self.source_side}"
        lines.append(two if self.found["train"].halves else "pairs are files of one name in source and target")
        lines += self.split_notes()
        passed = in_words(each for found in self.found.values() for each in found.passed)
        return lines + ([passed] if passed else [])


class PairedFiles:
    """Pairs decoded when they are read."""

    generated = False

    def __init__(self, pairs: Sequence[Pair], folder: PairedFolder) -> None:
        self.pairs, self.preparations = list(pairs), folder.preparations
        self.left, self.max_pixels = folder.source_side == "left", folder.max_pixels
        self.skip = folder.on_bad_image == "skip"
        self._several: set[str] = set()
        halves = any(pair.target is None for pair in self.pairs)
        self.fingerprint = fingerprint(
            __file__,
            picture_tensors.__file__,
            decoding.__file__,
            sixteen_bits.__file__,
            files=[
                (each.file, each.size, each.modified)
                for pair in self.pairs
                for each in (pair.source, pair.target)
                if each
            ],
            preparations=repr(self.preparations),
            source_on_the_left=self.left if halves else None,
            max_pixels=self.max_pixels,
            skip=self.skip,
        )

    def __len__(self) -> int:
        return len(self.pairs)

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """Targets (B, C, H, W) and sources (B, C', H, W), uint8, as `image` and `source`."""
        source, target = zip(*(self._pair(self.pairs[row]) for row in rows.tolist()), strict=True)
        return {"image": torch.stack(target), "source": torch.stack(source)}

    @property
    def remarks(self) -> list[str]:
        """What was seen while all files were read, in lines for a person."""
        return first_frames(sorted(self._several))

    def _pair(self, pair: Pair) -> list[Tensor]:
        path = pair.source.file
        if pair.target is None:
            opened = self._halves(path)
        else:
            opened = (self._opened(path), self._opened(pair.target.file))
            if opened[0].size != opened[1].size:
                sizes = [f"{width} x {height}" for width, height in (each.size for each in opened)]
                raise BadImage(pair.target.file, f"it has {sizes[1]} pixels, its source {sizes[0]}", self.skip)
        try:
            return [prepare(picture) for prepare, picture in zip(self.preparations, opened, strict=True)]
        except ValueError as error:
            raise BadImage(path, str(error), self.skip) from error

    def _halves(self, path: str) -> tuple[Image.Image, Image.Image]:
        picture = self._opened(path)
        width, side = picture.size
        if width != 2 * side:
            raise BadImage(
                path,
                f"it has {width} x {side} pixels and is no two squares side by side; other pairs lie in folders "
                f"{' and '.join(SIDES)}",
                self.skip,
            )
        boxes = [(0, 0, side, side), (side, 0, width, side)]
        halves = [picture.resize((side, side), Image.Resampling.NEAREST, box) for box in boxes]
        return (halves[0], halves[1]) if self.left else (halves[1], halves[0])

    def _opened(self, path: str) -> Image.Image:
        picture = open_picture(path, self.max_pixels, self.skip)
        if picture.info.get(SEVERAL):
            self._several.add(path)
        return picture
