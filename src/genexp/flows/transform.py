"""What an invertible transform is, and transforms made of others."""

from collections.abc import Iterable

from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition, ReadsConditions

Change = tuple[Tensor, Tensor]
"""What a transform makes of samples (B, ...), and the log |det| (B,) of its Jacobian there, in nats."""


class Transform(nn.Module):
    """An invertible map z = f(x) of samples (B, ...), from data towards the noise, and its way back.

    Both ways give the log |det| of the Jacobian of the map that they are, in the precision of the samples: float32 or
    better, whatever networks compute in. So log p(x) = log p(z) + log_det for z, log_det = f(x); and a draw x = f(e) of
    a posterior, e from q0, has log q(x) = log q0(e) - log_det. A transform of vectors maps (B, D) to (B, D).

    Reference: Rezende and Mohamed, "Variational Inference with Normalizing Flows" (2015), equations 5 to 7.
    """

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the conditions that its networks read."""
        networks = [each.reads for each in self.children() if isinstance(each, ReadsConditions)]
        return tuple(dict.fromkeys(name for reads in networks for name in reads))

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Samples towards the noise."""
        raise TypeError(f"{type(self).__name__} must define forward")

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """Noise towards samples."""
        raise TypeError(f"{type(self).__name__} must define inverse")

    def initialise(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Set what is set from a first batch of samples and return what becomes of them; by default nothing is."""
        return self(x, condition)[0]


class Chain(Transform):
    """One transform after the other; none at all is the identity.

    Args:
        parts: The transforms, from the data to the noise.
    """

    def __init__(self, parts: Iterable[Transform]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the conditions that any of them reads."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.reads))

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """The first to the last."""
        log_det = x.new_zeros(x.shape[0])
        for part in self.parts:
            x, gained = part(x, condition)
            log_det = log_det + gained
        return x, log_det

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """The last to the first."""
        log_det = z.new_zeros(z.shape[0])
        for part in reversed(self.parts):
            z, gained = part.inverse(z, condition)
            log_det = log_det + gained
        return z, log_det

    def initialise(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Each by what those before it make of the samples."""
        for part in self.parts:
            x = part.initialise(x, condition)
        return x


class Inverse(Transform):
    """A transform the other way round: what is its way back is fast or slow as the other's way there.

    Args:
        of: The transform.
    """

    def __init__(self, of: Transform) -> None:
        super().__init__()
        self.of = of

    def forward(self, x: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """The other's way back."""
        return self.of.inverse(x, condition)

    def inverse(self, z: Tensor, condition: Condition = UNCONDITIONAL) -> Change:
        """The other's way there."""
        return self.of(z, condition)
