"""Any labelled image dataset of torchvision as a source, downloaded when it is missing."""

import os
import struct
from collections.abc import Mapping, Sequence
from functools import cached_property
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL.Image import DecompressionBombError
from torch import Tensor

from genexp.data import picture_tensors
from genexp.data.decoding import stated_formats
from genexp.data.picture_tensors import Fit, Preparation
from genexp.data.source import BadImage, Split, fingerprint, require_split
from genexp.data.split_folders import OnBadImage, require_policy
from genexp.files.writing import leaving_no_empty_folder

if TYPE_CHECKING:
    from torchvision.datasets import VisionDataset

DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, DecompressionBombError)


class DownloadError(ConnectionError):
    """A dataset is neither on disk nor could it be downloaded; names the folder to fill."""


class Torchvision:
    """A dataset class of torchvision.

    Args:
        dataset: Name of the class in `torchvision.datasets`.
        root: Folder that holds torchvision's datasets; a missing one is downloaded into it.
        splits: Constructor arguments of every split: {train: {...}, val: {...}, test: {...}}. Without `val`, val images
            are held out from train.
        image_size: Pixels a side.
        channels: 1 (grey) or 3 (RGB).
        classes: Class names in the order of the dataset's labels; null for no labels.
        attribute: A binary attribute (CelebA) as the label; null for the dataset's own labels.
        val_images: Images held out from train, a fixed random choice; at 0 val is the test split.
        fit: How other aspect ratios are handled: crop, pad or stretch.
        crop: Cut a central square of so many pixels first; null cuts nothing.
        interpolation: nearest, box, bilinear, bicubic or lanczos.
        on_bad_image: `error` stops at a picture that cannot be used, `skip` leaves it out and reports it.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        dataset: str,
        root: str | Path,
        splits: Mapping[str, Mapping[str, object] | None],
        image_size: int,
        channels: int,
        classes: Sequence[str] | None = None,
        attribute: str | None = None,
        val_images: int = 0,
        fit: Fit = "crop",
        crop: int | None = None,
        interpolation: str = "bilinear",
        on_bad_image: OnBadImage = "error",
    ) -> None:
        if attribute is not None and classes is not None:
            raise ValueError(f"classes must be null with an attribute, got {list(classes)} and {attribute!r}")
        if splits.get("train") is None or splits.get("test") is None:
            raise ValueError(f"splits must name the arguments of train and test, got {sorted(splits)}")
        if val_images < 0:
            raise ValueError(f"val_images must be at least 0, got {val_images}")
        require_policy(on_bad_image)
        self.dataset, self.root = dataset, Path(root).expanduser()
        self.splits = {name: dict(arguments) for name, arguments in splits.items() if arguments is not None}
        self.preparation = Preparation(image_size, channels, fit, crop, interpolation)
        self.classes = classes if attribute is None else (f"not {attribute}", attribute)
        self.attribute, self.val_images, self.skip = attribute, val_images, on_bad_image == "skip"

    def split(self, name: Split) -> "TorchvisionExamples":
        """The images of one split, read from disk at first use."""
        require_split(name)
        part = name
        if name == "val" and "val" not in self.splits:
            part = "train" if self.val_images else "test"
        held_out = self.val_images if part == "train" and "val" not in self.splits else 0
        return TorchvisionExamples(self, name, self.splits[part], held_out)

    def open(self, arguments: Mapping[str, object]) -> "VisionDataset":
        """The torchvision dataset of one split.

        Raises:
            DownloadError: it is not in `root` and cannot be downloaded.
        """
        made = self._class
        try:
            return made(str(self.root), **arguments)
        except RuntimeError as missing:
            if "not found" not in str(missing):
                raise
        try:
            with leaving_no_empty_folder(self.folder):
                return made(str(self.root), download=True, **arguments)
        except (OSError, HTTPException, RuntimeError) as error:
            raise DownloadError(
                f"{self.dataset} is not in {self.folder} and could not be downloaded ({_first_line(error)}). "
                f"Fill that folder by hand{self._by_hand(made)}, or run once with a network."
            ) from error

    def _by_hand(self, made: type) -> str:
        names, archive = ", ".join(_file_names(made)), getattr(made, "filename", None)
        unpacked = ", unpacked or as the original .gz files" if hasattr(made, "resources") else ""
        whole = f", or put {archive} into {self.root}" if isinstance(archive, str) else ""
        return f" with {names}{unpacked}{whole}" if names else ""

    @property
    def folder(self) -> Path:
        """The folder that the dataset's files are in."""
        made = self._class
        if hasattr(made, "raw_folder"):  # the MNIST family
            return self.root / made.__name__ / "raw"
        return self.root / getattr(made, "base_folder", "")

    @property
    def _class(self) -> type:
        import torchvision.datasets

        made = getattr(torchvision.datasets, self.dataset, None)
        if made is None:
            raise ValueError(f"dataset must be a class of torchvision.datasets, got {self.dataset!r}")
        return made


