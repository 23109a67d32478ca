"""Reading a split once: decoded into memory with a verified copy on disk, or surveyed for streaming."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from annotated_types import Len
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from typing_extensions import TypedDict

from genexp.contracts import Batch
from genexp.data.source import Arrays, BadImage, ContentDigest, Examples, Remarking
from genexp.files.json_records import Count, DamagedFile, is_there, read_json
from genexp.files.partial import remove_abandoned
from genexp.files.trees import Tree
from genexp.files.writing import replace_file
from genexp.terminal import plain

CHUNK = 256  # examples decoded at once


@dataclass
class Stored:
    """A split that is known to be readable.

    Args:
        examples: The usable examples.
        digest: Sha256 of their content; of the fingerprint for generated examples that are not kept in memory.
        labels: How many examples have each label, by label; empty without labels; None if nobody counted.
        skipped: Paths of the images left out.
    """

    examples: Examples
    digest: str
    labels: dict[int, int] | None
    skipped: list[str]


def load_in_memory(examples: Examples, cache_dir: str | Path | None) -> Stored:
    """Decode every example into memory, or read the decoded copy that `cache_dir` holds.

    The copy is named by the fingerprint, written atomically, and believed only if its content still has the digest
    that was stored with it; a damaged copy is replaced with a notice.

    Raises:
        BadImage: an image is unusable and its source does not skip such images.
    """
    path = None if cache_dir is None else Path(cache_dir) / f"{examples.fingerprint[:32]}.safetensors"
    if path is not None and path.exists():
        try:
            return _read_copy(path, examples)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            print(f"the decoded copy {path} is damaged ({error}); decoding again")
    digest, pieces, skipped = ContentDigest(), [], []
    for piece, _ in _readable(examples, skipped):
        digest.add(piece)
        pieces.append(piece)
    _require_some(pieces, skipped)
    columns, remarks = {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}, _remarks(examples)
    if path is not None:
        _write_copy(path, columns, digest.hexdigest(), skipped, remarks)
    return _stored(Arrays(columns, examples.fingerprint, examples.generated), digest.hexdigest(), skipped, remarks)


def survey(examples: Examples, cache_dir: str | Path | None) -> Stored:
    """Read every example once without keeping it, so that streaming meets no damaged image; the result is kept on disk.

    Generated examples are taken at their word.

    Raises:
        BadImage: an image is unusable and its source does not skip such images.
    """
    if examples.generated:
        return Stored(examples, examples.fingerprint, None, [])
    path = None if cache_dir is None else Path(cache_dir) / f"{examples.fingerprint[:32]}.json"
    found = _read_survey(path) if path is not None and is_there(path) else None
    if found is None:
        found = _survey(examples)
        if path is not None:
            _keep(path, lambda partial: partial.write_text(json.dumps(found)))
    _announce(found["skipped"], len(examples), found["remarks"])
    kept = Subset(examples, torch.tensor(found["rows"])) if found["skipped"] else examples
    return Stored(kept, found["digest"], dict(found["labels"]), found["skipped"])


def _survey(examples: Examples) -> Tree:
    digest, rows, labels, skipped = ContentDigest(), [], Counter(), []
    for piece, piece_rows in _readable(examples, skipped):
        digest.add(piece)
        rows += piece_rows.tolist()
        labels.update(piece["label"].tolist() if "label" in piece else [])
    _require_some(rows, skipped)
    kept = rows if skipped else []
    about = {"digest": digest.hexdigest(), "rows": kept, "labels": sorted(labels.items())}
    return {**about, "skipped": skipped, "remarks": _remarks(examples)}


class Survey(TypedDict):
    """What is kept of a split that is streamed."""

    digest: str
    rows: list[Count]
    labels: list[Annotated[list[Count], Len(2, 2)]]
    skipped: list[str]
    remarks: list[str]


def _read_survey(path: Path) -> Tree | None:
    try:
        return read_json(path, Survey)
    except DamagedFile as error:
        print(f"the survey is damaged, all images are read again: {error}")
        return None


@dataclass
class Subset:
    """Some rows of other examples."""

    examples: Examples
    rows: Tensor

    def __post_init__(self) -> None:
        self.fingerprint, self.generated = self.examples.fingerprint, self.examples.generated

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: Tensor) -> Batch:
        return self.examples.read(self.rows[rows])


def _readable(examples: Examples, skipped: list[str]) -> Iterator[tuple[Batch, Tensor]]:
    """Pieces that could be read, with their rows; paths of the others are appended to `skipped`."""
    from tqdm import tqdm

    chunks = torch.arange(len(examples)).split(CHUNK)
    for chunk in tqdm(chunks, desc="reading images", unit_scale=CHUNK, unit="image", delay=2):
        try:
            yield examples.read(chunk), chunk
        except BadImage:
            yield from _one_by_one(examples, chunk, skipped)


def _one_by_one(examples: Examples, chunk: Tensor, skipped: list[str]) -> Iterator[tuple[Batch, Tensor]]:
    for row in chunk.split(1):
        try:
            piece = examples.read(row)
        except BadImage as bad:
            if not bad.skip:
                raise
            skipped.append(plain(f"{bad.path}: {bad.reason}"))
        else:
            yield piece, row


def _require_some(found: list, skipped: list[str]) -> None:
    if not found:
        detail = f"; all {len(skipped)} images are unusable, first {skipped[0]}" if skipped else ""
        raise ValueError(f"a split must hold at least 1 usable example, got 0{detail}")


def _remarks(examples: Examples) -> list[str]:
    return list(examples.remarks) if isinstance(examples, Remarking) else []


def _stored(arrays: Arrays, digest: str, skipped: list[str], remarks: list[str]) -> Stored:
    _announce(skipped, len(arrays) + len(skipped), remarks)
    labels = Counter(arrays.columns["label"].tolist() if "label" in arrays.columns else [])
    return Stored(arrays, digest, dict(sorted(labels.items())), skipped)


def _announce(skipped: list[str], count: int, remarks: list[str]) -> None:
    for remark in remarks:
        print(remark)
    if skipped:
        shown = "\n".join(f"  {line}" for line in skipped[:10]) + ("\n  ..." if len(skipped) > 10 else "")
        print(f"skipped {len(skipped)} of {count} images that cannot be used:\n{shown}")


def _read_copy(path: Path, examples: Examples) -> Stored:
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
        columns = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    digest = ContentDigest()
    digest.add(columns)
    if digest.hexdigest() != about["digest"]:
        raise ValueError("its content does not match its digest")
    arrays = Arrays(columns, examples.fingerprint, examples.generated)
    return _stored(arrays, about["digest"], json.loads(about["skipped"]), json.loads(about["remarks"]))


def _write_copy(path: Path, columns: dict[str, Tensor], digest: str, skipped: list[str], remarks: list[str]) -> None:
    about = {"digest": digest, "skipped": json.dumps(skipped), "remarks": json.dumps(remarks)}
    _keep(path, lambda partial: save_file(columns, partial, metadata=about))


def _keep(path: Path, write: Callable[[Path], object]) -> None:
    """Keep what was read; where it cannot be kept it is read anew the next time, so that is said and ends nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, write, durable=False)
        remove_abandoned(path)
    except (OSError, SafetensorError) as error:
        print(f"what was read cannot be kept in {path} ({error}): the next command reads all images again")
