"""Summaries of images that several processes have drawn, joined."""

import torch
from lightning import Trainer
from torch import Tensor

from genexp.evaluation.evaluator import Summary


def merged(trainer: Trainer, summary: Summary) -> Summary:
    """The summaries of all processes in one, joined in the order of their ranks; the same on every process."""
    if trainer.world_size == 1:
        return summary
    joined = {}
    for slot, statistic in summary.items():
        gathered = {key: _gather(trainer, tensor) for key, tensor in statistic.state().items()}
        ranks = [type(statistic).from_state({k: v[i] for k, v in gathered.items()}) for i in range(trainer.world_size)]
        joined[slot] = ranks[0]
        for other in ranks[1:]:
            joined[slot].merge(other)
    return joined


def _gather(trainer: Trainer, tensor: Tensor) -> list[Tensor]:
    """The tensor of every process; they may differ in the length of the first axis."""
    strategy = trainer.strategy
    tensor = tensor.to(strategy.root_device)
    lengths = strategy.all_gather(torch.tensor([len(tensor)], device=strategy.root_device)).flatten().tolist()
    padded = torch.cat([tensor, tensor.new_zeros(max(lengths) - len(tensor), *tensor.shape[1:])])
    gathered = strategy.all_gather(padded).cpu()
    return [gathered[rank, :length] for rank, length in enumerate(lengths)]