class TorchvisionExamples:
    """One split of a torchvision dataset, opened only when an image is read.

    Args:
        source: Where it belongs to.
        name: The split.
        arguments: Constructor arguments of the torchvision class.
        held_out: Images of train that belong to val instead.
    """

    generated = False

    def __init__(self, source: Torchvision, name: Split, arguments: Mapping[str, object], held_out: int) -> None:
        self.source, self.name, self.arguments, self.held_out = source, name, arguments, held_out

    @cached_property
    def fingerprint(self) -> str:
        """Of the dataset's files, the split and the preparation; downloads a missing dataset."""
        if not any(_files(self.source.folder)):
            self.dataset  # noqa: B018 - opening it downloads the files
        return fingerprint(
            __file__,
            picture_tensors.__file__,
            dataset=self.source.dataset,
            files=sorted(_files(self.source.folder)),
            split=self.name,
            arguments=self.arguments,
            held_out=self.held_out,
            labels=[list(self.source.classes or ()), self.source.attribute],
            preparation=repr(self.source.preparation),
            skip=self.source.skip,
        )

    @cached_property
    def dataset(self) -> "VisionDataset":
        """The torchvision dataset."""
        return self.source.open(self.arguments)

    @cached_property
    def rows(self) -> Tensor:
        """Rows of the torchvision dataset that this split holds."""
        count = len(self.dataset)
        if self.held_out >= count:
            raise ValueError(f"val_images must be below {count}, the size of the train split, got {self.held_out}")
        if not self.held_out:
            return torch.arange(count)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        return (order[: self.held_out] if self.name == "val" else order[self.held_out :]).sort().values

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """Images (B, C, H, W) uint8, and labels (B,) where there are classes."""
        with stated_formats():
            images, labels = zip(*(self._example(row) for row in self.rows[rows].tolist()), strict=True)
        columns = {"image": torch.stack(images)}
        return columns if self.source.classes is None else {**columns, "label": torch.tensor(labels)}

    def _example(self, row: int) -> tuple[Tensor, int]:
        dataset = self.dataset  # a missing one is no bad image
        try:
            picture, target = dataset[row]
            return self.source.preparation(picture), self._label(target)
        except DECODE_ERRORS as error:
            raise BadImage(self._path(row), str(error), self.source.skip) from error

    def _path(self, row: int) -> str:
        """Where torchvision keeps an image: a file if the dataset lists its files, else its number in the archive."""
        for listing in ("filename", "_image_files", "_samples", "samples"):
            if hasattr(self.dataset, listing):
                entry = getattr(self.dataset, listing)[row]
                name = Path(str(entry[0] if isinstance(entry, tuple) else entry)).name
                found = next(self.source.folder.rglob(name), None)
                if found is not None:
                    return str(found)
        return f"{row} of {self.source.dataset} in {self.source.folder}"

    def _label(self, target: object) -> int:
        if self.source.classes is None:
            return 0
        return int(target if self._attribute is None else target[self._attribute])

    @cached_property
    def _attribute(self) -> int | None:
        if self.source.attribute is None:
            return None
        names = [name for name in self.dataset.attr_names if name]
        if self.source.attribute not in names:
            raise KeyError(f"attribute must be one of {', '.join(names)}, got {self.source.attribute!r}")
        return self.dataset.attr_names.index(self.source.attribute)


def _files(folder: Path) -> list[tuple[str, int, int]]:
    """Relative path, size and modification time of every file below a folder."""
    paths = [Path(where) / name for where, _, names in os.walk(folder) for name in names]
    states = [(path, path.stat()) for path in paths if path.exists()]  # of a link that leads nowhere its reader tells
    return [(path.relative_to(folder).as_posix(), state.st_size, state.st_mtime_ns) for path, state in states]


def _file_names(made: type) -> list[str]:
    """What torchvision would download: the names of the files that belong into the folder."""
    if hasattr(made, "resources"):
        return [name.removesuffix(".gz") for name, _ in made.resources]
    if hasattr(made, "file_list"):
        return [entry[-1] for entry in made.file_list]
    lists = [getattr(made, name, []) for name in ("train_list", "test_list")]
    about = getattr(made, "meta", {}).get("filename")
    return [entry[0] for entries in lists for entry in entries] + ([about] if about else [])


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    last = next((place for place, line in enumerate(lines) if not line.endswith(":")), len(lines))
    return " ".join(lines[: last + 1])  # a line that ends in a colon announces the next
