"""Weights sharded over the ranks of a run: each keeps a part of them, of their gradients, momenta and averages.

Reference: Zhao et al., "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel" (2023); here its second form,
`torch.distributed.fsdp.fully_shard`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy, Strategy
from torch import Tensor
from torch.distributed.fsdp import FSDPModule, fully_shard

from genexp.families.base import Family
from genexp.families.shardable import KEY, layers_of
from genexp.files.trees import State
from genexp.parameters import give_state, is_sharded, state_of, whole

if TYPE_CHECKING:
    from torch.optim import Optimizer

_UNSHARED = "whose training reads weights elsewhere than in the layers that are gathered"


class Sharding(ModelParallelStrategy):
    """Lightning's strategy for sharded modules, over all ranks, for a family as it is.

    The blocks of networks are sharded one by one, and outside of these single layers: the whole weights of one are
    gathered when it is used, and let go after. What stands in no layer of PyTorch's own (a learned position, a
    codebook) stays whole on every rank, its gradient is averaged. Checkpoints are those of one process.
    """

    def __init__(self) -> None:
        super().__init__(save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        """Connect the ranks; all of them share in the weights."""
        self._data_parallel_size, self._tensor_parallel_size = self.num_nodes * self.num_processes, 1
        super().setup_environment()

    def setup(self, trainer: Trainer) -> None:
        """Shard the model, which has its first or restored weights, before its optimisers are made."""
        model = self.lightning_module
        shard(model, self.device_mesh["data_parallel"])
        super().setup(trainer)

    def training_step(self, *given: Any, **named: Any) -> Any:
        """Train on one batch.

        Raises:
            ValueError: training reads weights of a layer that are not gathered, since that is not being used.
        """
        try:
            return super().training_step(*given, **named)
        except RuntimeError as error:
            if "DTensor" not in str(error):
                raise
            name = type(self.lightning_module).__name__
            raise ValueError(f"{KEY} must be ddp for this {name}, {_UNSHARED}, got fsdp") from error

    def post_backward(self, closure_loss: Tensor) -> None:
        """Average over the ranks the gradients of parameters that are whole, as those of sharded ones are."""
        gradients = [each.grad for each in self.lightning_module.parameters() if not is_sharded(each)]
        gradients = [each for each in gradients if each is not None]
        if gradients:
            means = self.reduce(torch.cat([each.reshape(-1) for each in gradients]), reduce_op="mean")
            for each, mean in zip(gradients, means.split([each.numel() for each in gradients]), strict=True):
                each.copy_(mean.view_as(each))

    # Checkpoints as of one process

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        """Weights are restored before they are sharded."""
        return False

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Optimisers are restored from the checkpoint that Lightning has read."""
        return True

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint; every rank has all of it until its part is taken."""
        return Strategy.load_checkpoint(self, checkpoint_path, weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Give the model, which is whole still, its weights."""
        Strategy.load_model_state_dict(self, checkpoint, strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Give every optimiser this rank's part of its state."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            give_state(optimizer, state)

    def lightning_module_state_dict(self) -> State:
        """The whole weights, by the names that they have in one process."""
        return whole(self.lightning_module.state_dict())

    def optimizer_state(self, optimizer: "Optimizer | LightningOptimizer") -> State:
        """The whole state of an optimiser."""
        return state_of(getattr(optimizer, "optimizer", optimizer))

    def save_checkpoint(self, checkpoint: State, filepath: Any, storage_options: Any = None) -> None:
        """Let rank zero write a checkpoint."""
        Strategy.save_checkpoint(self, checkpoint, filepath, storage_options)


class GatheredWeights(Callback):
    """Have all weights whole on every rank while they are looked at: some draws and measures are one rank's alone."""

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: "Family") -> None:
        """Gather, after averages have taken the place of weights."""
        gather(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: "Family") -> None:
        """Let go, before weights take the place of their averages."""
        release(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: "Family", exception: BaseException) -> None:
        """Let go where looking at them was interrupted."""
        release(pl_module)


def shard(model: Family, mesh: Any) -> None:
    """Shard the layers of a family that trains, and settle anew which of its parameters learn how fast."""
    for layer in layers_of(model):
        fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    model.freeze(model.frozen_layers.layers, model.frozen_layers.further)
    model.set_rates(model.rate_factors.factors)


def gather(model: Family) -> None:
    """Have every sharded layer whole until it is released."""
    for layer in model.modules():
        if isinstance(layer, FSDPModule):
            layer.set_reshard_after_forward(False)
            layer.set_reshard_after_backward(False)
            layer.unshard()


def release(model: Family) -> None:
    """Leave this rank its part of every sharded layer, and gather it when it is used."""
    for layer in model.modules():
        if isinstance(layer, FSDPModule):
            layer.reshard()
            layer.set_reshard_after_forward(True)
            layer.set_reshard_after_backward(True)
