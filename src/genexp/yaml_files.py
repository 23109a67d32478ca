"""YAML that anybody may have written, read without what a few lines of aliases could blow up. Imports no torch."""

from pathlib import Path
from typing import Any

import yaml

MOST_BYTES, MOST_VALUES = 16 * 1024 * 1024, 100_000
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, as plain containers.

    Raises:
        ValueError: it has over 16 MiB, holds over 100,000 values once its aliases are carried out, or is no text.
        OSError: it cannot be read.
        yaml.YAMLError: it is no YAML.
    """
    require_small(path)
    return yaml.load(path.read_text(), Loader=_Loader)


def require_small(path: Path) -> None:
    """Refuse a YAML file that is large, or becomes so once its aliases are carried out; nothing is built of it.

    Raises:
        As `read_yaml`.
    """
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ValueError(f"a YAML file must have at most {MOST_BYTES:,} bytes, got {size:,}")
    text = path.read_text()
    if "*" in text and "&" in text:
        _require_few_values(text)


def _require_few_values(text: str) -> None:
    """Count values, each alias with all that its anchor stands for."""
    counted: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, 1))
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
