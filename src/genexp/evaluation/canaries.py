"""Images with a known fault: a metric that does not see the fault it should see is not to be trusted."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from genexp.contracts import Batch
from genexp.data.picture_tensors import to_tensor
from genexp.sample_kinds import SampleKind, kind_of
from genexp.tensors import to_float, to_uint8


@dataclass(frozen=True)
class RealImages:
    """Real images in memory.

    Args:
        image: (N, C, H, W) in [-1, 1], or points (N, D).
        label: Classes (N,), or None.
    """

    image: Tensor
    label: Tensor | None = None

    @classmethod
    def gathered(cls, batches: object) -> "RealImages":
        """All images of an iterable of batches, with their classes if every batch has them."""
        parts = list(batches)
        labelled = all("label" in part for part in parts)
        image = torch.cat([part["image"].cpu() for part in parts])
        return cls(image, torch.cat([part["label"].cpu() for part in parts]) if labelled else None)

    def batches(self, size: int = 256) -> list[Batch]:
        """The images as the evaluator reads them."""
        rows = torch.arange(len(self.image)).split(size)
        if self.label is None:
            return [{"image": self.image[some], "index": some} for some in rows]
        return [{"image": self.image[some], "index": some, "label": self.label[some]} for some in rows]

    def at(self, rows: Tensor) -> "RealImages":
        """Some of the images, in a given order, repeats allowed."""
        return RealImages(self.image[rows], None if self.label is None else self.label[rows])


Canary = Callable[[RealImages, RealImages], RealImages | None]
"""Held-out and reference images to as many faulty ones; None where the fault cannot be made from them."""


def collapse(held_out: RealImages, reference: RealImages) -> RealImages:
    """One image in twenty, repeated."""
    count = len(held_out.image)
    return held_out.at(torch.arange(count) % max(1, count // 20))


def missing_class(held_out: RealImages, reference: RealImages) -> RealImages | None:
    """The most frequent class replaced by further images of the others."""
    if held_out.label is None or len(held_out.label.unique()) < 2:
        return None
    kept = (held_out.label != held_out.label.mode().values).nonzero().flatten()
    return held_out.at(kept[torch.arange(len(held_out.image)) % len(kept)])


def duplicates(held_out: RealImages, reference: RealImages) -> RealImages:
    """Copies of reference images, drawn at random."""
    order = torch.randperm(len(reference.image), generator=torch.Generator().manual_seed(0))
    return reference.at(order[torch.arange(len(held_out.image)) % len(order)])


def noise(held_out: RealImages, reference: RealImages) -> RealImages:
    """Gaussian noise of standard deviation 0.2 on the range [-1, 1]."""
    grain = torch.randn(held_out.image.shape, generator=torch.Generator().manual_seed(0))
    return RealImages((held_out.image + 0.2 * grain).clamp(-1, 1), held_out.label)


def blur(held_out: RealImages, reference: RealImages) -> RealImages | None:
    """The mean over a window that grows with the image, from 3 x 3 pixels on."""
    if kind_of(held_out.image.shape[1:]) is not SampleKind.IMAGES:
        return None
    side = 2 * max(1, held_out.image.shape[-1] // 32) + 1
    padded = pad(held_out.image, (side // 2,) * 4, mode="replicate")
    return RealImages(avg_pool2d(padded, side, 1), held_out.label)


def jpeg(held_out: RealImages, reference: RealImages) -> RealImages | None:
    """JPEG compression at quality 20."""
    if kind_of(held_out.image.shape[1:]) is not SampleKind.IMAGES:
        return None
    return RealImages(to_float(torch.stack([_compressed(one) for one in to_uint8(held_out.image)])), held_out.label)


def _compressed(image: Tensor) -> Tensor:
    pixels = image[0].numpy() if len(image) == 1 else image.movedim(0, -1).contiguous().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=20)
    return to_tensor(Image.open(file, formats=("JPEG",)))


CANARIES: dict[str, Canary] = {
    "collapse": collapse,
    "missing_class": missing_class,
    "duplicates": duplicates,
    "noise": noise,
    "blur": blur,
    "jpeg": jpeg,
}


def moved(better: str, value: float, real: float, canary: float, slack: float = 0.0) -> str:
    """How a canary's value stands to that of real images: `worse`, `better` or `same`.

    Args:
        better: `lower`, `higher`, or `reference`: then any departure from `value` is worse.
        value: What a value of `reference` kind should be; unused otherwise.
        real: The value of held-out real images.
        canary: The value of the canary.
        slack: A difference that counts as none.
    """
    if better == "reference":
        gain = abs(real - value) - abs(canary - value)
    else:
        gain = real - canary if better == "lower" else canary - real
    return "same" if abs(gain) <= slack else "better" if gain > 0 else "worse"
