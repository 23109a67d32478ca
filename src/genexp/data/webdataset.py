"""Pictures in tar shards, read where they lie: data larger than memory, in the format of WebDataset."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from genexp.data import decoding, picture_tensors, shards, sixteen_bits
from genexp.data.decoding import MAX_PIXELS, open_picture
from genexp.data.picture_tensors import Preparation
from genexp.data.shards import MOST_BYTES, Indexed, indexed
from genexp.data.source import BadImage, Split, fingerprint, require_split
from genexp.data.split_folders import require_shares
from genexp.on_disk import OnDisk
from genexp.terminal import counted, shown_path

_WORDS: dict[str, Split] = {
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def split_named(path: str) -> Split:
    """The split whose word is in a path below the root: val, valid, validation, dev, test or testing; else train."""
    words = re.split(r"[^a-z]+", path.lower())
    return next((_WORDS[word] for word in words if word in _WORDS), "train")


def rows_of(name: Split, count: int, shares: Mapping[str, float], own: Collection[str]) -> Tensor:
    """Which of `count` samples in the files of a split belong to it; those that are held out are evenly spread.

    Args:
        name: The split.
        count: Samples in its own files, or in those of train where it has none.
        shares: What val and test hold out of train where they have no files.
        own: Splits that have files of their own.
    """
    if name in own and name != "train":
        return torch.arange(count)
    rest, left = torch.arange(count), 1.0
    for split, share in shares.items():
        if split in own:
            continue
        place = torch.arange(len(rest), dtype=torch.float64)
        taken = ((place + 1) * share / left).floor() > (place * share / left).floor()
        if split == name:
            return rest[taken]
        rest, left = rest[~taken], left - share
    return rest


class WebDataset:
    """Pictures of tar shards, in any folder below `root`.

    A shard whose name or folder holds a word such as val or test (`digits-val-000.tar`, `test/000.tar`) is of that
    split, all others of train. Without shards of their own, val and test are samples of train, evenly spread. Labels
    are the numbers in the `.cls` files of the samples, where every sample has one.

    Args:
        root: The folder.
        image_size: Pixels a side.
        channels: 1 (grey) or 3 (RGB).
        fit: How other aspect ratios are handled: crop, pad or stretch.
        interpolation: nearest, box, bilinear, bicubic or lanczos.
        val_share: Share of the samples held out as val where no shard is of val.
        test_share: Share of the samples held out as test where no shard is of test.
        skip: Whether pictures that cannot be decoded are left out and reported; else the first one is an error.
        max_pixels: Largest width times height that is decoded.
        draft: Have JPEGs decoded no larger than needed, see `Preparation`.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        root: Annotated[str | Path, OnDisk("folder")],
        image_size: int,
        channels: int = 3,
        fit: str = "crop",
        interpolation: str = "bilinear",
        val_share: float = 0.05,
        test_share: float = 0.05,
        skip: bool = False,
        max_pixels: int = MAX_PIXELS,
        draft: bool = False,
    ) -> None:
        self.root, self.skip, self.max_pixels = Path(root), skip, max_pixels
        self.preparation = Preparation(image_size, channels, fit, None, interpolation, draft)
        self.shares = require_shares(val_share, test_share)

    @cached_property
    def shards(self) -> dict[Split, list[tuple[Path, Indexed]]]:
        """The shards of every split with their indices, sorted by path.

        Raises:
            BadShard: one cannot be used.
            ValueError: there are none.
        """
        from tqdm import tqdm

        paths = sorted(path for path in self.root.rglob("*.tar") if not path.name.startswith("."))
        if not paths:
            raise ValueError(f"data.source.root must be a folder of .tar shards, got {self.root} without any")
        found: dict[Split, list[tuple[Path, Indexed]]] = {"train": [], "val": [], "test": []}
        for path in tqdm(paths, desc="reading shards", delay=2):
            found[split_named(str(path.relative_to(self.root)))].append((path, indexed(path)))
        return found

    @cached_property
    def classes(self) -> Sequence[str] | None:
        """The numbers of the classes as texts; None where some sample has no label."""
        labels = [label for part in self.shards.values() for _, each in part for label in each.labels]
        return None if None in labels or not labels else [str(each) for each in range(max(labels) + 1)]

    def split(self, name: Split) -> "ShardedPictures":
        """The samples of one split.

        Raises:
            BadShard: a shard cannot be used.
            ValueError: the split is empty.
        """
        require_split(name)
        part, chosen = self._part(name)
        if not len(chosen):
            rule = "there must be shards of train" if name == "train" else f"{name}_share must hold out a sample"
            raise ValueError(f"data.source: {rule}, got no sample of {name} in {self.root}")
        return ShardedPictures(part, chosen, self.classes is not None, self.preparation, self.max_pixels, self.skip)

    def _part(self, name: Split) -> tuple[list[tuple[Path, Indexed]], Tensor]:
        """The shards that a split lies in, and which of their samples belong to it."""
        own = self.shards[name]
        part = self.shards["train"] if name in self.shares and not own else own
        own_splits = {split for split, found in self.shards.items() if found}
        return part, rows_of(name, sum(len(each.offsets) for _, each in part), self.shares, own_splits)

    def notes(self, num_classes: int | None) -> list[str]:
        """What was found, in lines for a person.

        Args:
            num_classes: Number of classes that labels are wanted for, or None.
        """
        every = [each for part in self.shards.values() for each in part]
        sizes = ", ".join(f"{name} {len(self._part(name)[1]):,}" for name in self.shards)
        lines = [f"{counted(len(every), 'shard')} in {shown_path(self.root)}: {sizes}"]
        passed = sum((each.passed for _, each in every), Counter())
        if passed:
            lines.append(f"passed over {', '.join(f'{count:,} {what}' for what, count in passed.most_common(5))}")
        if self.classes is not None and num_classes is None:
            lines.append(f"labels are not used: data.num_classes={len(self.classes)} uses them")
        return lines


