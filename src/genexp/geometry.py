"""Images read at other places than their own pixels: turned, scaled and moved."""

import torch
from torch import Tensor
from torch.nn import functional as F


def rotation(angle: Tensor) -> Tensor:
    """Matrices (B, 2, 2) that turn (down, right) by angles (B,) in radians."""
    sine, cosine = angle.sin(), angle.cos()
    return torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)


def places(image: Tensor, matrix: Tensor, move: Tensor) -> tuple[Tensor, Tensor]:
    """Where the pixels of a changed image are read from in the given one, matrix @ place - move from the centre.

    Args:
        image: Images (B, C, H, W).
        matrix: Matrices (B, 2, 2) of (down, right).
        move: Pixels (B, 2) down and right.

    Returns:
        Places down and right, (B, H, W) each, in pixels from the upper left one, for `sampled`.
    """
    height, width = image.shape[-2:]
    middle = (height - 1) / 2, (width - 1) / 2
    lines = [
        torch.arange(side, device=image.device, dtype=matrix.dtype) - half
        for side, half in zip((height, width), middle, strict=True)
    ]
    at = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1).flatten(0, 1)
    turned = (at @ matrix.transpose(1, 2)).unbind(2)
    source = [each - by[:, None] + half for each, by, half in zip(turned, move.unbind(1), middle, strict=True)]
    down, right = (each.unflatten(1, (height, width)) for each in source)
    return down, right


def sampled(image: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Images (B, C, H, W) read at places (B, H', W'), in pixels from the upper left one, between four pixels, bilinear.

    The borders are mirrors. Written with indices, because the gradient of `grid_sample` has no gradient of its own,
    which penalties on gradients need.
    """
    batch = torch.arange(len(image), device=image.device)[:, None, None]
    pixels = image.permute(0, 2, 3, 1)
    rows, columns = (_between(at, side) for at, side in zip((down, right), image.shape[-2:], strict=True))
    parts = [
        (share * other)[..., None].to(image.dtype) * pixels[batch, row, column]
        for row, share in rows
        for column, other in columns
    ]
    return sum(parts).permute(0, 3, 1, 2)


def fitted(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (B, C, H, W) in another size by bicubic interpolation, of all their pixels where they get smaller."""
    shrinks = size[0] < image.shape[-2] or size[1] < image.shape[-1]
    return F.interpolate(image, size, mode="bicubic", antialias=shrinks)


def gathered(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Images (B, C, H', W') of the pixels of others (B, C, H, W) at rows (B, H') and columns (B, W')."""
    batch = torch.arange(len(image), device=image.device)[:, None, None]
    return image.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _between(place: Tensor, side: int) -> list[tuple[Tensor, Tensor]]:
    """The two pixels of a line that a place lies between, by mirrors at its ends, each with its share."""
    first = place.floor()
    share = place - first
    near, far = (mirrored(first.long() + step, side) for step in (0, 1))
    return [(near, 1 - share), (far, share)]


def mirrored(index: Tensor, side: int) -> Tensor:
    """Any whole places of a line as pixels 0 to side - 1, by mirrors at its ends: -1 is 0, `side` is side - 1."""
    within = index % (2 * side)
    return torch.minimum(within, 2 * side - 1 - within)
