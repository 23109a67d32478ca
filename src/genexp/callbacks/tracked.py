"""One average of the weights of some sub-modules, followed through training."""

from collections.abc import Callable, Sequence

from torch import Tensor

from genexp.callbacks.trainee import Trainee
from genexp.files.trees import State
from genexp.parameters import Towards, like, tensors_of, whole

Decay = Callable[[int, int], float]
"""The share that an average keeps of itself, from the images seen at its last update and those seen now."""


class Tracked:
    """average <- decay * average + (1 - decay) * weights, after every update of a sub-module.

    A sub-module is averaged only when its optimiser has stepped. Buffers are copied, not averaged.

    Args:
        buffers: Whether copies of the buffers are kept with the averages.

    Attributes:
        modules: The averages by sub-module and name.
        images: Images seen when each was last updated.
        steps: Optimiser steps of each by then.
    """

    def __init__(self, buffers: bool = True) -> None:
        self.buffers = buffers
        self.modules: dict[str, dict[str, Tensor]] = {}
        self.images: dict[str, int] = {}
        self.steps: dict[str, int] = {}
        self._towards: dict[str, Towards] = {}

    def begin(self, pl_module: Trainee, names: Sequence[str]) -> None:
        """Start from the current weights, unless a checkpoint has brought an average; forget those of other modules."""
        self.modules, self._towards = {name: kept for name, kept in self.modules.items() if name in names}, {}
        for name in names:
            module = pl_module.get_submodule(name)
            state = tensors_of(module) if self.buffers else dict(module.named_parameters())
            loaded = self.modules.get(name)
            if loaded is None:
                self.modules[name] = {key: value.detach().clone() for key, value in state.items()}
                self.images[name], self.steps[name] = pl_module.images_seen, pl_module.steps_of(name)
            else:
                self.modules[name] = {key: like(loaded[key], value) for key, value in state.items()}

    def follow(self, pl_module: Trainee, names: Sequence[str], decay: Decay) -> None:
        """Fold the weights of every sub-module that has been updated into its average."""
        for name in names:
            steps = pl_module.steps_of(name)
            if steps == self.steps[name]:
                continue
            share = 1 - decay(self.images[name], pl_module.images_seen)
            if name not in self._towards:
                self._towards[name] = Towards(self.modules[name], pl_module.get_submodule(name), self.buffers)
            self._towards[name].draw(share)
            self.images[name], self.steps[name] = pl_module.images_seen, steps

    def state(self) -> State:
        """Plain containers that `load` goes on from, of whole tensors; all ranks must ask for them."""
        return {"modules": whole(self.modules), "images": dict(self.images), "steps": dict(self.steps)}

    def load(self, state: State) -> None:
        """Take up what `state` gave."""
        self.modules, self._towards = {name: dict(each) for name, each in state["modules"].items()}, {}
        self.images, self.steps = dict(state["images"]), dict(state["steps"])


def names_of(pl_module: Trainee, modules: Sequence[str] | None) -> list[str]:
    """The sub-modules that are averaged: those named, or those that the family declares."""
    return list(pl_module.averaged_modules if modules is None else modules)
