"""Three digits as the red, green and blue of one image: 1,000 modes that can be counted."""

from functools import cached_property

import torch
from torch import Tensor

from genexp.data import generated
from genexp.data.generated import drawn_by_index
from genexp.data.source import Examples, Source, Split, fingerprint, require_counts, require_split

_MODES = 1000


class StackedDigits:
    """Images whose three channels show three independent digits; the label 100 a + 10 b + c is the mode.

    Every 1,000 consecutive images of a split show every mode once. Each digit is a random picture of its class from the
    same split of `digits`, so test images are made of test digits only.

    Reference: the stacked MNIST of Metz et al., "Unrolled Generative Adversarial Networks" (2017).

    Args:
        digits: A grey source with the ten digit classes.
        train_images: Images of the train split.
        val_images: Images of the val split.
        test_images: Images of the test split.

    Raises:
        ValueError: `digits` does not have ten classes.
    """

    classes = tuple(f"{mode:03d}" for mode in range(_MODES))

    def __init__(
        self, digits: Source, train_images: int = 50_000, val_images: int = 2_000, test_images: int = 10_000
    ) -> None:
        count = len(digits.classes or ())
        if count != 10:
            raise ValueError(f"digits must be a source with 10 classes, got {count}")
        self.digits = digits
        require_counts(train_images=train_images, val_images=val_images, test_images=test_images)
        self.counts = {"train": train_images, "val": val_images, "test": test_images}

    def split(self, name: Split) -> "StackedExamples":
        """The images of one split, stacked when they are read."""
        require_split(name)
        return StackedExamples(name, self.counts[name], self.digits.split(name))


class StackedExamples:
    """One split of the stacked digits."""

    generated = True

    def __init__(self, name: Split, count: int, digits: Examples) -> None:
        self.name, self.count, self.digits = name, count, digits
        self.fingerprint = fingerprint(__file__, generated.__file__, split=name, count=count, digits=digits.fingerprint)

    def __len__(self) -> int:
        return self.count

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """Images (B, 3, H, W) uint8 and labels (B,)."""
        image, chosen, label = self._parts
        return {"image": image[chosen[rows]], "label": label[rows]}

    @cached_property
    def _parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """All digits (D, H, W), the three digits of every image (N, 3), and the labels (N,)."""
        single = self.digits.read(torch.arange(len(self.digits)))
        image, label = single["image"], single["label"]
        if image.shape[1] != 1:
            raise ValueError(f"digits must have 1 channel, got {image.shape[1]}")
        counts = label.bincount(minlength=10)
        if (counts == 0).any():
            raise ValueError(f"digits must hold every class, got none of class {int(counts.argmin())}")
        by_class, first = label.argsort(stable=True), counts.cumsum(0) - counts

        def draw(generator: torch.Generator) -> dict[str, Tensor]:
            mode = torch.randperm(_MODES, generator=generator)
            digit = torch.stack([mode // 100, mode // 10 % 10, mode % 10], 1)
            place = (torch.rand(digit.shape, generator=generator) * counts[digit]).long()
            return {"chosen": by_class[first[digit] + place], "mode": mode}

        drawn = drawn_by_index(self.count, _MODES, self.name, draw)
        return image[:, 0], drawn["chosen"], drawn["mode"]
