"""Which condition of a run is what another has drawn."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from genexp.conditioning.base import ConditionKind
from genexp.conditioning.embedded import Embedded
from genexp.conditioning.pictures import OfPictures
from genexp.inference.embedding_runs import require_embeddings

if TYPE_CHECKING:
    from genexp.inference.run import Run


def follows(runs: Sequence["Run"]) -> bool:
    """Whether runs of different shapes follow each other, so that they can be measured as one."""
    pairs = list(pairwise(runs))
    different = all(_shape(one) != _shape(other) for one, other in pairs)
    return bool(pairs) and different and all(len(_taking(one, other)) == 1 for one, other in pairs)


def require_one_shape(runs: Sequence["Run"]) -> None:
    """Raise ValueError unless runs that are measured one by one against one reference draw samples of one shape."""
    first = runs[0]
    for run in runs[1:]:
        if _shape(run) != _shape(first):
            one, other = (f"{_shape(each)} of {each.folder.path.name}" for each in (first, run))
            raise ValueError(
                f"run must name runs of samples of one shape, or each told what is drawn before, got {one} and {other}"
            )


def linked(before: "Run", after: "Run") -> str:
    """Name of the condition of a run that another draws.

    Raises:
        ValueError: there is none, or more than one.
    """
    found = _taking(before, after)
    if len(found) == 1:
        require_embeddings(before, after, found[0])
        return found[0]
    one, other = (run.folder.record["id"] for run in (before, after))
    told = f"{after.model.conditioning} in {other} after {_shape(before)} of {one}"
    if found:
        raise ValueError(
            f"run must name runs each of which can be told in one way what the one before draws, got {told}"
        )
    raise ValueError(
        f"run must name runs each of which is told what the one before draws, got {told}; shares=[1,1] draws from one "
        "or the other"
    )


def _taking(before: "Run", after: "Run") -> list[str]:
    kinds = after.model.conditioning.kinds
    return [name for name, kind in kinds.items() if _taken(kind) == _shape(before)]


def _taken(kind: ConditionKind) -> tuple[int, ...] | None:
    """Shape of samples that a condition can be, or None."""
    if isinstance(kind, OfPictures):
        return tuple(kind.picture)
    return (kind.dimensions,) if isinstance(kind, Embedded) else None


def _shape(run: "Run") -> tuple[int, ...]:
    return tuple(run.config.data.shape)
