"""The interfaces of models of one pixel value after the other."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition

Place = tuple[int, int, int]
"""Where a value stands in an image: channel, row, column."""


class Steps(Protocol):
    """What is said of one value of some images after the other; what was computed for earlier ones may be remembered.

    Of one set of images, from their first value on: none may change once a later one was asked for.
    """

    def __call__(self, image: Tensor, place: Place) -> Tensor:
        """Numbers (B, N) for the value at `place`, of images (B, C, H, W) in which all values before it stand.

        Places come in the order of the values; some may be left out.
        """
        ...


@runtime_checkable
class Stepwise(Protocol):
    """A network of pixels that remembers: its outputs place by place cost about as much as those of all at once."""

    def steps(self, num: int, condition: Condition = UNCONDITIONAL) -> Steps:
        """The outputs of the network for `num` images, place by place."""
        ...


@runtime_checkable
class Autoregressive(Protocol):
    """A model of images (C, H, W) as a product of distributions over the `levels` of one pixel value after the other.

    Pixels follow each other in rows from the top, the channels of a pixel in order.
    """

    image_shape: tuple[int, ...]
    levels: int

    @property
    def evaluations(self) -> int:
        """How often a network runs for an image that is drawn, be it at all places or, where it remembers, at one."""
        ...

    def logits(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to logits (B, levels, C, H, W), each of the values before it alone."""
        ...

    def steps(self, num: int, condition: Condition = UNCONDITIONAL) -> Steps:
        """The same logits (B, levels) for one value of `num` images after the other, as they are drawn."""
        ...
