"""Averaged weights: an exponential moving average over named sub-modules, counted in images."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning import Callback, Trainer
from torch import Tensor, nn

from genexp.callbacks.trainee import Trainee


class Averaging(Callback):
    """Keep an exponential moving average of some sub-modules and use it for validation and sampling.

    After an update, average <- decay * average + (1 - decay) * weights with decay = 2^(-images / half_life): the same
    memory in images at every batch size. Early on the half-life is at most `ramp_up` times the images seen, so the
    average forgets the initial weights (Karras et al., "Elucidating the Design Space of Diffusion-Based Generative
    Models", 2022). A sub-module is averaged only when its optimiser has stepped. Buffers are copied, not averaged.

    Args:
        half_life: Images after which a weight's influence has halved.
        ramp_up: Largest half-life as a share of the images seen, or None for no ramp.
        modules: Names of the sub-modules; by default those that the family declares in `averaged_modules`.
    """

    def __init__(self, half_life: float, ramp_up: float | None = 0.05, modules: Sequence[str] | None = None) -> None:
        if half_life <= 0:
            raise ValueError(f"half_life must be a positive number of images, got {half_life}")
        if ramp_up is not None and ramp_up <= 0:
            raise ValueError(f"ramp_up must be positive or null, got {ramp_up}")
        self.half_life, self.ramp_up = half_life, ramp_up
        self.modules = None if modules is None else list(modules)
        self._averages: dict[str, dict[str, Tensor]] = {}
        self._images: dict[str, int] = {}
        self._steps: dict[str, int] = {}
        self._swapped = False

    # Training

    def on_fit_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Start from the current weights, unless a checkpoint has brought an average; forget those of other modules."""
        names = self._names(pl_module)
        self._averages = {name: kept for name, kept in self._averages.items() if name in names}
        for name in names:
            state = tensors_of(pl_module.get_submodule(name))
            loaded = self._averages.get(name)
            if loaded is None:
                self._averages[name] = {key: value.detach().clone() for key, value in state.items()}
                self._images[name], self._steps[name] = pl_module.images_seen, pl_module.steps_of(name)
            else:
                self._averages[name] = {key: loaded[key].to(value.device) for key, value in state.items()}

    @torch.no_grad()
    def on_train_batch_end(self, trainer: Trainer, pl_module: Trainee, *_: Any) -> None:
        """Fold the weights of every sub-module that has been updated into its average."""
        for name in self._names(pl_module):
            steps = pl_module.steps_of(name)
            if steps == self._steps[name]:
                continue
            self._fold(pl_module.get_submodule(name), name, self._decay(name, pl_module.images_seen))
            self._images[name], self._steps[name] = pl_module.images_seen, steps

    def _decay(self, name: str, images_seen: int) -> float:
        half_life = self.half_life
        if self.ramp_up is not None:
            half_life = min(half_life, self.ramp_up * images_seen)
        return 0.5 ** ((images_seen - self._images[name]) / half_life)

    def _fold(self, module: nn.Module, name: str, decay: float) -> None:
        averages = self._averages[name]
        parameters = dict(module.named_parameters())
        torch._foreach_lerp_([averages[key] for key in parameters], list(parameters.values()), 1 - decay)
        for key, buffer in module.named_buffers():
            averages[key].copy_(buffer)

    # Use

    def on_validation_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Put the average in place of the weights for as long as validation lasts."""
        if self._averages and not trainer.sanity_checking:
            self._swap(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Put the weights back."""
        if self._swapped:
            self._swap(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: Trainee, exception: BaseException) -> None:
        """Put the weights back when validation was interrupted."""
        if self._swapped:
            self._swap(pl_module)

    def _swap(self, pl_module: Trainee) -> None:
        for name, averages in self._averages.items():
            for key, tensor in tensors_of(pl_module.get_submodule(name)).items():
                tensor.data, averages[key].data = averages[key].data, tensor.data
        self._swapped = not self._swapped

    def _names(self, pl_module: Trainee) -> list[str]:
        return list(pl_module.averaged_modules) if self.modules is None else self.modules

    # Checkpoints

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Trainee, checkpoint: dict[str, Any]) -> None:
        """Store the averages beside the raw weights, one state dict a sub-module, under `averaged`."""
        if self._swapped:
            raise RuntimeError("a checkpoint must not be written while averaged weights are in place of the raw ones")
        checkpoint["averaged"] = {
            "modules": self._averages,
            "images": dict(self._images),
            "steps": dict(self._steps),
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: Trainee, checkpoint: dict[str, Any]) -> None:
        """Take up the averages of a checkpoint that has them."""
        stored = checkpoint.get("averaged")
        if stored is not None:
            self._averages = {name: dict(state) for name, state in stored["modules"].items()}
            self._images, self._steps = dict(stored["images"]), dict(stored["steps"])


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a module by their state-dict names."""
    return dict(module.named_parameters()) | dict(module.named_buffers())
