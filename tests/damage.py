"""What can happen to a file on a disk, and how a command must answer: in one line that names it, or not at all."""

import json
import os
import shutil
import signal
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from genexp.__main__ import main

EMPTY, CUT = "empty", "cut in the middle"
SHAPES = {"a list": "[1, 2]", "a number": "3", "a text": '"text"'}


def _written(path: Path, content: str | bytes) -> None:
    path.unlink()
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _to_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("gone"))


def _to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _cut(path: Path) -> None:
    content = path.read_bytes()
    _written(path, content[: len(content) // 2].rstrip(b"\n"))


ANYWHERE = {
    EMPTY: lambda path: _written(path, ""),
    CUT: _cut,
    "random bytes": lambda path: _written(path, bytes(range(256)) * 8),
    "no UTF-8": lambda path: _written(path, b"\xff\xfe" + path.read_bytes()),
    "a folder in its place": _to_folder,
    "a link that leads nowhere": _to_dangling_link,
    "a pipe in its place": _to_pipe,
}
"""Damages of any file."""


def of_json(change: Any) -> Any:
    """A damage that changes what stands in a file of JSON."""

    def damage(path: Path) -> None:
        content = json.loads(path.read_text())
        _written(path, json.dumps(change(content) or content))

    return damage


def of_yaml(change: Any) -> Any:
    """A damage that changes what stands in a file of YAML."""

    def damage(path: Path) -> None:
        content = yaml.safe_load(path.read_text())
        _written(path, yaml.safe_dump(change(content) or content))

    return damage


def of_text(change: Any) -> Any:
    """A damage that changes a file's text."""
    return lambda path: _written(path, change(path.read_text()))


def shapes() -> dict[str, Any]:
    """Another type at the top of a file, and brackets without end."""
    found = {f"{name} at the top": of_text(lambda _, text=text: text) for name, text in SHAPES.items()}
    return found | {"brackets without end": of_text(lambda _: "[" * 100_000)}


def repeat_a_key(text: str) -> str:
    """JSON whose first key stands there twice, the second time with another value."""
    key = next(iter(json.loads(text)))
    return text.rstrip().removesuffix("}").rstrip() + f', "{key}": "other"}}'


def of_archive(change: Any) -> Any:
    """A damage that changes the containers of a checkpoint."""

    def damage(path: Path) -> None:
        import torch

        content = torch.load(path, weights_only=True)
        path.unlink()
        torch.save(change(content) or content, path)

    return damage


def flip_a_bit(path: Path) -> None:
    """One bit of the largest tensor of a file that `torch.save` wrote."""
    with zipfile.ZipFile(path) as file:
        largest = max(file.infolist(), key=lambda each: each.file_size)
        whole = file.read(largest)
    content = bytearray(path.read_bytes())
    content[content.index(whole) + len(whole) // 2] ^= 1
    _written(path, bytes(content))


def copied(run: Path, to: Path) -> Path:
    """A run of its own in a moment: checkpoints by hard link, what a command may append to as a copy."""
    shutil.copytree(run, to, copy_function=lambda a, b: (os.link if str(a).endswith(".ckpt") else shutil.copy2)(a, b))
    return to


def fingerprint(folder: Path) -> dict[str, Any]:
    """All that a command which fails may not change: names, kinds, and the bytes of files."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.name in (".running", ".lock"):  # held, and empty
            continue
        kind = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.name.endswith(".ckpt") else kind.st_size
        found[str(path.relative_to(folder))] = (kind.st_mode, kind.st_ino, content)
    return found


def answer(arguments: list[str], capsys: Any) -> tuple[int, str]:
    """Exit status of a command line in this process, and what it says on standard error.

    Raises:
        Exception: what a person would have seen as a traceback.
    """
    capsys.readouterr()
    try:
        with _patience(30):
            status = main(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    return status or 0, capsys.readouterr().err


@contextmanager
def _patience(seconds: int) -> Iterator[None]:
    """An end to a command that waits for ever, as one that reads a pipe does."""

    def end(*_: Any) -> None:
        raise TimeoutError(f"still at work after {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def faults(status: int, said: str, names: list[str], refused: bool, changed: bool, command: str) -> list[str]:
    """What is wrong with a command's answer to a damaged file.

    Args:
        status: Its exit status.
        said: What it said on standard error.
        names: Texts of which one must stand in its line.
        refused: Whether the command needs the file.
        changed: Whether the run is another one than before.
        command: Name of the command.
    """
    if not refused:
        return [] if status == 0 else [f"needs no such file and says: {said.strip()[-200:]}"]
    found = [] if status else ["takes it as sound"]
    lines = [line for line in said.splitlines() if line.startswith(f"genexp {command}: ")]
    if status and (len(lines) != 1 or not said.rstrip().endswith(lines[-1])):
        found.append(f"says more or less than one line: {said.strip()[-300:]}")
    if status and lines and not any(name in lines[-1] for name in names):
        found.append(f"does not name the file: {lines[-1]}")
    found += [f"says {word}" for word in ("Traceback", "weights_only") if word in said]
    return found + (["changed the run"] if changed else [])
