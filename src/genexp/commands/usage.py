"""What `genexp <command> --help` prints: the comments of the command's own configuration file. Imports no torch."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from genexp.config.compose import group_names, own_choices
from genexp.config.composition_errors import options

Described = dict[str, tuple[str, str]]
"""The default of every group or value of a command, and what its file says of it."""

_LINE = re.compile(r"(?:  - )?(?P<key>\w+): (?P<value>[^#]*?)\s*(?:# (?P<text>.*))?")
_CONTINUED = re.compile(r" {8,}# (.*)")
TYPED = {"ablations": "ablation"}
"""Keys that are typed under another name, since Hydra takes that for a group."""
_WIDTH, _INDENT = 118, 26


def keys_of(path: Path) -> tuple[Described, Described]:
    """The groups and the values of a command, each with its default and what the file says of it.

    Args:
        path: The file, such as `conf/train.yaml`.
    """
    _, defaults, values = _sections(path)
    groups = {key: (value, text) for key, value, text in _entries(defaults) if key != "override"}
    return groups, {key: (value, text) for key, value, text in _entries(values)}


def _sections(path: Path) -> tuple[str, str, str]:
    """The comment at the head of a command's file, its defaults, and its values."""
    head, _, body = path.read_text().partition("defaults:\n")
    defaults, _, rest = body.partition("\n\n")
    return head, defaults, rest.partition("\nhydra:")[0]


def usage(path: Path) -> str:
    """What the file of a command says of itself, of its groups with their choices, and of its values.

    Args:
        path: The file, such as `conf/train.yaml`.
    """
    head, defaults, values = _sections(path)
    about = "\n".join(line.removeprefix("#").removeprefix(" ") for line in head.splitlines())
    groups = [line for each in _entries(defaults) if each[0] not in ("paths", "override") for line in _group(*each)]
    parts = [about, "\n".join(["group=choice", *groups]) if groups else ""]
    parts.append("\n".join(["key=value", *(line for each in _entries(values) for line in _described(*each))]))
    if "model" in {name for name, _, _ in _entries(defaults)}:
        names = [each for each in group_names() if each.startswith("model/") and own_choices(each)]
        parts.append("\n".join(["parts of a model", *(line for name in names for line in _part(name))]))
        parts.append("Values of groups are values, too: training.max_images=30_000, model.network.width=64.")
    parts.append("--cfg job prints the whole configuration, --hydra-help what Hydra itself takes.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _entries(text: str) -> Iterator[tuple[str, str, str]]:
    """Key, value and comment of every line, with what the lines below go on to say."""
    found: list[tuple[str, str, str]] = []
    for line in text.splitlines():
        if more := _CONTINUED.fullmatch(line):
            if not found:  # of no key: it goes on from a comment above all of them
                continue
            key, value, said = found.pop()
            found.append((key, value, f"{said} {more[1]}"))
        elif entry := _LINE.fullmatch(line):
            found.append((entry["key"], entry["value"], entry["text"] or ""))
    return iter(found)


def _described(key: str, value: str, text: str) -> list[str]:
    name = f"  {TYPED.get(key, key)}={value}"
    lines = textwrap.wrap(text, _WIDTH - _INDENT) or [""]
    first = [f"{name:<{_INDENT}}{lines[0]}".rstrip()] if len(name) < _INDENT else [name, " " * _INDENT + lines[0]]
    return [*first, *(" " * _INDENT + line for line in lines[1:])]


def _group(key: str, value: str, text: str) -> list[str]:
    choices = textwrap.wrap(", ".join(own_choices(key) if key == "model" else options(key)), _WIDTH - _INDENT)
    return [*_described(key, value, text), *(" " * _INDENT + line for line in choices)]


def _part(name: str) -> list[str]:
    indent = 34
    lines = textwrap.wrap(", ".join(own_choices(name)), _WIDTH - indent) or [""]
    return [f"  {name:<{indent - 2}}{lines[0]}", *(" " * indent + line for line in lines[1:])]
