"""How a folder of pictures is divided: split folders by their usual names, else class folders."""

import os
import re
from pathlib import Path
from typing import get_args

from genexp.data.source import Split
from genexp.terminal import plain, shown_path

SPLIT_NAMES: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names of split folders, in any case, and the split that each is."""
_KNOWN = "train or training; val, valid, validation or dev; test or testing; in any case"
_NEARLY = re.compile(r"(train|val|test)([a-z]*[^a-z].*|s|sets?|data|images?)", re.IGNORECASE)


def split_folders(root: Path) -> dict[Split, Path]:
    """The split folders directly below a folder; empty if it has none.

    Raises:
        ValueError: two folders stand for one split, there is no training folder beside the others, or folders lie
            and are called nearly as split folders do.
    """
    names = subfolders(root)
    found: dict[Split, str] = {}
    for name in names:
        split = SPLIT_NAMES.get(name.lower())
        if split is not None and split in found:
            raise ValueError(f"root must hold one folder for {split}, got {found[split]} and {name} in {shown(root)}")
        if split is not None:
            found[split] = name
    if found and "train" not in found:
        raise ValueError(
            f"root must hold a train folder beside {' and '.join(found.values())}, or no folder with a split's name "
            f"({_KNOWN}), got {shown(root)}"
        )
    if not found:
        _require_no_near_miss(root, names)
    return {split: root / found[split] for split in get_args(Split) if split in found}


def subfolders(folder: Path) -> list[str]:
    """Names of the folders directly below one, sorted, without hidden ones; of none where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(each.name for each in entries if os.path.isdir(each.path) and not each.name.startswith("."))
    except OSError:  # who lists the pictures tells it
        return []


def shown(path: Path) -> str:
    """A path as a person would type it, without control characters."""
    return plain(shown_path(path))


def _require_no_near_miss(root: Path, names: list[str]) -> None:
    near = {name: match[1].lower() for name in names if (match := _NEARLY.fullmatch(name))}
    if "train" in near.values() and len(set(near.values())) > 1:
        raise ValueError(f"split folders must be called {_KNOWN}, got {', '.join(map(plain, near))} in {shown(root)}")
    for name in names:
        inner = [each for each in subfolders(root / name) if each.lower() in SPLIT_NAMES]
        kinds = {SPLIT_NAMES[each.lower()] for each in inner}
        if "train" in kinds and len(kinds) > 1:
            there = f"{', '.join(inner)} in {shown(root / name)}"
            if len(names) == 1:
                raise ValueError(f"root must be the folder that holds the split folders, got {there}: choose that one")
            raise ValueError(f"split folders must lie above class folders, as in {inner[0]}/{name}, got {there}")
