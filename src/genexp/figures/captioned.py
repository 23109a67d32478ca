"""Images beside what they are to show."""

from collections.abc import Sequence
from math import ceil

import torch
from torch import Tensor

from genexp.tensors import Grid


def captioned(images: Tensor, captions: Sequence[str], columns: int | None = None) -> Grid:
    """Images that have captions in turn: one caption above all of them, or a row for each of several.

    Args:
        images: (B, C, H, W) in [-1, 1]; image i is of caption i modulo their number.
        captions: What they are to show.
        columns: Images a row under one caption; None for the smallest square.
    """
    if len(captions) == 1:
        return Grid(images, columns, across=captions)
    rows, each = min(len(images), len(captions)), ceil(len(images) / len(captions))
    white = torch.ones(each * len(captions) - len(images), *images.shape[1:], dtype=images.dtype)
    shown = torch.cat([images, white]).unflatten(0, (each, len(captions)))[:, :rows].transpose(0, 1)
    return Grid(shown.flatten(0, 1), each, down=captions[:rows])
