"""`claims.json` of an ablation: what it holds, and its one reader."""

from pathlib import Path
from typing import NotRequired

from typing_extensions import TypedDict

from genexp.files.json_records import Count, read_json
from genexp.files.trees import Tree

CLAIMS = "claims.json"


class StoredPaper(TypedDict):
    """Whose table it is."""

    authors: str
    year: int
    table: str


class StoredClaim(TypedDict):
    """A claim with its verdict; numbers that are none, or infinite, are texts."""

    claim: str
    verdict: str
    left: float | str | None
    right: float | str | None
    reason: str
    p: float | None
    holm: float | None
    ours: NotRequired[bool]


class StoredClaims(TypedDict):
    """All that a report says of an ablation's claims."""

    title: str
    paper: StoredPaper | None
    scale: str
    seeds: list[int]
    counts: dict[str, Count]
    claims: list[StoredClaim]


def read_claims(path: Path) -> Tree:
    """The content of a `claims.json`.

    Raises:
        DamagedFile: it cannot be read, or is none that a report writes.
    """
    return read_json(path, StoredClaims)
