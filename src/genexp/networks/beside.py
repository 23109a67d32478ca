"""What networks have in common that see pictures, of which they are told, beside an image."""

from collections.abc import Mapping

import torch
from torch import Tensor

from genexp.conditioning.base import Condition
from genexp.conditioning.pictures import OfPictures
from genexp.networks.classes import ReadsClass


class SeesPictures(ReadsClass):
    """A network that reads pictures of the size of its images, named in `beside`, and a class where there are any."""

    beside: tuple[str, ...]
    reads_latent = True
    """Whether its images depend on the latent; else nothing can be asked of what that changes."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the conditions it reads."""
        label = ("label",) if self.num_classes else ()  # no call of super(): torch.compile cannot follow a property's
        return (*label, *self.beside)

    def pictures(self, condition: Condition) -> list[Tensor]:
        """The pictures (B, C, H, W) of a condition, in the order of `beside`."""
        return [condition[name] for name in self.beside]


def channels_beside(beside: Mapping[str, OfPictures], image_size: int) -> int:
    """Channels of all pictures together.

    Raises:
        ValueError: one has another size than the images.
    """
    for name, kind in beside.items():
        if tuple(kind.row[1:]) != (image_size, image_size):
            height, width = kind.row[1:]
            raise ValueError(
                f"beside must hold pictures of the size of the images, {image_size} x {image_size}, got {name} of "
                f"{width} x {height}"
            )
    return sum(kind.row[0] for kind in beside.values())


def with_pictures(image: Tensor, pictures: list[Tensor]) -> Tensor:
    """Images (B, C, H, W) with pictures of their size as further channels."""
    return torch.cat([image, *(picture.to(image.dtype) for picture in pictures)], 1) if pictures else image
