"""Some classes of a labelled source alone, and labels checked against what a configuration says of them."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.contracts import Batch
from genexp.data.picture_files import few
from genexp.data.source import Arrays, ContentDigest, Examples, MayLackLabels, Source
from genexp.data.store import CHUNK, Stored
from genexp.data.stream import EvalLoader


@dataclass
class Relabelled:
    """Some rows of other examples, whose labels have other numbers.

    Args:
        examples: All of them.
        rows: Which ones.
        number: The new label (K,) of every old one.
        fingerprint: Of what this makes of them.
    """

    examples: Examples
    rows: Tensor
    number: Tensor
    fingerprint: str

    def __post_init__(self) -> None:
        self.generated = self.examples.generated

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: Tensor) -> Batch:
        """Columns of examples, as those read them."""
        found = self.examples.read(self.rows[rows])
        return {**found, "label": self.number[found["label"]]}


def counted(found: Stored, batch_size: int, workers: int) -> dict[int, int]:
    """How many examples of a split have each label; all are read once where nobody has counted them."""
    if found.labels is None:
        loader = EvalLoader(found.examples, batch_size, workers=workers)
        found.labels = dict(Counter(label for batch in loader for label in batch["label"].tolist()))
    return found.labels


def of_classes(found: Stored, chosen: Sequence[str], source: Source, split: str) -> Stored:
    """The examples of some classes alone; their labels are 0, 1, ... in the order of `chosen`.

    Examples that are not in memory are read once to find their labels.

    Args:
        found: A split of the source.
        chosen: Names of classes.
        source: Knows all names.
        split: Name of the split.

    Raises:
        ValueError: the split has no example of a class.
    """
    places = [list(source.classes or ()).index(name) for name in chosen]
    number = torch.full((len(source.classes or ()),), -1)
    number[places] = torch.arange(len(places))
    labels = _labels(found.examples)
    rows = torch.isin(labels, torch.tensor(places)).nonzero().flatten()
    counts = Counter(number[labels[rows]].tolist())
    if empty := [name for place, name in enumerate(chosen) if not counts[place]]:
        raise ValueError(f"classes must each have an example in {split}, got none of {', '.join(empty)}")
    about = hashlib.sha256(f"{found.examples.fingerprint} {list(chosen)}".encode()).hexdigest()
    some: Examples = Relabelled(found.examples, rows, number, about)
    digest = hashlib.sha256(f"{found.digest} {list(chosen)}".encode()).hexdigest()
    if isinstance(found.examples, Arrays):
        columns = some.read(torch.arange(len(some)))
        some, content = Arrays(dict(columns), about, some.generated), ContentDigest()
        content.add(columns)
        digest = content.hexdigest()
    return Stored(some, digest, dict(sorted(counts.items())), found.skipped)


def _labels(examples: Examples) -> Tensor:
    if isinstance(examples, Arrays):
        return examples.columns["label"]
    return torch.cat([examples.read(rows)["label"] for rows in torch.arange(len(examples)).split(CHUNK)])


def require_classes(source: Source, chosen: Sequence[str] | None, num_classes: int | None, labelled: bool) -> None:
    """Check what is said of a source's classes.

    Args:
        source: The source.
        chosen: Names of the classes that are used; None for all.
        num_classes: Their number; None where labels are not used.
        labelled: Whether its examples have labels.

    Raises:
        ValueError: the source has no labels, or other classes, or another number of them.
    """
    if num_classes is None and chosen is None:
        return
    known = source.classes
    if known is None or not labelled:
        cause = source.why_unlabelled if isinstance(source, MayLackLabels) else None
        told = f" ({cause})" if cause else ""
        key, given = ("num_classes", num_classes) if chosen is None else ("classes", list(chosen))
        raise ValueError(f"{key} must be null for a source without labels{told}, got {given}")
    for name in chosen or ():
        if name not in known:
            raise ValueError(f"classes must be names of the source's classes ({few(known)}), got {name!r}")
    if chosen is not None and (not chosen or len(set(chosen)) < len(chosen)):
        raise ValueError(f"classes must name each class once, and one at least, got {list(chosen)}")
    used = known if chosen is None else chosen
    if num_classes is not None and len(used) != num_classes:
        whose = "of the source" if chosen is None else "in classes"
        raise ValueError(f"num_classes must be {len(used)}, the number of classes {whose}, got {num_classes}")
