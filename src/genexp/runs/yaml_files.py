"""YAML that a person has written: read strictly, with errors that name the file. Imports no torch."""

from pathlib import Path
from typing import Any

import yaml


class _Strict(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, yaml.Node] = {}
        for key in (key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"):
            name = self.construct_object(key, deep=True)
            if name in seen:
                line, first = key.start_mark.line + 1, seen[name].start_mark.line + 1
                raise ValueError(f"key {name} must stand once in its mapping, got it in lines {first} and {line}")
            seen[name] = key
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, what: str) -> Any:
    """The content of a file.

    Args:
        path: The file.
        what: What it is, for the error, such as `an ablation`.

    Raises:
        ValueError: it cannot be read, is no YAML, or holds a key twice in one mapping.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Strict)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{what} must be readable YAML, got {path}: {error}") from error
