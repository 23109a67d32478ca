"""How a folder of pairs is laid out: folders `source` and `target` with the same names, or two pictures in a file."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from genexp.data.decoding import EXTENSIONS
from genexp.data.layout import SPLIT_NAMES, shown, subfolders
from genexp.data.listing import ListedPicture, Listing, Passed, find_pictures
from genexp.terminal import counted, plain, shown_path

SIDES = ("source", "target")
ALONE = "without a partner of its name"
_LAYOUTS = "folders source and target with the same names in both, or files of two pictures side by side"


class Pair(NamedTuple):
    """A source and its target, which may be halves of one file.

    Attributes:
        relative: What names it in its split, with forward slashes.
        source: The file of the source.
        target: The file of the target; None where that is the other half of the source's.
    """

    relative: str
    source: ListedPicture
    target: ListedPicture | None


@dataclass
class FoundPairs:
    """What lies in the folder of a split.

    Args:
        pairs: The pairs, sorted by name.
        passed: What was passed over.
        halves: Whether every file holds both; None where there is none.
    """

    pairs: list[Pair] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    halves: bool | None = None


def find_pairs(folder: Path, skip: bool = False) -> FoundPairs:
    """All pairs of one split.

    Args:
        folder: Its folder.
        skip: Pass over files that cannot be read or have no partner, in place of an error.

    Raises:
        ValueError: there are neither both folders nor files alone, folders of splits lie within, names are used twice,
            or pictures have no partner.
        BadImage: without `skip`: a file or folder cannot be read.
    """
    names = subfolders(folder)
    named = {name.lower(): name for name in names if name.lower() in SIDES}
    if not named and names:
        raise ValueError(f"root must hold {_LAYOUTS}, got {_some(names)} in {shown(folder)}")
    if not named:
        found = find_pictures(folder, skip)
        return FoundPairs([Pair(each.relative, each, None) for each in found.pictures], found.passed, True)
    if set(named) != set(SIDES) or len([name for name in names if name.lower() in SIDES]) > 2:
        raise ValueError(
            f"root must hold one folder source and one folder target, got {_some(names)} in {shown(folder)}"
        )
    listings = {side: find_pictures(folder / named[side], skip) for side in SIDES}
    for side in SIDES:
        _require_no_splits(folder / named[side])
    beside = _beside(folder, [name for name in names if name not in named.values()])
    found = _matched(listings, skip)
    found.passed += [each for listing in listings.values() for each in listing.passed] + beside
    return found


def _matched(listings: dict[str, Listing], skip: bool) -> FoundPairs:
    by_name = {side: _by_name(side, listing.pictures) for side, listing in listings.items()}
    source, target = (by_name[side] for side in SIDES)
    alone = {
        side: [by_name[side][name] for name in sorted(set(by_name[side]) - (set(source) & set(target)))]
        for side in SIDES
    }
    if any(alone.values()) and not skip:
        told = [
            f"{counted(len(files), side)} without {other}, first {plain(shown_path(Path(files[0].file)))}"
            for (side, files), other in zip(alone.items(), reversed(SIDES), strict=True)
            if files
        ]
        raise ValueError(f"source and target must hold pictures of the same names, got {'; '.join(told)}")
    passed = [Passed(each.file, ALONE) for files in alone.values() for each in files]
    return FoundPairs(
        [Pair(name, source[name], target[name]) for name in sorted(set(source) & set(target))], passed, False
    )


def _by_name(side: str, pictures: Iterable[ListedPicture]) -> dict[str, ListedPicture]:
    """Pictures by their paths without endings."""
    found: dict[str, ListedPicture] = {}
    for picture in pictures:
        name = str(PurePosixPath(picture.relative).with_suffix(""))
        if name in found:
            raise ValueError(
                f"{side} must hold one picture of a name, got {plain(found[name].relative)} and "
                f"{plain(picture.relative)}, endings apart"
            )
        found[name] = picture
    return found


def _require_no_splits(folder: Path) -> None:
    inner = [name for name in subfolders(folder) if name.lower() in SPLIT_NAMES]
    if inner:
        raise ValueError(
            f"split folders must lie above source and target, as in {inner[0]}/{folder.name}, got {', '.join(inner)} "
            f"in {shown(folder)}"
        )


def _beside(folder: Path, others: list[str]) -> list[Passed]:
    files = [each.file for name in others for each in find_pictures(folder / name, skip=True).pictures]
    with os.scandir(folder) as entries:
        files += [each.path for each in entries if Path(each.name).suffix.lower() in EXTENSIONS and each.is_file()]
    return [Passed(file, "beside source and target") for file in sorted(files)]


def _some(names: list[str]) -> str:
    shown_names = ", ".join(map(plain, names[:5])) + (", ..." if len(names) > 5 else "")
    return f"{'folder' if len(names) == 1 else 'folders'} {shown_names}"
