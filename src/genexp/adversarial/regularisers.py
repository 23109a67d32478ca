"""The penalties of one player: what they draw, which of them are due, what they add to a loss."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from genexp.adversarial.parts import Draws, Follows, Observes, Penalty, Step

OptimizerFactory = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class Penalties(nn.Module):
    """Named penalties of one player. The state that some of them keep is saved with the model.

    A penalty with an interval k above 1 is lazy: at every k-th step of its player that player takes one step more, on
    k times the penalty alone, and all its steps are shortened to make up for it (see `shortened`).

    Reference: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), appendix B.

    Args:
        group: Key of the penalties, for messages.
        parts: The penalties by name.
        player: The network that they regularise.

    Raises:
        TypeError: one cannot be called, such as settings that are left of one not chosen.
        ValueError: an interval is below 1.
    """

    def __init__(self, group: str, parts: Mapping[str, Penalty] | None, player: nn.Module) -> None:
        super().__init__()
        require_callable(group, parts)
        self.parts = dict(parts or {})
        for name, part in self.parts.items():
            if part.interval < 1:
                raise ValueError(f"{group}.{name}.interval must be at least 1 step, got {part.interval}")
        self._player = [player]
        self.follow()
        self.with_state = nn.ModuleDict({name: p for name, p in self.parts.items() if isinstance(p, nn.Module)})

    def follow(self) -> None:
        """Bind the parts whose state is made of the player's parameters to what these are now."""
        for part in self.parts.values():
            if isinstance(part, Follows):
                part.follow(*self._player)

    def of_scope(self, scope: str) -> list[str]:
        """Names of the penalties of one scope."""
        return sorted(name for name, part in self.parts.items() if part.scope == scope)

    @property
    def intervals(self) -> list[int]:
        """The intervals of the lazy penalties."""
        return sorted({part.interval for part in self.parts.values() if part.interval > 1})

    def draw(self, image: Tensor, images_seen: int) -> dict[str, Tensor]:
        """The randomness of one step for images (B, ...), named for a batch."""
        drawing = {name: part for name, part in self.parts.items() if isinstance(part, Draws)}
        return {f"penalties/{name}": part.draw(image, images_seen) for name, part in drawing.items()}

    def terms(self, step: Step, drawn: Mapping[str, Tensor], interval: int = 1) -> dict[str, Tensor]:
        """The penalties of one interval, that many times their value (B,), as `penalty/<name>`."""
        found = {}
        for name, part in self.parts.items():
            if part.interval == interval:
                value = part(replace(step, noise=drawn.get(f"penalties/{name}")))
                found[f"penalty/{name}"] = interval * value.expand(len(step.real))
        return found

    def lazy_terms(self, step: Step, drawn: Mapping[str, Tensor], interval: int) -> dict[str, Tensor]:
        """What a player minimises in a further step for the penalties of one interval: `loss`, and them by name."""
        found = self.terms(step, drawn, interval)
        return {"loss": sum(found.values()), **{name: value / interval for name, value in found.items()}}

    def due(self, steps: int) -> list[int]:
        """Intervals whose penalties are due after the step number `steps`, from 0."""
        return [interval for interval in self.intervals if steps % interval == 0]

    def observe(self, means: Mapping[str, Tensor], images: int) -> None:
        """Let penalties with a state follow a step that was taken."""
        for part in self.parts.values():
            if isinstance(part, Observes):
                part.observe(means, images)

    def shortened(self, optimizer: OptimizerFactory) -> OptimizerFactory:
        """An optimiser whose rate and averages fit the further steps of lazy penalties.

        With r further steps a step, c = 1 / (1 + r): the rate becomes c times as large, and betas are taken to the
        power of c. One penalty of interval k gives the c = k / (k + 1) of the paper.
        """
        share = 1 / (1 + sum(1 / interval for interval in self.intervals))

        def build(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            built = optimizer(parameters)
            for group in [built.defaults, *built.param_groups]:
                group["lr"] *= share
                if "betas" in group:
                    group["betas"] = tuple(beta**share for beta in group["betas"])
            return built

        return build if self.intervals else optimizer


def require_callable(group: str, parts: Mapping[str, object] | None) -> None:
    """Raise TypeError unless every one of the named parts can be called."""
    for name, part in (parts or {}).items():
        if not callable(part):
            raise TypeError(
                f"{group}.{name} must be a part (in YAML: with _target_), got {part}, settings of one not chosen?"
            )
