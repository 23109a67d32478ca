"""Pictures that come in several sizes and as cuttings, with what each was: for a model that is told it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from genexp.contracts import Batch
from genexp.data import generated
from genexp.data.generated import split_number
from genexp.data.source import Examples, Source, Split, fingerprint
from genexp.tensors import mix_seed


class SeveralSizes:
    """Pictures of one source at several sizes, all brought to one and cut: columns `size` and `crop` (B, 2) say how.

    Example i has a size of its own by its index, uniform among `sizes`. It is brought to `image_size` + `crop` pixels a
    side, smaller ones blurred by that, and a window of `image_size` is cut at a place that is uniform. `size` is height
    and width of the original in pixels, `crop` the top and left of the window.

    Reference: Podell et al., "SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis" (2023),
    section 2.2.

    Args:
        pictures: Makes the source, given `image_size`.
        image_size: Pixels a side.
        sizes: Pixels a side of the originals.
        crop: Largest offset of the window, in pixels, at least 0.

    Raises:
        ValueError: there is no size, or `crop` is below 0.
    """

    def __init__(
        self, pictures: Callable[..., Source], image_size: int = 32, sizes: Sequence[int] = (12, 20, 32), crop: int = 8
    ) -> None:
        if not sizes:
            raise ValueError(f"sizes must hold at least one, got {list(sizes)}")
        if crop < 0:
            raise ValueError(f"crop must be at least 0 pixels, got {crop}")
        self.image_size, self.sizes, self.crop = image_size, tuple(sizes), crop
        self._sources = [pictures(image_size=size) for size in self.sizes]
        self.classes = self._sources[0].classes

    def split(self, name: Split) -> "SizedExamples":
        """The pictures of one split."""
        return SizedExamples([each.split(name) for each in self._sources], name, self)


class SizedExamples:
    """One split of them.

    Args:
        at_sizes: The same split at every size.
        name: Its name.
        source: Sizes and offsets.

    Attributes:
        place: Which of the sizes every example has, (N,) int64.
        offset: Top and left of every window, (N, 2) int64.
    """

    def __init__(self, at_sizes: Sequence[Examples], name: Split, source: SeveralSizes) -> None:
        self.at_sizes, self.source, self.generated = at_sizes, source, all(each.generated for each in at_sizes)
        generator = torch.Generator().manual_seed(mix_seed(split_number(name), len(source.sizes)))
        draws = torch.rand(len(at_sizes[0]), 3, generator=generator)
        self.place = (draws[:, 0] * len(source.sizes)).long()
        self.offset = (draws[:, 1:] * (source.crop + 1)).long()
        inner = [each.fingerprint for each in at_sizes]
        form = {"inner": inner, "image_size": source.image_size, "sizes": list(source.sizes), "crop": source.crop}
        self.fingerprint = fingerprint(__file__, generated.__file__, **form)

    def __len__(self) -> int:
        return len(self.place)

    def read(self, rows: Tensor) -> Batch:
        """Images (B, C, H, W) uint8 with their `size` and `crop` (B, 2) float32, and what else the source says."""
        side, columns = self.source.image_size, {}
        for place, size in enumerate(self.source.sizes):
            mine = (self.place[rows] == place).nonzero().flatten()
            if not len(mine):
                continue
            found = dict(self.at_sizes[place].read(rows[mine]))
            found["image"] = _cut(found["image"], side, side + self.source.crop, self.offset[rows[mine]])
            found["size"] = torch.full((len(mine), 2), float(size))
            for name, values in found.items():
                column = columns.setdefault(name, torch.zeros(len(rows), *values.shape[1:], dtype=values.dtype))
                column[mine] = values
        return {**columns, "crop": self.offset[rows].float()}


def _cut(image: Tensor, side: int, whole: int, offset: Tensor) -> Tensor:
    """Windows (B, C, side, side) of images (B, C, H, W) uint8 brought to `whole` pixels, at offsets (B, 2)."""
    large = functional.interpolate(image.float(), (whole, whole), mode="bilinear", antialias=True)
    large = large.round().clamp(0, 255).to(torch.uint8)
    windows = [
        each[:, top : top + side, left : left + side] for each, (top, left) in zip(large, offset.tolist(), strict=True)
    ]
    return torch.stack(windows)
