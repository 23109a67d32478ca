"""Any tree of picture files as a dataset, with or without class folders and split folders."""

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from genexp.data import pictures
from genexp.data.pictures import DECODE_ERRORS, EXTENSIONS, Preparation, open_picture
from genexp.data.source import BadImage, Split, fingerprint, require_split

OnBadImage = Literal["error", "skip"]


class Folder:
    """Pictures below a folder; any sizes, any depth.

    Folders named train, val and test directly below `root` are the splits, if `train` is there. A split without
    its own folder is cut from the rest by shares, in an order fixed by the hash of every file's path, so that it does
    not depend on the machine. If every picture lies in a subfolder (of its split), the first subfolder names its class.

    Args:
        root: The folder.
        image_size: Pixels a side.
        channels: 1 (grey) or 3 (RGB).
        fit: How other aspect ratios are handled: crop, pad or stretch.
        crop: Cut a central square of so many pixels first; null cuts nothing.
        interpolation: nearest, box, bilinear, bicubic or lanczos.
        val_share: Share of the pictures held out as val where there is no val folder.
        test_share: Share of the pictures held out as test where there is no test folder.
        on_bad_image: `error` stops at a picture that cannot be used, `skip` leaves it out and reports it.
        max_pixels: Largest width times height that is decoded.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        root: str | Path,
        image_size: int,
        channels: int = 3,
        fit: Literal["crop", "pad", "stretch"] = "crop",
        crop: int | None = None,
        interpolation: str = "bilinear",
        val_share: float = 0.05,
        test_share: float = 0.1,
        on_bad_image: OnBadImage = "error",
        max_pixels: int = 50_000_000,
    ) -> None:
        self.root = Path(root).expanduser()
        self.preparation = Preparation(image_size, channels, fit, crop, interpolation)
        if min(val_share, test_share) < 0 or val_share + test_share >= 1:
            raise ValueError(
                f"val_share and test_share must be at least 0 and sum to less than 1, got {val_share} and {test_share}"
            )
        self.shares = {"val": val_share, "test": test_share}
        self.on_bad_image, self.max_pixels = on_bad_image, max_pixels
        require_policy(on_bad_image)

    @property
    def classes(self) -> Sequence[str] | None:
        """Names of the class folders in alphabetical order; None if some picture lies in none."""
        names = {picture.class_name for part in self.pictures.values() for picture in part}
        return None if None in names else sorted(names)

    def split(self, name: Split) -> "ImageFiles":
        """The picture files of one split.

        Raises:
            ValueError: the split is empty.
        """
        require_split(name)
        chosen, classes = self.pictures[name], self.classes
        if not chosen:
            raise ValueError(f"{name}_share must be above 0, or {self.root / name} must hold pictures, to use {name}")
        labels = None if classes is None else [classes.index(picture.class_name) for picture in chosen]
        files = [picture.file for picture in chosen]
        return ImageFiles(files, labels, self.preparation, self.max_pixels, self.on_bad_image == "skip")

    @cached_property
    def pictures(self) -> dict[str, list["Picture"]]:
        """The picture files of every split, sorted by path.

        Raises:
            ValueError: the folder is missing, or holds too few images.
        """
        if not self.root.is_dir():
            raise ValueError(f"root must be an existing folder of images, got {self.root}")
        own = {name: find_pictures(self.root / name) for name in get_args(Split)}
        if not own["train"]:
            own = {"train": find_pictures(self.root), "val": [], "test": []}
        shares = {name: share for name, share in self.shares.items() if share > 0 and not own[name]}
        if len(own["train"]) <= len(shares):
            raise ValueError(
                f"root must hold at least {len(shares) + 1} images ({' '.join(sorted(EXTENSIONS))}), "
                f"got {len(own['train'])} in {self.root}"
            )
        return _cut(own, shares)


class ImageFiles:
    """Picture files decoded when they are read.

    Args:
        files: Paths.
        labels: One class a file, or None.
        preparation: How pictures become images.
        max_pixels: Largest width times height that is decoded.
        skip: Whether bad pictures may be left out.
    """

    generated = False

    def __init__(
        self, files: Sequence[str], labels: Sequence[int] | None, preparation: Preparation, max_pixels: int, skip: bool
    ) -> None:
        self.files, self.preparation, self.max_pixels, self.skip = list(files), preparation, max_pixels, skip
        self.labels = None if labels is None else torch.tensor(labels)
        states = [(path, found.st_size, found.st_mtime_ns) for path, found in ((p, os.stat(p)) for p in self.files)]
        self.fingerprint = fingerprint(
            __file__,
            pictures.__file__,
            files=states,
            labels=labels,
            preparation=repr(preparation),
            max_pixels=max_pixels,
            skip=skip,
        )

    def __len__(self) -> int:
        return len(self.files)

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """Images (B, C, H, W) uint8, and labels (B,) where there are classes."""
        columns = {"image": torch.stack([self._image(self.files[row]) for row in rows.tolist()])}
        return columns if self.labels is None else {**columns, "label": self.labels[rows]}

    def _image(self, path: str) -> Tensor:
        picture = open_picture(path, self.max_pixels, self.skip)
        try:
            return self.preparation(picture)
        except DECODE_ERRORS as error:
            raise BadImage(path, str(error), self.skip) from error


class Picture(NamedTuple):
    """A picture file: its path, and its path below the folder of its split."""

    file: str
    relative: str

    @property
    def class_name(self) -> str | None:
        """The first folder of the relative path."""
        return self.relative.split("/")[0] if "/" in self.relative else None


def find_pictures(folder: Path) -> list[Picture]:
    """All picture files below a folder, sorted; hidden files and folders are left out."""
    found, visited = [], set()
    for where, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        if real in visited:  # a link to a folder above: walking on would never end
            folders.clear()
            continue
        visited.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        names = [name for name in files if Path(name).suffix.lower() in EXTENSIONS and not name.startswith(".")]
        paths = [Path(where) / name for name in names]
        found += [Picture(str(path), path.relative_to(folder).as_posix()) for path in paths]
    return sorted(found, key=lambda picture: picture.relative)


def require_policy(on_bad_image: str) -> None:
    """Raise ValueError unless `on_bad_image` is error or skip."""
    if on_bad_image not in ("error", "skip"):
        raise ValueError(f"on_bad_image must be error or skip, got {on_bad_image!r}")


def _cut(own: dict[str, list[Picture]], shares: dict[str, float]) -> dict[str, list[Picture]]:
    """Move a share of the train pictures, at least one, to each of the splits named in `shares`."""

    def place(picture: Picture) -> bytes:
        return hashlib.sha256(picture.relative.encode()).digest()

    order = sorted(own["train"], key=place)
    cut, start = dict(own), 0
    for name, share in shares.items():
        count = max(1, round(share * len(order)))
        cut[name], start = sorted(order[start : start + count]), start + count
    cut["train"] = sorted(order[start:])
    return cut
