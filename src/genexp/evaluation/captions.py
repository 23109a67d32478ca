"""What images are said to show: a caption for every sample."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from genexp.data.source import Source


class Captions(Protocol):
    """Captions of samples by their indices and classes."""

    def of(self, index: Tensor, label: Tensor) -> list[str]:
        """Captions of samples with indices (N,) and classes (N,), -1 where there is none."""
        ...


class ClassCaptions:
    """The name of a sample's class in a sentence.

    Args:
        source: The data, for the names of its classes.
        template: The sentence, with {} for the name.

    Raises:
        ValueError: the data have no classes, or the template has no place for their name.
    """

    def __init__(self, source: Source, template: str = "a photo of a {}") -> None:
        if not source.classes:
            raise ValueError("captions from class names need data with classes, got none")
        if "{}" not in template:
            raise ValueError(f"template must have {{}} in the place of the class, got {template!r}")
        self.template = template
        self._names: Sequence[str] = source.classes

    def of(self, index: Tensor, label: Tensor) -> list[str]:
        """The sentences of classes (N,).

        Raises:
            ValueError: a class is missing or unknown.
        """
        outside = [int(k) for k in label.unique() if not 0 <= k < len(self._names)]
        if outside:
            raise ValueError(f"captions from class names need labels in [0, {len(self._names)}), got {outside[0]}")
        return [self.template.format(self._names[k]) for k in label.tolist()]


@runtime_checkable
class Captioned(Protocol):
    """Data with a caption for every picture."""

    def caption(self, index: int, split: str) -> str: ...


class IndexCaptions:
    """The data's own caption of the picture with a sample's index, for models that were given that caption.

    Args:
        source: The data, with a method `caption(index, split)`.
        split: The split that real images and captions come from.

    Raises:
        ValueError: the data have no captions.
    """

    def __init__(self, source: Captioned, split: str = "train") -> None:
        if not isinstance(source, Captioned):
            raise ValueError(f"source must have captions, got {type(source).__name__}")
        self.split = split
        self._source = source

    def of(self, index: Tensor, label: Tensor) -> list[str]:
        """The captions of the pictures with indices (N,)."""
        return [self._source.caption(i, self.split) for i in index.tolist()]
