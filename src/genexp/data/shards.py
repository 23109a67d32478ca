"""Tar shards as WebDataset writes them, indexed by their headers: where every picture lies, and its label.

Nothing is unpacked. A member's name says only which files belong together and what kind they are; sizes are held
against the file; links, devices and everything else that is no regular file are passed over and counted.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from genexp.data.decoding import EXTENSIONS
from genexp.files.json_records import open_regular
from genexp.terminal import plain

BLOCK = 512
MOST_BYTES = 256 * 2**20
"""Bytes that a picture in a shard may have."""
_LABEL, _MOST_LABEL_BYTES, MOST_CLASSES = ".cls", 16, 100_000
_REGULAR, _LONG_NAME, _PAX, _KEPT = (b"0", b"\0"), b"L", b"x", 2**16


class BadShard(ValueError):
    """A shard that cannot be used; names the file and the byte."""

    def __init__(self, path: Path, offset: int, reason: str) -> None:
        super().__init__(plain(f"cannot use shard {path} at byte {offset:,}: {reason}"))


class Member(NamedTuple):
    """A regular file in a shard: its name, and where its bytes lie."""

    name: str
    offset: int
    size: int


@dataclass
class Indexed:
    """The pictures of one shard in order.

    Attributes:
        offsets: Where the bytes of every picture begin.
        sizes: How many they are.
        labels: The class of every picture, or None where it has none.
        passed: What is not read, and how often: links, folders, files of other kinds.
    """

    offsets: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    labels: list[int | None] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)


def indexed(path: Path) -> Indexed:
    """Read the headers of a shard, and the labels in it.

    Files that follow each other and share a name up to its first dot are one sample: a picture and, where there is
    one, its class as digits in a file that ends in .cls. Of several pictures the first is taken.

    Raises:
        BadShard: it is compressed, damaged, or cut off, or a label is no number.
    """
    found = Indexed()
    try:
        opened = os.fdopen(open_regular(path), "rb")
    except (OSError, ValueError) as error:
        raise BadShard(path, 0, str(getattr(error, "strerror", None) or error)) from error
    with opened as file:
        sample, picture, label = None, None, None
        for member in members(file, path, found.passed):
            folder, _, last = member.name.rpartition("/")
            stem, _, ending = last.partition(".")
            if (folder, stem) != sample:
                _add(found, picture, label)
                sample, picture, label = (folder, stem), None, None
            ending = f".{ending}".lower()
            if ending == _LABEL:
                label = _label(file, path, member)
            elif "." + ending.rpartition(".")[2] in EXTENSIONS and picture is None:
                picture = member
            else:
                found.passed[f"files {ending}"] += 1
        _add(found, picture, label)
    return found


def members(file: IO[bytes], path: Path, passed: Counter[str]) -> Iterator[Member]:
    """The regular files of an uncompressed tar in order; what else is in it is counted in `passed`.

    Raises:
        BadShard: a header is none, or the file ends before its end.
    """
    length, offset, name = os.fstat(file.fileno()).st_size, 0, None
    while True:
        header = _bytes(file, offset, BLOCK)
        if len(header) < BLOCK:
            raise BadShard(path, offset, "it is cut off: the file ends where a header or the end mark should be")
        if not header.strip(b"\0"):
            return
        size, begin, kind = _size(header, path, offset), offset + BLOCK, header[156:157]
        if begin + size > length:
            raise BadShard(path, offset, f"it is cut off: {size:,} bytes should follow, {length - begin:,} do")
        if kind in _REGULAR:
            yield Member(name or _name(header), begin, size)
            name = None
        elif kind in (_LONG_NAME, _PAX) and size <= _KEPT:
            content = _bytes(file, begin, size)
            name = _text(content) if kind == _LONG_NAME else _pax_name(content, path, offset)
        else:
            passed[{b"5": "folders", b"1": "links", b"2": "links"}.get(kind, "members that are no files")] += 1
            name = None
        offset = begin + -(-size // BLOCK) * BLOCK


def _add(found: Indexed, picture: Member | None, label: int | None) -> None:
    if picture is not None:
        found.offsets.append(picture.offset)
        found.sizes.append(picture.size)
        found.labels.append(label)


def _bytes(file: IO[bytes], offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _size(header: bytes, path: Path, offset: int) -> int:
    """The size in a header whose checksum is right."""
    packed = path.suffix != ".tar" or header[:2] == b"\x1f\x8b"
    reason = "it is no tar header" + (" (shards must not be compressed)" if packed else "")
    try:
        told = int(header[148:156].strip(b"\0 "), 8)
        size = int.from_bytes(header[125:136]) if header[124] & 0x80 else int(header[124:136].strip(b"\0 ") or b"0", 8)
    except ValueError as error:
        raise BadShard(path, offset, reason) from error
    if told != sum(header[:148]) + sum(header[156:]) + 8 * ord(" ") or size < 0:
        raise BadShard(path, offset, reason)
    return size


def _name(header: bytes) -> str:
    prefix = _text(header[345:500]) if header[257:262] == b"ustar" and header[262:263] == b"\0" else ""
    return f"{prefix}/{_text(header[:100])}" if prefix else _text(header[:100])


def _text(content: bytes) -> str:
    return content.partition(b"\0")[0].decode("utf-8", "replace")


def _pax_name(content: bytes, path: Path, offset: int) -> str | None:
    """The name in a PAX header; another size than that of the header itself is refused."""
    records = dict(record.partition(b" ")[2].partition(b"=")[::2] for record in content.split(b"\n"))
    if b"size" in records or any(key.startswith(b"GNU.sparse") for key in records):
        raise BadShard(path, offset, "files of more than 8 GB and with holes cannot be read")
    return _text(records[b"path"]) if b"path" in records else None


def _label(file: IO[bytes], path: Path, member: Member) -> int:
    text = _bytes(file, member.offset, min(member.size, _MOST_LABEL_BYTES + 1)).strip()
    if member.size > _MOST_LABEL_BYTES or not text.isdigit() or int(text) >= MOST_CLASSES:
        shown = text.decode("utf-8", "replace")
        raise BadShard(path, member.offset, f"a label must be a number below {MOST_CLASSES:,}, got {shown!r}")
    return int(text)
