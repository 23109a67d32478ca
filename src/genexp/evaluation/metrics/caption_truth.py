"""Whether generated images show what their captions say, by a reader of attributes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from genexp.contracts import FeatureExtractor
from genexp.evaluation.extractors.readers import reader_of
from genexp.evaluation.jackknife import draws_of_mean
from genexp.evaluation.metrics.base import SHARE, Better, OfSets, Value
from genexp.evaluation.summaries import CaptionedStore

SEEN, HELD_OUT = "caption_truth_seen", "caption_truth_held_out"
_CHUNK = 1024


@runtime_checkable
class Reader(Protocol):
    """A `FeatureExtractor` whose features say what an image shows: `attributes` names it, with the number of levels."""

    attributes: Mapping[str, int]

    def read(self, features: Tensor) -> dict[str, Tensor]:
        """The level (B,) of every attribute that images with features (B, D) show."""
        ...


@runtime_checkable
class Described(Protocol):
    """Data whose captions name levels of attributes, some combinations of which training may never show."""

    def said(self, caption: Tensor) -> dict[str, Tensor]:
        """The level (N,) of every attribute that captions (N, L) name, -1 where they say nothing of it."""
        ...

    def seen(self, said: dict[str, Tensor]) -> Tensor | None:
        """Whether training shows (N,) what is said; None where no combination is held out.

        It may be 1 or 0, and -1 where nothing is held out of what is like it, which counts neither way.
        """
        ...


@runtime_checkable
class Judging(Protocol):
    """Data of which not every attribute alone can be held against what is shown, as of two shapes in any order."""

    def judged(self, said: dict[str, Tensor], shown: dict[str, Tensor]) -> dict[str, Tensor]:
        """Whether what is said (N,) is shown, by the name of a value: 1, 0, or -1 where nothing is said of it."""
        ...


@dataclass(frozen=True)
class Asked:
    """Shares of real images by the names of the values, and the reader."""

    reader: Reader
    real: Mapping[str, float]


class CaptionTruth(OfSets):
    """The share of generated images that show all that their captions say, as a reader reads them.

    `caption_truth_<attribute>` is the share over those captions that name the attribute; what a caption leaves out is
    not counted. `caption_truth_seen` and `caption_truth_held_out` are the truth of captions that are true of some
    training image and of none; without held-out combinations both are left out. The detail `real` is what real images
    of the reference score with their own captions, `captions` how many count. Captions without words do not count.

    Higher is better. Traps: a reader always reads something, and a picture of noise shows one of all combinations by
    chance; one clear picture for every caption scores 1, so variety is not seen.

    Args:
        extractor: What reads the images; None for the reader of the data.
        source: The data, which know what their captions say.

    Raises:
        ValueError: the extractor reads no attributes, or the data have no captions of attributes.
    """

    values: ClassVar[dict[str, Better]] = {
        "caption_truth": "higher",
        **{f"caption_truth_{name}": "higher" for name in ("count", "relation")},
        **{f"caption_truth_{name}": "higher" for name in ("shape", "colour", "size", "position", "background")},
        SEEN: "higher",
        HELD_OUT: "higher",
    }
    reacts: ClassVar[dict[str, str]] = {}  # digits have no captions
    statistic = CaptionedStore

    def __init__(self, extractor: FeatureExtractor | None, source: object) -> None:
        if extractor is None and isinstance(source, Described):
            extractor = reader_of(source)
        if extractor is not None and not isinstance(extractor, Reader):
            raise ValueError(f"extractor must read attributes, as shape_reader does, got {extractor.name}")
        if not isinstance(source, Described):
            raise ValueError(f"source must say what its captions mean, as Shapes does, got {type(source).__name__}")
        self.extractor, self._source = extractor, source

    def prepare(self, reference: CaptionedStore, extractor: FeatureExtractor) -> Asked:
        """Read the real images.

        Raises:
            ValueError: captions are of other attributes than the reader knows, or of more levels.
        """
        reader = self.extractor
        said = self._source.said(reference.caption[:1])
        if set(said) != set(reader.attributes):
            raise ValueError(f"extractor must read {', '.join(said)}, got one of {', '.join(reader.attributes)}")
        truths = self._truths(reference, reader)
        return Asked(reader, {name: float(true.double().mean()) for name, true, _ in truths})

    def compute(self, generated: CaptionedStore, prepared: Asked) -> dict[str, Value]:
        """The shares.

        Raises:
            ValueError: no caption says anything.
        """
        found = {}
        for name, true, group in self._truths(generated, prepared.reader):
            details = {"captions": float(len(true))}
            details |= {"real": prepared.real[name]} if name in prepared.real else {}
            found[name] = Value(float(true.double().mean()), draws_of_mean(true.double(), group), details, SHARE)
        return found

    def _truths(self, store: CaptionedStore, reader: Reader) -> Iterator[tuple[str, Tensor, Tensor]]:
        """The name of every value with the truth (M,) of the captions that it counts, and their groups (M,)."""
        if not store.count:
            raise ValueError("caption_truth needs at least 1 image, got 0")
        said, shown = self._source.said(store.caption), self._read(store, reader)
        judged = self._source.judged(said, shown) if isinstance(self._source, Judging) else each_judged(said, shown)
        told = torch.stack([each >= 0 for each in judged.values()], 1)
        right = torch.stack([each == 1 for each in judged.values()], 1)
        spoken, true = told.any(1), (right | ~told).all(1)
        if not spoken.any():
            raise ValueError(f"captions must say something of at least 1 image, got {store.count} without words")
        yield "caption_truth", true[spoken], store.group[spoken]
        for place, name in enumerate(judged):
            if told[:, place].any():
                named = told[:, place]
                yield f"caption_truth_{name}", right[named, place], store.group[named]
        seen = self._source.seen(said)
        parts = {} if seen is None else {SEEN: (seen == 1) & spoken, HELD_OUT: (seen == 0) & spoken}
        for name, chosen in parts.items():
            if chosen.any():
                yield name, true[chosen], store.group[chosen]

    def _read(self, store: CaptionedStore, reader: Reader) -> dict[str, Tensor]:
        parts = [reader.read(chunk) for chunk in store.features.split(_CHUNK)]
        return {name: torch.cat([part[name].cpu() for part in parts]) for name in reader.attributes}


def each_judged(said: Mapping[str, Tensor], shown: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whether every attribute alone (N,) is as is said: 1, 0, or -1 where nothing is said of it."""
    return {name: torch.where(level < 0, -1, (level == shown[name]).long()) for name, level in said.items()}
