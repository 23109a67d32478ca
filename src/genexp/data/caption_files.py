"""Captions of pictures from the files beside them: one text a picture, or one list for a folder.

Nothing that a list names is opened: its names are only looked for among the pictures that were found.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from genexp.data.layout import shown
from genexp.data.listing import ListedPicture
from genexp.data.word_lists import words_of
from genexp.files.json_records import read_text, reason_of
from genexp.terminal import counted, plain

LISTS = "captions.jsonl", "captions.csv", "metadata.jsonl", "metadata.csv"
"""Names of lists; those of the datasets library are called metadata."""

FILES, TEXTS = ("file_name", "file"), ("text", "caption")
"""Names of the two columns of a list."""

MOST_LETTERS, MOST_TEXT, MOST_LIST = 2_000, 16_384, 256 * 2**20
"""Letters of a caption, bytes of the text beside a picture and of a list that are read at most."""

_BYTE_ORDER_MARK = "\ufeff"
"""Begins texts that spreadsheets and editors of Windows write."""


def captions_of(folder: Path, pictures: Sequence[ListedPicture]) -> dict[str, str]:
    """The captions of pictures below a folder, by their relative paths; those without are left out.

    A list in the folder goes before texts beside the pictures, `bird.txt` of `bird.png`.

    Args:
        folder: The folder of a split.
        pictures: The pictures found there.

    Raises:
        ValueError: a file cannot be read or is too large, there are two lists, or a picture has two captions.
    """
    lists = [folder / name for name in LISTS if (folder / name).exists()]
    if len(lists) > 1:
        names = " and ".join(path.name for path in lists)
        raise ValueError(f"captions must stand in one list, got {names} in {shown(folder)}")
    if lists:
        known = {picture.relative for picture in pictures}
        return {name: text for name, text in _listed(lists[0]).items() if name in known}
    found = {}
    for picture in pictures:
        path = Path(picture.file).with_suffix(".txt")
        if path.exists():
            found[picture.relative] = _checked(_text_of(path, MOST_TEXT).strip(), path)
    return found


def texts_unread(folder: Path, pictures: Sequence[ListedPicture]) -> list[Path]:
    """Texts beside pictures that count for nothing, since a list in the folder goes before them."""
    listed = any((folder / name).exists() for name in LISTS)
    texts = [Path(picture.file).with_suffix(".txt") for picture in pictures] if listed else []
    return [path for path in texts if path.exists()]


def require_all(captions: Mapping[str, str], pictures: Sequence[ListedPicture], folder: Path) -> None:
    """Raise ValueError where pictures have no caption, or one without words, naming the first ones."""
    bare = [picture.relative for picture in pictures if not words_of(captions.get(picture.relative, ""))]
    if bare:
        named = ", ".join(map(plain, bare[:3])) + (", ..." if len(bare) > 3 else "")
        raise ValueError(
            f"captions must be there for every picture, got none for {counted(len(bare), 'picture')} of "
            f"{len(pictures):,} in {shown(folder)}: {named}; data.source.uncaptioned=empty shows them without words"
        )


def _listed(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, row in enumerate(_rows(path), 1):
        name, text = (next((row[key] for key in keys if row.get(key) is not None), None) for keys in (FILES, TEXTS))
        if not isinstance(name, str) or not isinstance(text, str):
            keys = f"{' or '.join(FILES)} and {' or '.join(TEXTS)}"
            raise ValueError(f"captions must have {keys} in every row, row {number} of {shown(path)} has not")
        name = str(PurePosixPath(name.replace("\\", "/")))
        if name in found:
            raise ValueError(f"captions must name a picture once, got {plain(name)} twice in {shown(path)}")
        found[name] = _checked(text.strip(), path)
    return found


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    text = _text_of(path, MOST_LIST)
    try:
        if path.suffix == ".csv":
            yield from csv.DictReader(io.StringIO(text))
            return
        for line in filter(str.strip, text.split("\n")):  # other signs that end lines may stand in a caption
            row = json.loads(line)
            yield row if isinstance(row, dict) else {}
    except (ValueError, csv.Error, RecursionError) as error:
        raise ValueError(f"captions cannot be read from {shown(path)}: {reason_of(error)}") from error


def _text_of(path: Path, most: int) -> str:
    try:
        return read_text(path, most).removeprefix(_BYTE_ORDER_MARK)
    except (OSError, ValueError) as error:
        raise ValueError(f"captions cannot be read from {shown(path)}: {reason_of(error)}") from error


def _checked(text: str, path: Path) -> str:
    if len(text) > MOST_LETTERS:
        raise ValueError(f"captions must have at most {MOST_LETTERS:,} letters, got {len(text):,} in {shown(path)}")
    return text
