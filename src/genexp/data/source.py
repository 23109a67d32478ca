"""What a data source is: named splits of examples that are read by index, with a fingerprint and a content digest."""

import hashlib
import inspect
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from torch import Tensor

from genexp.contracts import Batch
from genexp.tensors import Plane
from genexp.terminal import plain

Split = Literal["train", "val", "test"]


class Examples(Protocol):
    """The examples of one split, read by index.

    Attributes:
        fingerprint: Identifies the examples without reading them: parameters, and the names, sizes and modification
            times of files. Two splits with one fingerprint hold the same content.
        generated: The examples are computed from their index: none can be damaged, and there may be very many.
    """

    fingerprint: str
    generated: bool

    def __len__(self) -> int: ...

    def read(self, rows: Tensor) -> Batch:
        """Named columns of the examples `rows` (B,): uint8 images (B, C, H, W) or float points (B, 2), int64 labels.

        Raises:
            BadImage: an image cannot be decoded.
        """
        ...


class Source(Protocol):
    """A dataset: class names (None if unlabelled) and three disjoint splits."""

    classes: Sequence[str] | None

    def split(self, name: Split) -> Examples: ...


@runtime_checkable
class Factored(Protocol):
    """A source whose examples were made from known factors."""

    def factor_levels(self, name: Split) -> dict[str, Tensor]:
        """The level (N,) of every factor, by its name, of all examples of a split in order."""
        ...


@runtime_checkable
class Noted(Protocol):
    """A source that says what it found."""

    def notes(self, num_classes: int | None) -> list[str]:
        """Lines for a person who uses so many classes, or none."""
        ...


@runtime_checkable
class OnPlane(Protocol):
    """A source of points that says what part of the plane is shown."""

    @property
    def plane(self) -> Plane | None: ...


@runtime_checkable
class MayLackLabels(Protocol):
    """A source that may have no classes for a cause that a person can mend."""

    @property
    def why_unlabelled(self) -> str | None: ...


@runtime_checkable
class InShards(Protocol):
    """Examples that lie in shards one after the other."""

    groups: Sequence[int]


@runtime_checkable
class Remarking(Protocol):
    """Examples that have something to say once all of them have been read, such as files of which a part is unused."""

    @property
    def remarks(self) -> Sequence[str]: ...


class BadImage(ValueError):
    """An image that cannot be used; names its path. `skip` says that the source asked to go on without it."""

    def __init__(self, path: str, reason: str, skip: bool = False) -> None:
        super().__init__(plain(f"cannot use image {path}: {reason}"))
        self.path, self.reason, self.skip = path, reason, skip

    def __reduce__(self) -> tuple[type, tuple[str, str, bool]]:
        return BadImage, (self.path, self.reason, self.skip)


@dataclass
class Arrays:
    """Examples held in memory: named tensors with the examples on axis 0."""

    columns: dict[str, Tensor]
    fingerprint: str
    generated: bool = False

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def read(self, rows: Tensor) -> Batch:
        """Index every column."""
        return {name: column[rows] for name, column in self.columns.items()}


def fingerprint(*modules: str, **parameters: object) -> str:
    """Sha256 of the source code of `modules` (their `__file__`) and of plain `parameters`: changed code changes it."""
    code = [hashlib.sha256(Path(module).read_bytes()).hexdigest() for module in modules]
    return hashlib.sha256(json.dumps([code, parameters], sort_keys=True, default=str).encode()).hexdigest()


class ContentDigest:
    """Sha256 over named columns that arrive in consecutive pieces; independent of where the pieces are cut."""

    def __init__(self) -> None:
        self._hashes: dict[str, hashlib._Hash] = {}
        self._forms: dict[str, str] = {}

    def add(self, columns: Batch | dict[str, Tensor]) -> None:
        """Append one piece of every column."""
        for name, piece in columns.items():
            form = f"{name} {piece.dtype} {tuple(piece.shape[1:])}"
            if self._forms.setdefault(name, form) != form:
                raise ValueError(f"all pieces of a column must look alike: {self._forms[name]}, got {form}")
            self._hashes.setdefault(name, hashlib.sha256()).update(piece.contiguous().numpy())

    def hexdigest(self) -> str:
        """The digest of everything added so far."""
        parts = [[self._forms[name], self._hashes[name].hexdigest()] for name in sorted(self._forms)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def require_split(name: str) -> None:
    """Raise ValueError unless `name` is train, val or test."""
    if name not in get_args(Split):
        raise ValueError(f"split must be one of train, val, test, got {name!r}")


def require_counts(**counts: int) -> None:
    """Raise ValueError unless each of the named numbers of examples is at least 1."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")


def stratified_order(labels: Tensor, seed: int) -> Tensor:
    """A fixed random order (N,) of examples in which every prefix holds the classes in nearly equal shares."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.empty(len(labels), dtype=torch.float64)
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        shuffled = members[torch.randperm(len(members), generator=generator)]
        place[shuffled] = (torch.arange(len(members), dtype=torch.float64) + 0.5) / len(members)
    return place.argsort(stable=True)


@contextmanager
def told_of(source: Source) -> Iterator[None]:
    """Within, a refusal that begins with an argument of the source names its whole key, `data.source.<argument>`."""
    try:
        yield
    except ValueError as error:
        word = str(error).partition(" ")[0]
        if type(error) is not ValueError or word not in inspect.signature(type(source)).parameters:
            raise
        raise ValueError(f"data.source.{error}") from error
