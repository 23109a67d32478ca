"""The beginnings or ends of videos that a person names on the command line: moving pictures, or single frames."""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from genexp.data.decoding import frame_count, open_frame
from genexp.data.own_pictures import OwnPictures, files_of
from genexp.data.picture_tensors import Preparation
from genexp.tensors import to_float
from genexp.terminal import shown_path

MOST_FRAMES = 2_000
"""Frames of a file at most: a small file can claim any number."""


def own_videos(
    given: str,
    image_size: int,
    channels: int,
    frames: int,
    which: Literal["first", "last"] = "first",
    most: int | None = None,
    key: str = "images",
) -> OwnPictures:
    """Read some frames of a moving picture (GIF, APNG, WEBP), or of each below a folder: central squares, resized.

    Args:
        given: The file or folder; a picture has one frame.
        image_size: Pixels a side of the frames.
        channels: 1 grey, 3 RGB.
        frames: How many frames of each.
        which: Whether they are its first or its last.
        most: Read the first so many files at most.
        key: Name of what is read, for the errors.

    Returns:
        The files, and their frames as `images` (N, frames, C, H, W) in [-1, 1].

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: the folder holds no pictures, or a file has fewer frames, or more than are read.
        BadImage: a file cannot be read.
    """
    files = files_of(given, key)[:most]
    preparation = Preparation(image_size, channels)
    return OwnPictures(tuple(files), torch.stack([_read(file, preparation, frames, which, key) for file in files]))


def _read(file: Path, preparation: Preparation, frames: int, which: str, key: str) -> Tensor:
    count = frame_count(str(file))
    if not frames <= count <= MOST_FRAMES:
        raise ValueError(f"{key} must have {frames} to {MOST_FRAMES} frames, got {count} in {shown_path(file)}")
    first = 0 if which == "first" else count - frames
    return to_float(torch.stack([preparation(open_frame(str(file), first + i)) for i in range(frames)]))
