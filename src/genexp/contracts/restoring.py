"""The interfaces of networks that restore pictures."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class LocalNetwork(Protocol):
    """A network of one picture of any size that says how far it looks.

    `scale` is the side of an image in sides of its picture; `reach` how many pixels of the picture to every side of a
    place the image depends on there, at most; sides of pictures must be multiples of `multiple`.
    """

    scale: int
    reach: int
    multiple: int

    def restored(self, picture: Tensor) -> Tensor:
        """Images (B, C', scale h, scale w) of pictures (B, C, h, w)."""
        ...
