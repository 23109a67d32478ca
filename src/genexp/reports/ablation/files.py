"""Names and binary files of a report."""

import os
import re
from pathlib import Path


def safe_name(text: str) -> str:
    """A text as a file name: everything but letters, digits and `_ . = + , -` becomes a hyphen."""
    return re.sub(r"[^\w.=+,-]+", "-", text, flags=re.ASCII).strip("-.") or "all"


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old or the new content, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)
