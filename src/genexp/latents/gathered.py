"""The rows of all processes that share a batch, for losses that are of a whole batch."""

import torch
import torch.distributed.nn
from torch import Tensor, distributed


def of_all(rows: Tensor) -> Tensor:
    """The rows (B, ...) of every process, as many of each, with gradients that reach all of them."""
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return rows
    return torch.cat(list(torch.distributed.nn.all_gather(rows.contiguous())))


def first_row(rows: int) -> int:
    """Where the rows of this process begin among those of all."""
    return distributed.get_rank() * rows if distributed.is_available() and distributed.is_initialized() else 0
