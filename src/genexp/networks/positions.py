"""Where a token of an image stands: learned vectors of rows and columns, or turns of queries and keys."""

from math import gcd

import torch
from torch import Tensor, nn


class LearnedPlaces(nn.Module):
    """The sum of a learned vector for the row and one for the column; tokens before the image have none.

    Args:
        grid: Rows and columns of tokens.
        width: Features of a token.
    """

    def __init__(self, grid: tuple[int, int], width: int) -> None:
        super().__init__()
        self.columns = grid[1]
        self.row, self.column = (nn.Embedding(size, width) for size in grid)

    def forward(self, place: Tensor) -> Tensor:
        """Numbers (N,) of tokens, below 0 before the image, to vectors (N, width)."""
        inside = place.clamp(min=0)
        found = self.row(inside // self.columns) + self.column(inside % self.columns)
        return found * (place >= 0)[:, None]


class RotaryPlaces(nn.Module):
    """Pairs of features of a query or key turned by angles that are linear in its row, or in its column.

    The first half of a head's features goes by the row, the second by the column, so that the product of a query and a
    key depends on how far apart they stand. Frequencies fall from 1 to 1/100 a token. Tokens before the image are in a
    row of their own above it. Which channel a token begins with is told by a learned vector.

    Reference: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (2021), section 3.2, for one
    axis.

    Args:
        grid: Rows and columns of tokens.
        channels: Channels of an image.
        block: Values a token.
        width: Features of a token.
        size: Features of a head, a multiple of 4.

    Raises:
        ValueError: `size` is no multiple of 4.
    """

    def __init__(self, grid: tuple[int, int], channels: int, block: int, width: int, size: int) -> None:
        super().__init__()
        if size % 4:
            raise ValueError(f"width must be a multiple of 4 times heads for rotary positions, got {size} a head")
        self.columns, self.size = grid[1], size
        self.phase = nn.Embedding(channels // gcd(channels, block), width)

    def phases(self, place: Tensor) -> Tensor:
        """Numbers (N,) of tokens, below 0 before the image, to vectors (N, width) of where in a pixel they begin."""
        return self.phase(place.clamp(min=0) % self.phase.num_embeddings) * (place >= 0)[:, None]

    def forward(self, place: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Numbers (N,) of tokens to the cosines and sines (N, size / 2) of their angles."""
        row = torch.where(place < 0, -1, place // self.columns)
        column = torch.where(place < 0, -1 - place, place % self.columns)
        quarter = self.size // 4
        steps = torch.arange(quarter, dtype=torch.float64, device=place.device) / max(quarter - 1, 1)
        angles = torch.cat([axis.double()[:, None] * 100.0**-steps for axis in (row, column)], dim=1)
        return angles.cos().to(dtype), angles.sin().to(dtype)

    @staticmethod
    def turned(each: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """Queries or keys (B, heads, N, size) after their turn."""
        cosine, sine = turn
        first, second = each.chunk(2, dim=-1)
        return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
