"""The images that an evaluation looks at: sets that can be opened again and again, at the levels that files hold."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.contracts import Batch
from genexp.tensors import to_float, to_uint8


@dataclass(frozen=True)
class ImageSet:
    """A set of real images, such as a split of a data set.

    Args:
        name: What to call it, such as `train`.
        digest: Digest of its content.
        count: Number of images.
        shape: Shape of an image (C, H, W), or (D,) of a point.
        batches: Opens it: batches with `image` (B, *shape) in [-1, 1], and `label` where there are classes.
    """

    name: str
    digest: str
    count: int
    shape: tuple[int, ...]
    batches: Callable[[], Iterable[Batch]]

    def spread(self, num: int) -> "ImageSet":
        """So many of the images, evenly spread over the set; the set itself if it has no more."""
        if num >= self.count:
            return self
        chosen = torch.arange(num) * self.count // num

        def batches() -> Iterator[Batch]:
            seen = 0
            for batch in self.batches():
                end = seen + len(batch["image"])
                mine = chosen[(chosen >= seen) & (chosen < end)] - seen
                seen = end
                if len(mine):
                    yield {name: value[mine.to(value.device)] for name, value in batch.items()}

        return ImageSet(self.name, f"{self.digest}, {num} of {self.count}", num, self.shape, batches)


def quantiser(shape: tuple[int, ...]) -> str:
    """The quantiser of samples of a shape: `uint8` for images (C, H, W), `none` for points (D,)."""
    return "uint8" if len(shape) == 3 else "none"


def quantised(images: Tensor) -> Tensor:
    """Images (B, C, H, W) at the nearest of 256 levels, as files hold them; points (B, D) as they are.

    Raises:
        ValueError: a value is NaN or infinite, which no level stands for.
    """
    finite = torch.isfinite(images).flatten(1).all(1)
    if not finite.all():
        raise ValueError(f"images must be finite, got NaN or infinity in {int((~finite).sum())} of {len(images)}")
    return to_float(to_uint8(images)) if quantiser(images.shape[1:]) == "uint8" else images
