"""Networks that are told some conditions in tokens, to which they attend."""

from collections.abc import Mapping

from torch import Tensor, nn

from genexp.conditioning.base import Condition
from genexp.conditioning.pictures import OfPictures
from genexp.networks.classes import ToldBy
from genexp.networks.tokens import Tokens, together
from genexp.networks.told import ToldNetwork


class AttendingNetwork(ToldNetwork):
    """A `ToldNetwork` that may also attend to tokens of further conditions, whose pooled vector is told as others are.

    What it attends to does not change while the noise does: whoever calls it more than once under one condition has it
    encoded before (`encode`) and gives it to every call. `width`, `features`, `num_classes`, `told`, `beside` and
    `self_conditioned` are those of every `ToldNetwork`.

    Args:
        attended: Builds, from the size of the vector, a module that maps a further condition to `Tokens` of that size,
            such as `TextEncoder`; by the name of the condition.

    Raises:
        ValueError: `width` is odd or below 4, or a condition is both told and attended to.
    """

    def __init__(
        self,
        width: int,
        features: int,
        num_classes: int | None = None,
        told: ToldBy | None = None,
        beside: Mapping[str, OfPictures] | None = None,
        self_conditioned: bool = False,
        attended: ToldBy | None = None,
    ) -> None:
        super().__init__(width, features, num_classes, told, beside, self_conditioned)
        twice = [name for name in attended or {} if name in ToldNetwork.reads.fget(self)]
        if twice:
            raise ValueError(f"attended must hold conditions that are told in no other way, got {twice[0]}")
        self.attended = nn.ModuleDict({name: build(features) for name, build in (attended or {}).items()})

    @property
    def attends(self) -> tuple[str, ...]:
        """Names of the conditions that it attends to."""
        return tuple(self.attended)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the conditions it reads."""
        return (*ToldNetwork.reads.fget(self), *self.attends)  # no super(): torch.compile cannot follow a property's

    def encode(self, condition: Condition) -> Tokens | None:
        """What the network attends to under a condition; None where it attends to nothing."""
        if not self.attends:
            return None
        return together([module(condition[name]) for name, module in self.attended.items()])

    def vector(self, t: Tensor, condition: Condition, texts: Tokens | None) -> Tensor:
        """Times (B,), a condition and what it is encoded to: vectors (B, features).

        Raises:
            ValueError: the condition does not hold what the network reads, or holds more.
        """
        embedding = self.embedded(t, condition)
        return embedding if texts is None else embedding + texts.pooled
