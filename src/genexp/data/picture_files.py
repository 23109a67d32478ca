"""Picture files as the examples of a split."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from genexp.data import decoding, picture_tensors, sixteen_bits
from genexp.data.decoding import SEVERAL, open_picture
from genexp.data.listing import ListedPicture
from genexp.data.picture_tensors import Preparation
from genexp.data.source import BadImage, fingerprint
from genexp.terminal import counted, plain, shown_path


class ImageFiles:
    """Picture files decoded when they are read.

    Args:
        files: The files.
        labels: One class a file, or None.
        preparation: How pictures become images.
        max_pixels: Largest width times height that is decoded.
        skip: Whether bad pictures may be left out.
    """

    generated = False

    def __init__(
        self,
        files: Sequence[ListedPicture],
        labels: Sequence[int] | None,
        preparation: Preparation,
        max_pixels: int,
        skip: bool,
    ) -> None:
        self.files = [picture.file for picture in files]
        self.preparation, self.max_pixels, self.skip = preparation, max_pixels, skip
        self.labels = None if labels is None else torch.tensor(labels)
        self._several: set[str] = set()
        self.fingerprint = fingerprint(
            __file__,
            picture_tensors.__file__,
            decoding.__file__,
            sixteen_bits.__file__,
            files=[(picture.file, picture.size, picture.modified) for picture in files],
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

    @property
    def remarks(self) -> list[str]:
        """What was seen while all files were read, in lines for a person."""
        return first_frames(sorted(self._several))

    def _image(self, path: str) -> Tensor:
        picture = open_picture(path, self.max_pixels, self.skip, least=self.preparation.least)
        if picture.info.get(SEVERAL):
            self._several.add(path)
        try:
            return self.preparation(picture)
        except ValueError as error:
            raise BadImage(path, str(error), self.skip) from error


def first_frames(files: Sequence[str]) -> list[str]:
    """The line that says of which files with several frames only the first was read; none if there are none."""
    if not files:
        return []
    named = few([shown_path(Path(file)) for file in files])
    return [f"the first frame is read of {counted(len(files), 'file')} with several: {named}"]


def few(names: Sequence[str]) -> str:
    """The first of some names, in one line."""
    return ", ".join(map(plain, names[:5])) + (", ..." if len(names) > 5 else "")
