"""The forms that conditions come in: classes, words, real numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, prod

import torch
from torch import Tensor

NONE_TOLD = "sampler.guidance.scale=0 tells none, as does a negative that is left out"
"""How images are drawn without a text, which an empty one is not."""


@dataclass(frozen=True)
class Classes:
    """A class (B,) int64 in [0, num_classes); the number after the last stands for none.

    Args:
        num_classes: How many there are.
        left_out: Share of training samples that are not told theirs, in [0, 1).

    Raises:
        ValueError: `num_classes` or `left_out` is out of range.
    """

    num_classes: int
    left_out: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        if self.num_classes < 1:
            raise ValueError(f"num_classes must be at least 1 or null, got {self.num_classes}")
        require_share(self.left_out)

    def require(self, rows: Tensor) -> None:
        """Raise ValueError unless `rows` are integers (B,)."""
        require_form(rows, (), integers=True)

    def nothing(self, num: int, device: torch.device | str) -> Tensor:
        """The class after the last, (num,)."""
        return torch.full((num,), self.num_classes, device=device)

    def read(self, typed: object) -> Tensor:
        """A class by its number."""
        if isinstance(typed, bool) or not isinstance(typed, int) or not 0 <= typed < self.num_classes:
            raise ValueError(f"must lie in [0, {self.num_classes}), got {typed}")
        return torch.tensor([typed])


@dataclass(frozen=True)
class Words:
    """A text (B, length) int64 of the words of a short list, numbered from 1 in its order and filled up with 0.

    A text without words stands for none.

    Args:
        words: The list, in lower case.
        length: Words of the longest text.
        left_out: Share of training samples that are not told theirs, in [0, 1).
        added: New words, which a trained model is to learn: they stand at the end of the list, and each has a known one
            like which it begins.

    Raises:
        ValueError: `words` is empty or has one twice; `length` or `left_out` is out of range; or what is added is no
            new word or begins like an unknown one.
    """

    words: Sequence[str]
    length: int
    left_out: float = field(default=0.0, compare=False)
    added: Mapping[str, str] | None = field(default=None, compare=False)  # their names are in `words`

    def __post_init__(self) -> None:
        known, added = tuple(self.words), dict(self.added or {})
        wrong = [
            new for new, like in added.items() if new in known or like not in known or new.lower().split() != [new]
        ]
        if wrong:
            raise ValueError(
                f"added must be new words in lower case, each with one of the list like which it begins, got "
                f"{wrong[0]!r} like {added[wrong[0]]!r}"
            )
        object.__setattr__(self, "words", (*known, *added))
        object.__setattr__(self, "added", added)
        if not self.words or len(set(self.words)) < len(self.words):
            raise ValueError(f"words must be a list of different words, got {list(self.words)}")
        if self.length < 1:
            raise ValueError(f"length must be at least 1 word, got {self.length}")
        require_share(self.left_out)

    def require(self, rows: Tensor) -> None:
        """Raise ValueError unless `rows` are integers (B, length)."""
        require_form(rows, (self.length,), integers=True)

    def nothing(self, num: int, device: torch.device | str) -> Tensor:
        """Texts without words (num, length)."""
        return torch.zeros(num, self.length, dtype=torch.int64, device=device)

    def read(self, typed: object) -> Tensor:
        """The numbers (1, length) of a text's words, or (N, length) of a list of texts."""
        texts = list(typed) if isinstance(typed, Sequence) and not isinstance(typed, str) else [typed]
        if not texts:
            raise ValueError("must be a text or a list of texts, got an empty list")
        return torch.stack([self._numbers(str(text)) for text in texts])

    @property
    def numbering(self) -> tuple[tuple[str, ...], int]:
        """What numbers of words mean, and how many there are of a text."""
        return tuple(self.words), self.length

    @property
    def alike(self) -> list[int]:
        """The numbers of the words like which the added ones begin."""
        return [self.words.index(like) + 1 for like in (self.added or {}).values()]

    def reads(self, other: object) -> bool:
        """Whether the numbers of another's texts mean here what they mean there, but for words that only one has."""
        if not isinstance(other, Words) or self.length != other.length:
            return False
        return all(one == word for one, word in zip(self.words, other.words, strict=False))

    def said(self, row: Tensor) -> str:
        """The text of one row (length,) of numbers."""
        return " ".join(self.words[number - 1] for number in row.tolist() if number)

    def _numbers(self, text: str) -> Tensor:
        found = text.lower().split()
        if not found:
            raise ValueError(f"must have at least one word, got an empty text; {NONE_TOLD}")
        unknown = [word for word in found if word not in self.words]
        if unknown:
            raise ValueError(f"must consist of the words {', '.join(self.words)}, got {unknown[0]!r}")
        if len(found) > self.length:
            raise ValueError(f"must have at most {self.length} words, got {len(found)}")
        numbers = [self.words.index(word) + 1 for word in found]
        return torch.tensor([*numbers, *[0] * (self.length - len(numbers))])


@dataclass(frozen=True)
class Values:
    """Real numbers of any shape, such as a small picture; zeros stand for none.

    Args:
        shape: Shape of one row.
        left_out: Share of training samples that are not told theirs, in [0, 1).

    Raises:
        ValueError: `shape` or `left_out` is out of range.
    """

    shape: Sequence[int]
    left_out: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if any(size < 1 for size in self.shape):
            raise ValueError(f"shape must hold sizes of at least 1, got {list(self.shape)}")
        require_share(self.left_out)

    def require(self, rows: Tensor) -> None:
        """Raise ValueError unless `rows` are real numbers (B, *shape)."""
        require_form(rows, tuple(self.shape), integers=False)

    def nothing(self, num: int, device: torch.device | str) -> Tensor:
        """Zeros (num, *shape)."""
        return torch.zeros(num, *self.shape, device=device)

    def read(self, typed: object) -> Tensor:
        """A number, or a list of as many as there are values, row by row."""
        numbers = list(typed) if isinstance(typed, Sequence) and not isinstance(typed, str) else [typed]
        real = all(isinstance(each, int | float) and not isinstance(each, bool) and isfinite(each) for each in numbers)
        if len(numbers) != prod(self.shape) or not real:
            raise ValueError(f"must be {prod(self.shape)} finite numbers, got {typed}")
        return torch.tensor(numbers, dtype=torch.float32).view(1, *self.shape)


def require_share(left_out: float) -> None:
    """Raise ValueError unless a share lies in [0, 1)."""
    if not 0 <= left_out < 1:
        raise ValueError(f"left_out must lie in [0, 1), got {left_out}")


def require_form(rows: Tensor, shape: tuple[int, ...], integers: bool) -> None:
    """Raise ValueError unless rows (B, *shape) have the shape, and are integers or are not."""
    if tuple(rows.shape[1:]) != shape or rows.is_floating_point() == integers:
        what = "integers" if integers else "real numbers"
        raise ValueError(f"must be {what} of shape {list(shape)} a sample, got {rows.dtype} {list(rows.shape[1:])}")
