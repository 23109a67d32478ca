"""What follows from a condition alone and is computed once, however many steps a drawing has."""

from typing import Protocol, runtime_checkable

from genexp.conditioning.base import Condition
from genexp.contracts import Denoiser


@runtime_checkable
class Prepares(Denoiser, Protocol):
    """A denoiser that can be made ready for calls under few conditions, such as all steps of one drawing."""

    def prepared(self) -> Denoiser:
        """The same denoiser, which computes once what follows from a condition alone; its weights must stay."""
        ...


def prepared(model: Denoiser) -> Denoiser:
    """A denoiser for one drawing: ready for it, where it can be."""
    return model.prepared() if isinstance(model, Prepares) else model


@runtime_checkable
class Encodes(Protocol):
    """A network that can say beforehand what it reads out of some of its conditions, whatever the noise."""

    @property
    def attends(self) -> tuple[str, ...]:
        """Names of these conditions; none for a network that encodes nothing."""
        ...

    def encode(self, condition: Condition) -> object:
        """What a call under this condition takes as its fourth argument."""
        ...


@runtime_checkable
class Reads(Prepares, Protocol):
    """A denoiser whose network attends to some conditions, which may be read by another encoder in its place."""

    network: Encodes

    @property
    def attends(self) -> tuple[str, ...]:
        """Names of these conditions."""
        ...

    def encoding(self, encoder: Encodes) -> Denoiser:
        """The same denoiser with that encoder."""
        ...
