"""Weights that this project ships, as what a run begins with."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genexp.families.transfer import transferred
from genexp.shipped import load_asset


@dataclass(eq=False)
class ShippedWeights:
    """Shipped weights with which `model.network` begins.

    Args:
        asset: Their name; the card tells the training whose network they are of.

    Raises:
        FileNotFoundError: there is no such asset.
        WrongDigest: the weights are not those of their card.
    """

    asset: str

    def __post_init__(self) -> None:
        self._state, self._card = load_asset(self.asset)

    def give(self, model: nn.Module) -> str:
        """Let a model's network begin with the weights; says in a line what it took.

        Raises:
            ValueError: the model has another network, or one of other sizes.
        """
        network = dict(model.named_children()).get("network", nn.Module())
        if _shapes(network.state_dict()) != _shapes(self._state):
            raise ValueError(
                f"initial.asset must be weights of this model's network, got {self.asset}, of {self._card['command']}"
            )
        found = transferred(model, {f"network.{name}": tensor for name, tensor in self._state.items()}, ["network"])
        return f"{self.asset}@{self._card['sha256'][:12]}: {found.note()}"


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}
