"""Low-rank updates of frozen weights, trained in their place.

Reference: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2022), section 4.1.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genexp.adversarial.regularisers import Penalties
from genexp.families.base import Family
from genexp.families.layers import below, in_words, require_layers
from genexp.tensors import mix_seed

KEY = "adapters.layers"
LAYERS = nn.Linear | nn.Conv2d | nn.ConvTranspose2d


class LowRankUpdate(nn.Module):
    """W + alpha / rank * B A, of a matrix W or of the kernels of a convolution, flattened behind their first dimension.

    A is drawn as PyTorch draws the weights of a linear layer, and B begins at zero, so that at first it is W itself.

    Args:
        weight: W (out, ...).
        rank: Columns of B and rows of A.
        alpha: Strength; at `rank` the product itself is added.
        generator: Draws A; torch's own by default.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        inputs = weight[0].numel()
        drawn = torch.rand(rank, inputs, generator=generator)
        self.a = nn.Parameter(((2 * drawn - 1) * inputs**-0.5).to(weight))
        self.b = nn.Parameter(weight.new_zeros(len(weight), rank))
        self.scale = alpha / rank

    def forward(self, weight: Tensor) -> Tensor:
        """The weight (out, ...) with what is added."""
        return weight + self.scale * (self.b @ self.a).view_as(weight)


class LowRank:
    """A model that goes on from trained weights by low-rank updates of its linear and convolution layers.

    All else of what is averaged (of a GAN the generator, of a diffusion its network) stays as it is; other players,
    such as a critic, train as ever. A finished run has ordinary weights, with the updates added in.

    Args:
        rank: Of every update; layers with fewer inputs or outputs have none.
        alpha: Strength of an update over `rank`; None for `rank`, so that B A itself is added.
        layers: Layers that are updated, with all below them; `*` stands for text. None for all.

    Raises:
        ValueError: `rank` is below 1, or `alpha` below 0.
    """

    def __init__(self, rank: int = 4, alpha: float | None = None, layers: Sequence[str] | None = None) -> None:
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}")
        if alpha is not None and alpha < 0:
            raise ValueError(f"alpha must be at least 0 or null, got {alpha}")
        self.rank, self.alpha, self.layers = rank, float(rank if alpha is None else alpha), layers

    def adapt(self, model: Family) -> list[str]:
        """Give the layers of a model their updates; names of the parameters that stand still from now on.

        Raises:
            ValueError: the model has no such layer, or none that is large enough.
        """
        require_layers(model, self.layers or (), KEY)
        players = {name: model.get_submodule(name) for name in model.averaged_modules}
        found = [
            (f"{player}.{name}" if name else player, layer)
            for player, network in players.items()
            for name, layer in network.named_modules()
            if isinstance(layer, LAYERS) and not parametrize.is_parametrized(layer)
        ]
        chosen = [layer for name, layer in found if self._takes(name, layer)]
        if not chosen:
            within = "of the model" if self.layers is None else f"below {in_words(self.layers)}"
            raise ValueError(
                f"{KEY} must leave linear or convolution layers of at least {self.rank} channels, {within}"
            )
        generator = torch.Generator().manual_seed(mix_seed(model.seed, self.rank))
        for layer in chosen:
            update = LowRankUpdate(layer.weight, self.rank, self.alpha, generator)
            parametrize.register_parametrization(layer, "weight", update, unsafe=True)
        for each in model.modules():
            if isinstance(each, Penalties):
                each.follow()  # parameters have other names now
        moving = {id(p) for each in model.modules() if isinstance(each, LowRankUpdate) for p in each.parameters()}
        inside = {id(p) for network in players.values() for p in network.parameters()}
        return [name for name, p in model.named_parameters() if id(p) in inside and id(p) not in moving]

    def note(self, model: nn.Module) -> str:
        """What is trained, for a person."""
        updates = [each for each in model.modules() if isinstance(each, LowRankUpdate)]
        count = sum(p.numel() for each in updates for p in each.parameters())
        whole = sum(math.prod(each.b.shape[:1] + each.a.shape[1:]) for each in updates)
        return f"{count:,} numbers of {len(updates)} updates of rank {self.rank}, in place of {whole:,} weights"

    def _takes(self, name: str, layer: LAYERS) -> bool:
        wanted = self.layers is None or below(name, self.layers)
        return wanted and min(len(layer.weight), layer.weight[0].numel()) >= self.rank


@torch.no_grad()
def merge(model: nn.Module) -> None:
    """Put every weight with its updates in the place of the weight; outputs stay bitwise what they were."""
    for layer in list(model.modules()):
        if parametrize.is_parametrized(layer, "weight") and isinstance(layer.parametrizations.weight[0], LowRankUpdate):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
