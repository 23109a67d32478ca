"""Consensus optimisation: both players also look for a point at which neither has anywhere to go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from genexp.adversarial.agreement import over_ranks
from genexp.adversarial.frozen_buffers import frozen_statistics

Losses = Callable[[], tuple[Tensor, Tensor]]
"""Computes the mean loss () of the critic and of the generator, by the weights of now."""


@dataclass(frozen=True)
class Consensus:
    """Adds weight / 2 * |v|^2 to the loss of either player, v the gradients of both by their own weights.

    The gradient of the sum turns a game that goes round in circles towards its equilibrium: eigenvalues +- i w of its
    Jacobian become -weight w^2 +- i w. It also draws to points at rest that are no equilibrium, the more the larger the
    weight. v is that of the whole batch, of all processes; the losses are those with the critic's penalties of every
    step, without penalties of the generator. It takes second derivatives of both networks.

    References: Mescheder, Nowozin and Geiger, "The Numerics of GANs" (2017), section 4; Mescheder, Geiger and Nowozin,
    "Which Training Methods for GANs do actually Converge?" (2018), section 3, for the eigenvalues.

    Args:
        weight: Factor gamma, above 0.

    Raises:
        ValueError: `weight` is not above 0.
    """

    weight: float = 0.1

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError(f"weight must be above 0, got {self.weight}")

    def __call__(self, losses: Losses, critic: Sequence[nn.Module], generator: Sequence[nn.Module]) -> Tensor:
        """The term (), whose gradient reaches the weights that take one; the networks' statistics stay as they are.

        Args:
            losses: Of both players, with the graph of either.
            critic: The critic's networks.
            generator: The generator's, with an encoder where there is one.
        """
        asked = _Asked([*critic, *generator], losses)
        # The player who waits takes no gradient: its weights stand in the graph by copies that do.
        weights = {name: p if p.requires_grad else p.detach().requires_grad_() for name, p in asked.named_parameters()}
        count = sum(1 for network in critic for _ in network.parameters())
        with frozen_statistics(asked):
            found = functional_call(asked, weights, ())
        own = [*weights.values()]
        total = torch.zeros((), device=found[0].device)
        for loss, player in zip(found, (own[:count], own[count:]), strict=True):
            slopes = torch.autograd.grad(loss, player, create_graph=True, allow_unused=True)
            flat = torch.cat([slope.flatten().float() for slope in slopes if slope is not None])
            total = total + over_ranks(flat).square().sum()
        return self.weight / 2 * total


class _Asked(nn.Module):
    """Networks asked for the losses of their game by a call, which is what can be made with other weights."""

    def __init__(self, networks: Sequence[nn.Module], losses: Losses) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.losses = losses

    def forward(self) -> tuple[Tensor, Tensor]:
        return self.losses()
