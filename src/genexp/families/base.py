"""What all generator families share: optimiser steps, counters in images, named terms, and repeatable seeds."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar, Self

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from genexp.conditioning.base import Conditioning
from genexp.contracts import Batch
from genexp.families.freezing import Frozen, agree_on_buffers
from genexp.families.layers import rename_first
from genexp.families.micro_batches import averaged, batch_size, in_memory_order, split
from genexp.families.notes import NotedModule
from genexp.families.rates import RateFactors
from genexp.families.recomputing import recompute, require_recomputable
from genexp.families.shardable import require_shardable
from genexp.families.terms import TermLog
from genexp.families.updates import Update, as_list, gradients_only_to, owner_of, stepped, with_options
from genexp.families.validation_means import HeldOutMeans
from genexp.files.trees import State
from genexp.tensors import Grid, IndexedNoise, mix_seed, seed_generators

Terms = dict[str, Tensor]


class Family(NotedModule):
    """A generator family: subclasses register their updates and implement `train_batch`.

    Optimisation is manual in every family, so that gradient accumulation, clipping and learning-rate ramps are one
    piece of code. `images_seen` and `batches` count data, never optimiser steps: Lightning's `global_step` advances
    once per optimiser and is not used.
    """

    averaged_modules: tuple[str, ...] = ("network",)
    """Names of the sub-modules whose averaged weights are worth sampling from."""

    renamed_modules: ClassVar[dict[str, str]] = {}
    """Sub-modules of today by the names that they have in checkpoints of earlier versions."""

    needs_whole_batches: str | None = None
    """The setting by which means are over a whole batch, which cannot be split then; or None."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.accumulate, self.compile_networks, self.channels_last, self.recompute = 1, False, False, False
        self.images_seen, self.batches, self.seed = 0, 0, 0
        self.conditioning = Conditioning()
        self.steps: dict[str, int] = {}
        self.terms = TermLog()
        self._updates: dict[str, Update] = {}
        self._owners: dict[str, str] = {}
        self._held_out = HeldOutMeans()
        self.frozen_layers, self.rate_factors = Frozen(self, (), {}), RateFactors(self, {}, {})

    def arrange(
        self, accumulate: int = 1, compile: bool = False, channels_last: bool = False, recompute: bool = False
    ) -> Self:
        """Settle how a batch is gone about; what is learned stays the same, up to rounding.

        Args:
            accumulate: Micro-batches that every batch is split into; the optimiser still steps once a batch.
            compile: Compile the networks with `torch.compile`.
            channels_last: Keep convolution weights and images in channels-last memory order.
            recompute: Compute blocks again in the backward pass, see `genexp.families.recomputing`.

        Raises:
            ValueError: `accumulate` is below 1, or above it for a family that needs whole batches; `recompute` where no
                block can be.
        """
        if accumulate < 1:
            raise ValueError(f"accumulate must be at least 1 micro-batch, got {accumulate}")
        if self.needs_whole_batches is not None and accumulate > 1:
            raise ValueError(f"accumulate must be 1 with {self.needs_whole_batches} (whole batches), got {accumulate}")
        if recompute:
            require_recomputable(self, compile)
        self.accumulate, self.compile_networks, self.channels_last = accumulate, compile, channels_last
        self.recompute = recompute
        return self

    def freeze(self, layers: Sequence[str], further: Collection[str] = ()) -> Self:
        """Leave layers as they are in training, and further parameters; ValueError where that means nothing."""
        self.frozen_layers = Frozen(self, layers, self._updates, further)
        return self

    def set_rates(self, factors: Mapping[str, float]) -> None:
        """Multiply the learning rate of layers; after `freeze`. ValueError where that means nothing."""
        self.rate_factors = RateFactors(self, factors, self._updates)

    def require_shardable(self, precision: str) -> None:
        """ValueError where `trainer.strategy=fsdp` cannot train it; after `arrange` and `freeze`."""
        require_shardable(self, precision)

    def train(self, mode: bool = True) -> Self:
        """Set all but the frozen layers to training or evaluation."""
        super().train(mode)
        self.frozen_layers.hold()
        return self

    # What a family provides

    def train_batch(self, batch: Batch) -> Terms:
        """Update the networks on one batch and return its named terms, scalars under `train/`."""
        raise TypeError(f"{type(self).__name__} must define train_batch")

    def validate_batch(self, batch: Batch) -> Terms:
        """Named terms of one held-out batch, scalars under `val/` averaged over the batch; none by default."""
        return {}

    def source(self) -> object:
        """The object that a sampler draws from and metrics of a model look at; the family itself by default."""
        return self

    def extra_grids(self, batch: Batch, noise: IndexedNoise) -> dict[str, Grid]:
        """Pictures to show beside the samples, made of a held-out batch; none by default."""
        return {}

    def require_same_start(self, batch: Batch) -> None:
        """Refuse to go on from restored weights with the data of `batch`; by default any data will do."""

    # Optimisation

    @property
    def updates(self) -> dict[str, Update]:
        """The registered updates by name, in the order of their optimisers."""
        return self._updates

    def register_update(self, name: str, update: Update) -> None:
        """Declare a set of parameters with an optimiser of its own; `name` is its key in `update` and in logs."""
        self._updates[name] = update
        self.steps[name] = 0

    def steps_of(self, module: str) -> int:
        """Optimiser steps taken so far by the update that owns the sub-module `module`."""
        if module not in self._owners:
            self._owners[module] = owner_of(self.get_submodule(module), module, self._updates)
        return self.steps[self._owners[module]]

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """One optimiser for every registered update, in the order of registration."""
        moving, factors = self.frozen_layers.moving, self.rate_factors
        return [update.made(moving(update.parameters()), factors) for update in self._updates.values()]

    def update(self, name: str, batch: Batch, loss: Callable[[Batch], Terms]) -> Terms:
        """One optimiser step of the update `name` on the mean of `loss(part)["loss"]` over the micro-batches.

        All randomness of the loss must already be in `batch` as per-sample tensors: then splitting changes nothing
        but memory. Parameters of the other updates receive no gradient. L-BFGS with a line search evaluates `loss`
        several times in its step.

        Returns:
            The terms of the last evaluation of `loss`, detached and averaged over the micro-batches.
        """
        optimizer = self.optimizer(name)
        self._updates[name].set_rate(optimizer.optimizer, self.images_seen)
        means: Terms = {}

        def evaluate() -> Tensor:
            means.clear()
            for parameter in stepped(optimizer.optimizer):
                parameter.grad = None
            means.update(averaged(loss, split(batch, self.accumulate), self.manual_backward))
            return means["loss"]

        with gradients_only_to(name, self._updates):
            optimizer.step(evaluate)
        self.steps[name] += 1
        return means

    def optimizer(self, name: str) -> LightningOptimizer:
        """The optimiser of the update `name`, wrapped by Lightning."""
        return as_list(self.optimizers())[list(self._updates).index(name)]

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip gradients here: Lightning calls this after fp16 gradients were unscaled."""
        made = as_list(self.optimizers(use_pl_optimizer=False))
        list(self._updates.values())[made.index(optimizer)].limit(optimizer, self.frozen_layers.moving)

    # The loop

    def configure_model(self) -> None:
        """Apply memory format, recomputation and compilation once, after the strategy has chosen the device."""
        if self.channels_last:
            self.to(memory_format=torch.channels_last)
        if self.recompute:
            recompute(self)
        if self.compile_networks:
            for module in self.children():
                module.compile()

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        """Seed this batch: noise depends on (seed, rank, batch) alone, so a resumed run repeats it."""
        seed_generators(mix_seed(self.seed, self.global_rank, self.batches), self.device)

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """Train on one batch, then count it."""
        batch = in_memory_order(batch, self.channels_last)
        self.terms.add(self.train_batch(batch), self.batches)
        if self.trainer.world_size > 1:
            agree_on_buffers(self, self.frozen_layers, self.trainer.strategy)
        self.images_seen += batch_size(batch) * self.trainer.world_size
        self.batches += 1

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Add one held-out batch, weighted by its size; its noise depends on the batch number alone."""
        batch = in_memory_order(batch, self.channels_last)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            seed_generators(mix_seed(self.seed, self.global_rank, batch_index, 1), self.device)
            terms = self.validate_batch(batch)
        self._held_out.add(terms, batch_size(batch))

    def validation_means(self) -> dict[str, float]:
        """Means of the terms over the held-out images of all ranks since the last call; forgets them."""
        return self._held_out.flush(self.trainer.strategy, self.device)

    def reduced(self, means: dict[str, float]) -> dict[str, float]:
        """Average host values over the ranks; every rank must call this with the same names."""
        if self.trainer.world_size == 1 or not means:
            return means
        values = torch.tensor(list(means.values()), dtype=torch.float64, device=self.device)
        values = self.trainer.strategy.reduce(values, reduce_op="mean").tolist()
        return dict(zip(means, values, strict=True))

    def learning_rates(self) -> dict[str, float]:
        """The current learning rate of every update, before factors of layers, named for the log."""
        first = [optimizer.param_groups[0] for optimizer in as_list(self.optimizers())]
        rates = [group["lr"] / group.get("factor", 1.0) for group in first]
        if len(rates) == 1:
            return {"train/learning_rate": rates[0]}
        return {f"train/{name}/learning_rate": rate for name, rate in zip(self._updates, rates, strict=True)}

    # Checkpoints: counters are ours

    def on_save_checkpoint(self, checkpoint: State) -> None:
        """Store the counters as plain integers."""
        checkpoint["counters"] = {"images_seen": self.images_seen, "batches": self.batches, "steps": dict(self.steps)}

    def on_load_checkpoint(self, checkpoint: State) -> None:
        """Restore the counters, and names that sub-modules had earlier; optimisers go on with today's options."""
        for part, named in {**checkpoint.get("averaged", {}), "state_dict": checkpoint["state_dict"]}.items():
            if part in ("modules", "images", "steps", "state_dict"):
                rename_first(named, self.renamed_modules)
        if len(checkpoint.get("optimizer_states", ())) == len(self._updates):
            device = None if self._trainer is None else self.trainer.strategy.root_device
            checkpoint["optimizer_states"] = with_options(checkpoint["optimizer_states"], self._updates, device)
        counters = checkpoint["counters"]
        self.images_seen, self.batches = counters["images_seen"], counters["batches"]
        self.steps = dict(counters["steps"])
