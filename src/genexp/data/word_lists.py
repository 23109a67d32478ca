"""Lists of words made of training captions, and captions as numbers of their words."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Self

from torch import Tensor

from genexp.conditioning.kinds import Words

UNKNOWN = "<unknown>"
"""Stands in the list for every word that is not in it."""


class WordList(Words):
    """Captions by a list of words: lower-case letters and digits, of which signs between words are no part.

    Args:
        words: The list; None where the data make it of their training captions, when a run is settled.
        most: Words that a list made so has at most, the most frequent ones.
        length: Words of the longest caption.
        unknown: What becomes of words outside the list: `error` refuses the caption, `word` reads one as unknown.
        left_out: Share of training samples that are not told theirs, in [0, 1).
        added: New words beside the list, see `Words`.

    Raises:
        ValueError: an argument is out of range, or words are added to no list.
    """

    most: int
    unknown: str
    settled: bool

    def __init__(
        self,
        words: Sequence[str] | None = None,
        most: int = 1000,
        length: int = 32,
        unknown: Literal["error", "word"] = "error",
        left_out: float = 0.0,
        added: Mapping[str, str] | None = None,
    ) -> None:
        if most < 1:
            raise ValueError(f"most must be at least 1 word, got {most}")
        if unknown not in ("error", "word"):
            raise ValueError(f"unknown must be error or word, got {unknown!r}")
        if words is None and added:
            raise ValueError(f"words must be those of the run that learns {', '.join(added)}, got null")
        super().__init__([UNKNOWN] if words is None else words, length, left_out, added)
        for name, value in (("most", most), ("unknown", unknown), ("settled", words is not None)):
            object.__setattr__(self, name, value)

    def made_of(self, captions: Iterable[str]) -> Self:
        """The same with the list of the most frequent words of captions, alphabetical words of one frequency first.

        Raises:
            ValueError: the captions hold more words than the list may, and unknown ones are refused.
        """
        counts = Counter(word for caption in captions for word in words_of(caption))
        room = self.most - (self.unknown == "word")
        if self.unknown == "error" and len(counts) > room:
            raise ValueError(
                f"captions.most must be at least the {len(counts):,} different words of the training captions, got "
                f"{self.most:,}; with captions.unknown=word rarer ones are read as unknown"
            )
        kept = sorted(counts, key=lambda word: (-counts[word], word))[:room]
        words = sorted(kept) + ([UNKNOWN] if self.unknown == "word" else [])
        return type(self)(words, self.most, self.length, self.unknown, self.left_out)

    def _numbers(self, text: str) -> Tensor:
        """The numbers (length,) of a caption's words.

        Raises:
            ValueError: it has no word, more than `length`, or unknown ones, all of which are named.
        """
        found, known = words_of(text), set(self.words)
        strange = sorted({word for word in found if word not in known})
        if strange and self.unknown == "error":
            named = ", ".join(map(repr, strange[:10]))
            raise ValueError(f"must consist of words of the training captions, got {named}")
        return super()._numbers(" ".join(word if word in known else UNKNOWN for word in found))

    def strange(self, captions: Iterable[str]) -> Counter[str]:
        """How often captions hold words that are not in the list, by word."""
        known = set(self.words)
        return Counter(word for caption in captions for word in words_of(caption) if word not in known)


def words_of(caption: str) -> list[str]:
    """The words of a caption in lower case and composed letters, without the signs between them.

    Marks that combine with a letter, such as the vowels of Devanagari, belong to it.
    """
    text = unicodedata.normalize("NFC", caption.lower())
    marks = "".join({each for each in text if unicodedata.category(each).startswith("M")})
    letters = rf"(?:[^\W_][{re.escape(marks)}]*)+" if marks else r"[^\W_]+"
    return re.findall(rf"{letters}(?:['’-]{letters})*", text)
