"""Choices of a group that cannot stand beside each other. Imports no torch."""

from collections.abc import Iterable
from pathlib import Path

from genexp.config.quoting import parts_of, unquoted


def require_one_part(overrides: Iterable[str], folder: Path) -> None:
    """Refuse several choices for a part where each is the whole part: Hydra would merge them into the last.

    Args:
        overrides: As typed, such as `metrics=[fd,kid]`, which is no such part.
        folder: The folder of the YAML files.

    Raises:
        ValueError: there are several.
    """
    for override in overrides:
        key, _, value = override.partition("=")
        value, group = value.strip(), folder / key.lstrip("+").split("@")[0]
        if not (value.startswith("[") and value.endswith("]") and group.is_dir()):
            continue
        files = {name: group / f"{name}.yaml" for name in (unquoted(each.strip()) for each in parts_of(value[1:-1]))}
        whole = [name for name, file in files.items() if file.is_file() and "\n_target_:" in f"\n{file.read_text()}"]
        if len(whole) > 1:
            raise ValueError(f"{key.lstrip('+')}: must be one choice, got {' and '.join(whole)}")
