"""Weights sharded over the ranks of a run: each keeps a part of them, of their gradients, momenta and averages.

Reference: Zhao et al., "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel" (2023); here its second form,
`torch.distributed.fsdp.fully_shard`.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy, Strategy
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard

from genexp.families.base import Family
from genexp.families.recomputing import innermost_entries
from genexp.families.updates import EXACT_TOGETHER
from genexp.files.trees import State
from genexp.flows.transform import Transform
from genexp.parameters import give_state, is_sharded, state_of, whole

if TYPE_CHECKING:
    from torch.optim import Optimizer

KEY = "trainer.strategy"
PRECISIONS = ("32-true", "bf16-mixed", "bf16-true")
"""What a run can be trained in; gradients of 16-mixed are scaled by each rank for itself."""
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


def require_shardable(model: Family, precision: str) -> None:
    """Refuse a model whose training reads or changes weights outside of the layers that are gathered as they are used.

    Args:
        model: The family, before it is sharded.
        precision: The trainer's.

    Raises:
        ValueError: networks take turns, weights are compiled or in another order of memory, an optimiser looks at more
            than one weight at a time, gradients are scaled, or there is no layer to be sharded.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"trainer.precision must be one of {', '.join(PRECISIONS)} with {KEY}=fsdp, got {precision}")
    if len(model.updates) > 1:
        turns = f"{type(model).__name__}, whose networks take turns ({', '.join(model.updates)})"
        raise ValueError(f"{KEY} must be ddp for {turns}, got fsdp")
    for switch, on in {"compile": model.compile_networks, "channels_last": model.channels_last}.items():
        if on:
            raise ValueError(f"training.{switch} must be false with {KEY}=fsdp, got true")
    for update in model.updates.values():
        _require_optimizer(update.optimizer([nn.Parameter(torch.zeros(1))]))
    if not layers_of(model):
        raise ValueError(f"{KEY} must be ddp for {type(model).__name__}, which has no layers to shard, got fsdp")


def _require_optimizer(optimizer: torch.optim.Optimizer) -> None:
    if type(optimizer) not in EXACT_TOGETHER:
        known, name = ", ".join(each.__name__ for each in EXACT_TOGETHER), type(optimizer).__name__
        raise ValueError(f"{KEY} must be ddp with an optimizer other than {known}, got fsdp with {name}")
    for way in ("fused", "foreach"):
        if optimizer.param_groups[0].get(way):
            raise ValueError(f"{way} of the optimizer must be null with {KEY}=fsdp, got true")


def shard(model: Family, mesh: Any) -> None:
    """Shard the layers of a family that trains, and settle anew which of its parameters learn how fast."""
    for layer in layers_of(model):
        fully_shard(layer, mesh=mesh, reshard_after_forward=True)
    model.freeze(model.frozen_layers.layers, model.frozen_layers.further)
    model.set_rates(model.rate_factors.factors)


def layers_of(model: Family) -> list[nn.Module]:
    """What is gathered at once: the innermost blocks of a model's networks, and outside of these PyTorch's layers.

    Only what learns in part, and what shares no parameter with another; transforms of flows set their weights from the
    first batch, whole.
    """
    times = Counter(id(weight) for _, weight in model.named_parameters(remove_duplicate=False))
    found: list[nn.Module] = []
    inside = {id(each) for part in model.modules() if isinstance(part, Transform) for each in part.modules()}
    blocks = [each for each in innermost_entries(model) if _is_called(each)]
    leaves = [each for each in model.modules() if type(each).__module__.startswith("torch.nn.modules")]
    for layer in [*blocks, *(each for each in leaves if any(True for _ in each.parameters(recurse=False)))]:
        weights = list(layer.parameters())
        alone = all(times[id(each)] == 1 for each in weights)
        if id(layer) not in inside and alone and any(each.requires_grad for each in weights):
            found.append(layer)
            inside |= {id(each) for each in layer.modules()}
    return found


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


def _is_called(module: nn.Module) -> bool:
    return type(module).forward is not nn.Module.forward
