"""YAML that anybody may have written, read without what a few lines of aliases could blow up. Imports no torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from genexp.files.json_records import DamagedFile, read_text, reason_of, require_shape

MOST_BYTES, MOST_VALUES, MOST_DEPTH = 16 * 1024 * 1024, 100_000, 100


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML's plain containers, each key of a mapping once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node; a key that stands there twice is an error, as it hides a value."""
        seen: set[object] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<" and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"found duplicate key {key.value}", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, as plain containers.

    Raises:
        ValueError: it is no regular file or no text, has over 16 MiB, or holds over 100,000 values once its aliases
            are carried out.
        OSError: it cannot be read.
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(require_small(path), Loader=_Loader)


def read_yaml_record(path: Path, shape: object, of: str = "") -> Any:
    """The content of a YAML file that genexp wrote, as `genexp.files.json_records.read_json`.

    Raises:
        DamagedFile: in one line.
    """
    where = f"{path.name}{of or f' in {path.parent}'}"
    try:
        content = read_yaml(path)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise DamagedFile(f"{where} cannot be read: {reason_of(error)}") from error
    return require_shape(content, shape, where)


def require_small(path: Path) -> str:
    """The text of a YAML file that is not large or deep, and does not become so once its aliases are carried out.

    PyYAML's fast reader ends the whole process where brackets are nested some 10,000 deep.

    Raises:
        ValueError: it is, see `read_yaml`.
    """
    text = read_text(path, MOST_BYTES)
    nested = sum(map(text.count, ("[", "{", "- ", "? "))) + max(_indentations(text), default=0)
    if nested > MOST_DEPTH or ("*" in text and "&" in text):
        _require_few_values(text)
    return text


def _indentations(text: str) -> Iterator[int]:
    return (len(line) - len(line.lstrip(" ")) for line in text.splitlines())


def _require_few_values(text: str) -> None:
    """Count values, each alias with all that its anchor stands for, and how deep they lie."""
    counted: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, 1))
            if len(open_nodes) > MOST_DEPTH:
                raise ValueError(f"a YAML file must be nested at most {MOST_DEPTH} deep, got more")
            continue
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in counted:
                raise ValueError(f"an alias must stand for something before it and not around it, got *{event.anchor}")
            anchor, count = None, counted[event.anchor]
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, count = open_nodes.pop()
        elif isinstance(event, yaml.ScalarEvent):
            anchor, count = event.anchor, 1
        else:
            continue
        if anchor is not None:
            counted[anchor] = count
        above, so_far = open_nodes[-1]
        open_nodes[-1] = (above, so_far + count)
        if so_far + count > MOST_VALUES:
            raise ValueError(f"a YAML file must hold at most {MOST_VALUES:,} values with its aliases, got more")