class ShardedPictures:
    """Some samples of some shards, read and decoded when they are asked for.

    Args:
        part: Shards with their indices.
        chosen: Numbers of the samples that are used, over all shards in order.
        labelled: Whether there are labels.
        preparation: How pictures become images.
        max_pixels: Largest width times height that is decoded.
        skip: Whether bad pictures may be left out.

    Attributes:
        groups: How many of the samples lie in each shard, in order.
    """

    generated = False

    def __init__(
        self,
        part: Sequence[tuple[Path, Indexed]],
        chosen: Tensor,
        labelled: bool,
        preparation: Preparation,
        max_pixels: int,
        skip: bool,
    ) -> None:
        counts = torch.tensor([len(each.offsets) for _, each in part], dtype=torch.int64)
        self.paths = [path for path, _ in part]
        self.shard = torch.repeat_interleave(torch.arange(len(part), dtype=torch.int32), counts)[chosen]
        self.groups = torch.bincount(self.shard, minlength=len(part)).tolist()
        self.offset, self.size = (
            torch.tensor([value for values in found for value in values], dtype=torch.int64)[chosen]
            for found in ([each.offsets for _, each in part], [each.sizes for _, each in part])
        )
        labels = [label for _, each in part for label in each.labels] if labelled else []
        self.labels = torch.tensor(labels, dtype=torch.int64)[chosen] if labelled else None
        self.preparation, self.max_pixels, self.skip = preparation, max_pixels, skip
        modules = (module.__file__ for module in (shards, decoding, picture_tensors, sixteen_bits))
        files = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in self.paths]
        told = {"chosen": [len(chosen), int(chosen.sum())], "preparation": repr(preparation), "skip": skip}
        self.fingerprint = fingerprint(__file__, *modules, files=files, max_pixels=max_pixels, **told)

    def __len__(self) -> int:
        return len(self.offset)

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """Images (B, C, H, W) uint8, and labels (B,) where there are classes."""
        columns = {"image": torch.stack([self._image(row) for row in rows.tolist()])}
        return columns if self.labels is None else {**columns, "label": self.labels[rows]}

    def _image(self, row: int) -> Tensor:
        path, offset, size = self.paths[self.shard[row]], int(self.offset[row]), int(self.size[row])
        name = f"{path} at byte {offset:,}"
        if size > MOST_BYTES:
            raise BadImage(name, f"it has {size:,} bytes, more than {MOST_BYTES:,}", self.skip)
        try:
            with open(path, "rb", buffering=0) as file:
                file.seek(offset)
                content = file.read(size)
        except OSError as error:
            raise BadImage(name, error.strerror or str(error), self.skip) from error
        picture = open_picture(name, self.max_pixels, self.skip, content, self.preparation.least)
        try:
            return self.preparation(picture)
        except ValueError as error:
            raise BadImage(name, str(error), self.skip) from error
