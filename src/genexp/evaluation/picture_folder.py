"""A folder of picture files as a set of images to compare: every file as it is, nothing cut or resized."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from genexp.contracts import Batch
from genexp.data.decoding import open_picture, read_header
from genexp.data.layout import shown, split_folders
from genexp.data.listing import ListedPicture, also, find_pictures, in_words
from genexp.data.picture_files import few, first_frames
from genexp.data.picture_tensors import to_tensor, with_channels
from genexp.evaluation.images import ImageSet, sample_note, sampled_rows
from genexp.tensors import to_float
from genexp.terminal import counted


class PictureFolder:
    """The pictures below a folder, in the order of their paths; all must have one size and one colour mode.

    If every picture lies in a subfolder, the first subfolder names its class.

    Args:
        root: The folder.
        num: Use so many pictures, drawn at random, in the shares of the classes where there are any; None for all.
        seed: Which ones.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds fewer than two pictures or fewer than `num`, they differ in size or colour mode, or it
            holds the folders of several splits.
        BadImage: a picture cannot be read.
    """

    def __init__(self, root: str | Path, num: int | None = None, seed: int = 0) -> None:
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            raise FileNotFoundError(f"a folder of images must exist, got {root}")
        self._require_one_set()
        self._listing, self._several = find_pictures(self.root), []
        pictures = self._listing.pictures
        if len(pictures) < max(2, num or 2):
            passed = in_words(self._listing.passed)
            told = f"{len(pictures)}{f'; {passed}' if passed else ''}"
            raise ValueError(f"{root} must hold at least {max(2, num or 2)} images, got {told}")
        names = [picture.class_name for picture in pictures]
        self.classes = None if None in names else sorted(set(names))
        self.note = ""
        if num is not None and num < len(pictures):
            label = None if self.classes is None else torch.tensor([self.classes.index(name) for name in names])
            rows = sampled_rows(len(pictures), num, label, seed).tolist()
            self.note = sample_note(len(pictures), num, label is not None, seed)
            pictures = [pictures[row] for row in rows]
        self.pictures = pictures
        self.shape = self._common_shape()

    def image_set(self, batch_size: int = 256) -> ImageSet:
        """The pictures as the evaluator reads them; the digest covers the bytes of all files and their classes."""
        digest = hashlib.sha256()
        for picture in self.pictures:
            digest.update(f"{picture.class_name if self.classes else None}".encode())
            digest.update(hashlib.sha256(Path(picture.file).read_bytes()).digest())
        return ImageSet(
            self.root.name or str(self.root),
            digest.hexdigest(),
            len(self.pictures),
            self.shape,
            lambda: self._batches(batch_size),
            self.classes is not None,
            self.note,
            None if self.classes is None else self._labels,
        )

    def notes(self) -> list[str]:
        """What was found, in lines for a person: pictures, classes, and what was passed over."""
        folders = f"{len(self.classes)} class folders ({few(self.classes)})" if self.classes else "no class folders"
        lines = [f"{counted(len(self._listing.pictures), 'picture')} in {shown(self.root)}, {folders}"]
        return lines + also(self._listing) + first_frames(self._several)

    def label_counts(self) -> list[int] | None:
        """Number of pictures of every class; None without classes."""
        if self.classes is None:
            return None
        counts = Counter(picture.class_name for picture in self.pictures)
        return [counts[name] for name in self.classes]

    def _require_one_set(self) -> None:
        splits = [path.name for path in split_folders(self.root).values()]
        if splits:
            raise ValueError(
                f"a folder of images must be one set, got the split folders {', '.join(splits)} in {shown(self.root)}: "
                f"choose one, such as {shown(self.root / splits[-1])}"
            )

    def _common_shape(self) -> tuple[int, int, int]:
        first = self._shape_in_header(self.pictures[0])
        for picture in self.pictures[1:]:
            shape = self._shape_in_header(picture)
            if shape != first:
                raise ValueError(
                    f"the images of a folder must share size and colour mode: {self.pictures[0].relative} is "
                    f"{_words(first)}, {picture.relative} is {_words(shape)} in {self.root}"
                )
        return first

    def _shape_in_header(self, picture: ListedPicture) -> tuple[int, int, int]:
        """(C, H, W) of the upright picture; palettes and transparency count as colour."""
        header = read_header(picture.file)
        if header.several:
            self._several.append(picture.file)
        return header.channels, header.height, header.width

    def _batches(self, batch_size: int) -> Iterator[Batch]:
        for first in range(0, len(self.pictures), batch_size):
            some = self.pictures[first : first + batch_size]
            batch: Batch = {"image": to_float(torch.stack([self._decoded(picture) for picture in some]))}
            if self.classes is not None:
                batch["label"] = self._labels()[first : first + batch_size]
            yield batch

    def _labels(self) -> Tensor:
        number = {name: place for place, name in enumerate(self.classes)}
        return torch.tensor([number[picture.class_name] for picture in self.pictures])

    def _decoded(self, picture: ListedPicture) -> Tensor:
        return to_tensor(with_channels(open_picture(picture.file), self.shape[0]))


def _words(shape: tuple[int, int, int]) -> str:
    return f"{'grey' if shape[0] == 1 else 'colour'}, {shape[2]} x {shape[1]} pixels"
