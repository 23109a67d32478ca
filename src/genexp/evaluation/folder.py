"""A folder of picture files as a set of images to compare: every file as it is, nothing cut or resized."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from genexp.contracts import Batch
from genexp.data.folder import Picture, find_pictures
from genexp.data.pictures import open_picture, to_tensor, with_channels
from genexp.evaluation.images import ImageSet, sample_note, sampled_rows
from genexp.tensors import to_float

MAX_PIXELS = 50_000_000
"""Largest width times height that is decoded."""


class PictureFolder:
    """The pictures below a folder, in the order of their paths; all must have one size and one colour mode.

    If every picture lies in a subfolder, the first subfolder names its class.

    Args:
        root: The folder.
        num: Use so many pictures, drawn at random, in the shares of the classes where there are any; None for all.
        seed: Which ones.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds fewer than two pictures or fewer than `num`, or they differ in size or colour mode.
        BadImage: a picture cannot be read.
    """

    def __init__(self, root: str | Path, num: int | None = None, seed: int = 0) -> None:
        self.root = Path(root).expanduser()
        if not self.root.is_dir():
            raise FileNotFoundError(f"a folder of images must exist, got {root}")
        pictures = find_pictures(self.root)
        if len(pictures) < max(2, num or 2):
            raise ValueError(f"{root} must hold at least {max(2, num or 2)} images, got {len(pictures)}")
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
        )

    def label_counts(self) -> list[int] | None:
        """Number of pictures of every class; None without classes."""
        if self.classes is None:
            return None
        counts = Counter(picture.class_name for picture in self.pictures)
        return [counts[name] for name in self.classes]

    def _common_shape(self) -> tuple[int, int, int]:
        first = _shape_in_header(self.pictures[0])
        for picture in self.pictures[1:]:
            shape = _shape_in_header(picture)
            if shape != first:
                raise ValueError(
                    f"the images of a folder must share size and colour mode: {self.pictures[0].relative} is "
                    f"{_words(first)}, {picture.relative} is {_words(shape)} in {self.root}"
                )
        return first

    def _batches(self, batch_size: int) -> Iterator[Batch]:
        for first in range(0, len(self.pictures), batch_size):
            some = self.pictures[first : first + batch_size]
            batch: Batch = {"image": to_float(torch.stack([self._decoded(picture) for picture in some]))}
            if self.classes is not None:
                batch["label"] = torch.tensor([self.classes.index(picture.class_name) for picture in some])
            yield batch

    def _decoded(self, picture: Picture) -> Tensor:
        return to_tensor(with_channels(open_picture(picture.file, MAX_PIXELS), self.shape[0]))


def _shape_in_header(picture: Picture) -> tuple[int, int, int]:
    """(C, H, W) of the upright picture, from the file's header; palettes and transparency count as colour."""
    try:
        with Image.open(picture.file) as opened:
            width, height = opened.size
            if opened.getexif().get(0x0112, 1) > 4:  # turned by a quarter
                width, height = height, width
            return 1 if opened.mode in ("L", "1") else 3, height, width
    except (OSError, Image.DecompressionBombError):
        decoded = open_picture(picture.file, MAX_PIXELS)  # names the file and what is wrong with it
        return 1 if decoded.mode in ("L", "1") else 3, decoded.height, decoded.width


def _words(shape: tuple[int, int, int]) -> str:
    return f"{'grey' if shape[0] == 1 else 'colour'}, {shape[2]} x {shape[1]} pixels"
