"""Layers that training leaves as they are.

Reference: Mo, Cho and Shin, "Freeze the Discriminator: a Simple Baseline for Fine-Tuning GANs" (2020), for the lower
layers of a discriminator.
"""

from collections.abc import Collection, Mapping, Sequence

import torch
from lightning.pytorch.strategies import Strategy
from torch import nn

from genexp.families.layers import below, require_layers
from genexp.families.updates import Update

KEY = "training.freeze"


class Frozen:
    """The frozen layers of a model: fixed functions, which take no gradient and stay bitwise as they are.

    They compute as in evaluation: batch norm by its running statistics, spectral norm by the vectors that it has, and
    nothing is dropped out. Their parameters are in no optimiser.

    Args:
        model: The model; its frozen parameters take no gradient from now on.
        layers: Names of modules or parameters, with all below them; `*` stands for text.
        updates: The model's updates.
        further: Single parameters that stand still for another reason; their layers compute as in training.

    Raises:
        ValueError: the model has no such layer, or all parameters of an update would be frozen.
    """

    def __init__(
        self, model: nn.Module, layers: Sequence[str], updates: Mapping[str, Update], further: Collection[str] = ()
    ) -> None:
        require_layers(model, layers, KEY)
        self.layers, self.further = tuple(layers), tuple(further)
        self._modules = [module for name, module in model.named_modules() if below(name, layers)]
        self.parameters = {name: p for name, p in model.named_parameters() if below(name, layers)}
        self.buffers = {name: b for name, b in model.named_buffers() if below(name, layers)}
        for name, update in updates.items():
            own, still = update.parameters(), {id(p) for p in self.parameters.values()}
            if layers and all(id(parameter) in still for parameter in own):
                raise ValueError(
                    f"{KEY} must leave something of {name} to train, got {', '.join(layers)}, which is all of its "
                    f"{len(own)} parameters"
                )
        self._still = [*self.parameters.values(), *(model.get_parameter(name) for name in further)]
        for parameter in self._still:
            parameter.requires_grad_(False)
        self.hold()

    def hold(self) -> None:
        """Let the layers compute as in evaluation, whatever the rest of the model does."""
        for module in self._modules:
            module.training = False

    def moving(self, parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
        """Those of some parameters that are not frozen, in their order."""
        still = {id(parameter) for parameter in self._still}
        return [parameter for parameter in parameters if id(parameter) not in still]

    def note(self) -> str | None:
        """What is frozen, for a person; None where nothing is."""
        count = sum(parameter.numel() for parameter in self.parameters.values())
        return f"{count:,} parameters of {', '.join(self.layers)}" if self.layers else None


def agree_on_buffers(model: nn.Module, frozen: Frozen, strategy: Strategy) -> None:
    """Give every rank the mean of the running statistics that each gathered from its share of the batch."""
    buffers = [b for name, b in model.named_buffers() if b.is_floating_point() and name not in frozen.buffers]
    if not buffers:
        return
    means = strategy.reduce(torch.cat([b.reshape(-1) for b in buffers]), reduce_op="mean")
    for buffer, mean in zip(buffers, means.split([b.numel() for b in buffers]), strict=True):
        buffer.copy_(mean.view_as(buffer))
