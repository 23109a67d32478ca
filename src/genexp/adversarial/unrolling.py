"""Unrolled critics: a generator that looks at the critic as it will be some steps later."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from genexp.adversarial.agreement import over_ranks
from genexp.adversarial.critic import Critic, Drawn
from genexp.conditioning.base import Condition

Weights = dict[str, Tensor]
Move = Callable[[Weights, Weights, int], Weights]


@dataclass(frozen=True)
class Unrolled:
    """The generator plays against the critic of `steps` further steps on this batch, which it sees itself shape.

    The gradient reaches the generator through these steps too; the critic itself stays as it is. They are those of the
    critic on the whole batch, of all processes, by its own optimiser, plain SGD or Adam, from its state and rate of
    now, without lazy penalties, limits on the norm of gradients and constraints on weights.

    Reference: Metz, Poole, Pfau and Sohl-Dickstein, "Unrolled Generative Adversarial Networks" (2017), equation 9.

    Args:
        steps: Steps of the critic, at least 1; 5 to 10 in the paper.

    Raises:
        ValueError: `steps` is below 1.
    """

    steps: int = 5

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1 step of the critic, got {self.steps}")

    def generator_loss(
        self,
        critic: Critic,
        optimizer: torch.optim.Optimizer,
        real: Tensor,
        fake: Tensor,
        condition: Condition,
        drawn: Drawn,
    ) -> Tensor:
        """Losses (B,) of the generator that made `fake` (B, ...), in the place of `Critic.generator_loss`."""
        asked = _Asked(critic)
        trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
        owned = {name: p for name, p in asked.named_parameters() if id(p) in trained}
        weights = {name: p.detach().requires_grad_() for name, p in owned.items()}
        move = differentiable(optimizer, owned)
        for step in range(self.steps):
            loss = functional_call(asked, weights, ("loss", real, fake, condition, drawn)).mean()
            gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            gradients = [over_ranks(each) for each in gradients]
            weights = move(weights, dict(zip(weights, gradients, strict=True)), step)
        return functional_call(asked, weights, ("generator_loss", real, fake, condition, drawn))


class _Asked(nn.Module):
    """A critic asked for a loss by a call, which is what can be made with other weights."""

    def __init__(self, critic: Critic) -> None:
        super().__init__()
        self.critic = critic

    def forward(self, which: str, real: Tensor, fake: Tensor, condition: Condition, drawn: Drawn) -> Tensor:
        if which == "loss":
            return self.critic.loss(real, fake, condition, drawn, through=True)["loss"]
        return self.critic.generator_loss(real, fake, condition, drawn)


def require_differentiable(optimizer: torch.optim.Optimizer) -> None:
    """Refuse optimisers whose steps are not written here.

    Raises:
        ValueError: it is neither Adam nor SGD, or has decay, momentum or AMSGrad.
    """
    group = optimizer.param_groups[0]
    extras = [key for key in ("weight_decay", "momentum", "amsgrad", "maximize", "nesterov") if group.get(key)]
    if type(optimizer) not in (torch.optim.Adam, torch.optim.SGD) or extras:
        given = type(optimizer).__name__ + "".join(f" with {key}={group[key]}" for key in extras)
        raise ValueError(
            "critic_optimizer must be Adam or SGD without decay or momentum for unrolled steps, which are "
            f"differentiated, got {given}"
        )


def differentiable(optimizer: torch.optim.Optimizer, owned: Mapping[str, Tensor]) -> Move:
    """The next steps of an optimiser as a function of weights and gradients, in the order in which they are taken.

    Adam divides by sqrt(v + eps^2), which has a slope where v is 0, in the place of sqrt(v) + eps.
    """
    group = optimizer.param_groups[0]
    rates = {id(p): each["lr"] for each in optimizer.param_groups for p in each["params"]}
    rate = {name: rates[id(parameter)] for name, parameter in owned.items()}
    if isinstance(optimizer, torch.optim.SGD):
        return lambda weights, gradients, step: {name: w - rate[name] * gradients[name] for name, w in weights.items()}
    states = {name: optimizer.state.get(parameter, {}) for name, parameter in owned.items()}
    first = {name: state.get("exp_avg", torch.zeros_like(owned[name])) for name, state in states.items()}
    second = {name: state.get("exp_avg_sq", torch.zeros_like(owned[name])) for name, state in states.items()}
    taken = max((int(state["step"]) for state in states.values() if "step" in state), default=0)
    beta1, beta2 = group["betas"]

    def move(weights: Weights, gradients: Weights, step: int) -> Weights:
        count = taken + step + 1
        moved = {}
        for name, gradient in gradients.items():
            first[name] = beta1 * first[name] + (1 - beta1) * gradient
            second[name] = beta2 * second[name] + (1 - beta2) * gradient.square()
            mean, square = first[name] / (1 - beta1**count), second[name] / (1 - beta2**count)
            moved[name] = weights[name] - rate[name] * mean / (square + group["eps"] ** 2).sqrt()
        return moved

    return move
