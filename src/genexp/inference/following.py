"""What the samples of a run are told that is drawn from after another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from genexp.conditioning.base import Conditioning, ConditionKind
from genexp.data.source import Split
from genexp.inference.conditions import as_it_was, levels_of, read_of
from genexp.sampling.conditions import Conditions, Given, noised

if TYPE_CHECKING:
    from genexp.inference.run import Run

Images = Callable[[Sequence[int]], Tensor]
"""The samples (B, *shape) of some indices, as files hold them."""

Known = dict[str, tuple[ConditionKind, Conditions]]
"""What stages are told, by its name: what it looks like, and where it comes from."""


def of_first(told: Conditioning, conditions: Conditions) -> Known:
    """What the first stage is told."""
    return {name: (kind, conditions) for name, kind in told.kinds.items()}


@dataclass(frozen=True)
class Following:
    """What the samples of a stage are told: what was drawn before, what earlier stages were told too, and the rest.

    Args:
        run: The run of the stage.
        name: Name of the condition that was drawn before.
        typed: What a person gave of its conditions, by name, and of their levels.
        seed: Seed of its noise.
        known: What earlier stages were told, by name; what this one adds is written there.
        images: What the stage before draws.
        words: What tells it in the key of stored images.
        split: Split whose conditions are told where nothing else says them.
    """

    run: "Run"
    name: str
    typed: Mapping[str, object]
    seed: int
    known: Known
    images: Images
    words: str = ""
    split: Split = "train"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the conditions that the run before draws."""
        return (self.name,)

    def rest(self, told: Conditioning) -> "Gathered":
        """All of `told` but what is drawn before: without drawing anything.

        Raises:
            ValueError: an earlier run means something else by the name of a condition.
        """
        typed, _ = levels_of(told, self.typed)
        sources: dict[str, Conditions] = {}
        for name, kind in told.kinds.items():
            if name == self.name:
                continue
            if name in self.known:
                earlier, sources[name] = self.known[name]
                if earlier != kind:
                    raise ValueError(f"run must name runs that mean the same by {name}, got {earlier} and {kind}")
            elif name in typed:
                sources[name] = Given(read_of(self.run, told, {name: typed[name]}))
        left = {name: kind for name, kind in told.kinds.items() if name not in (*sources, self.name)}
        if others := as_it_was(self.run, Conditioning(left), self.split):
            sources |= dict.fromkeys(left, others)
        self.known.update({name: (told.kinds[name], source) for name, source in sources.items()})
        return Gathered(sources)

    def conditions(self, told: Conditioning) -> Conditions | None:
        """Everything that the stage is told, with the noise that its pictures have."""
        rest, kind = self.rest(told), told.kinds[self.name]
        _, levels = levels_of(told, self.typed)
        whole = DrawnBefore(self.name, kind, self.images, rest, self.words)
        return noised(whole, told, self.seed, levels)


class Gathered:
    """Conditions that come from several places.

    Args:
        sources: Where every one comes from, by its name.
    """

    def __init__(self, sources: Mapping[str, Conditions]) -> None:
        self.sources = dict(sources)

    def of(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The conditions, a row for every sample."""
        told: dict[str, Tensor] = {}
        for source in {id(each): each for each in self.sources.values()}.values():
            rows = source.of(indices)
            told |= {name: rows[name] for name, each in self.sources.items() if each is source}
        return told

    def __repr__(self) -> str:
        return f"Gathered({self.sources})"


class DrawnBefore:
    """Conditions of which one is what another run has drawn.

    Args:
        name: Name of that condition.
        kind: What it looks like.
        images: What the run draws.
        rest: The other conditions.
        words: What tells the run in the key of stored images.
    """

    def __init__(self, name: str, kind: ConditionKind, images: Images, rest: Conditions, words: str) -> None:
        self.name, self.kind, self.images, self.rest, self.words = name, kind, images, rest, words

    def of(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The conditions, a row for every sample."""
        told = self.rest.of(indices)
        return {**told, self.name: self.kind.read(self.images(indices))}

    def __repr__(self) -> str:
        return f"Drawn({self.name} by {self.words}, {self.rest!r})"
