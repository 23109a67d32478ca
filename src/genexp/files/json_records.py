"""The one reader of files that genexp wrote and that anything may have happened to since. Imports no torch.

What a file holds is stated as a type (`TypedDict`, `list[str]`, ...); a file that holds anything else is told in one
line with its name, the key and the value.
"""

import functools
import json
import os
import stat
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval

from genexp.files.trees import Tree

MOST_BYTES = 256 * 1024 * 1024
Count = Annotated[int, Interval(ge=0, lt=2**63)]
"""A number of images, batches or seconds that something can have."""


class DamagedFile(ValueError):
    """A file cannot be read, or holds what genexp does not write there."""


def is_there(path: Path) -> bool:
    """Whether anything has this name: a file, or what stands in its place (a folder, a link that leads nowhere)."""
    return os.path.lexists(path)


def open_regular(path: str | Path) -> int:
    """A descriptor of a regular file; a pipe, which could keep a reader waiting for ever, is not waited for.

    Raises:
        ValueError: it is no regular file.
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise ValueError("it is not a regular file")


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The text of a regular file.

    Args:
        path: The file.
        most: Bytes that it may have.

    Raises:
        ValueError: it is no regular file, too large, or no UTF-8.
        OSError: it cannot be read.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it must have at most {most:,} bytes, got more")
    return content.decode()


def read_json(path: Path, shape: object, of: str = "") -> Any:
    """The content of a file of JSON.

    Args:
        path: The file.
        shape: The type of what it holds; further keys of a `TypedDict` are kept.
        of: What it is of, for the error, such as ` of the run outputs/x`.

    Raises:
        DamagedFile: in one line.
    """
    where = f"{path.name}{of or f' in {path.parent}'}"
    try:
        content = json.loads(read_text(path), object_pairs_hook=each_key_once)
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedFile(f"{where} cannot be read: {reason_of(error)}") from error
    return require_shape(content, shape, where)


def require_shape(content: object, shape: object, where: str) -> Any:
    """Return `content` as it is if it has the type `shape`.

    Args:
        content: Plain containers.
        shape: A type, as for `read_json`.
        where: What it is, to begin the error with.

    Raises:
        DamagedFile: it has not; with the key, the rule and the value.
    """
    from pydantic import ValidationError

    try:
        _adapter(shape).validate_python(content, strict=True)
    except ValidationError as error:
        raise DamagedFile(f"{where} must be as genexp writes it: {_told(error)}") from error
    return content


def reason_of(error: BaseException) -> str:
    """Why a file cannot be read, in one line without its name."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).replace(' in "<unicode string>",', ",").split())[:300]


@functools.cache
def _adapter(shape: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(shape)


_WORDS = {
    "missing": "it is missing",
    "string_type": "it must be a text",
    "int_type": "it must be a whole number",
    "float_type": "it must be a number",
    "bool_type": "it must be true or false",
    "list_type": "it must be a list",
    "dict_type": "it must be an object",
}


def _told(error: Any) -> str:
    """The first thing that is wrong, in our words where there are some."""
    first = error.errors(include_url=False, include_context=False)[0]
    key = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("constrained-", "function-")))
    rule = _WORDS.get(first["type"], first["msg"][:1].lower() + first["msg"][1:])
    got = "" if first["type"] == "missing" else f", got {shown(first['input'])}"
    return f"{key}: {rule}{got}" if key else f"{rule}{got}"


def shown(value: object, longest: int = 80) -> str:
    """A value for an error, in one line: in YAML's words, text in quotes, cut where it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a far larger one"
    text = " ".join(repr(value).split())
    if len(text) > longest and isinstance(value, dict | list):
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def each_key_once(pairs: list[tuple[str, Any]]) -> Tree:
    """An object of JSON in which no key hides another of the same name; for `json.loads(object_pairs_hook=...)`."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"key {twice!r} stands there twice")
    return found
