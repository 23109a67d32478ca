"""Folders of one's own whose splits are folders, or are cut from one by shares."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Generic, Literal, Protocol, TypeVar, get_args

from genexp.data.decoding import EXTENSIONS, MAX_PIXELS
from genexp.data.layout import shown, split_folders, subfolders
from genexp.data.listing import Passed, find_pictures, in_words
from genexp.data.source import Split, require_split
from genexp.terminal import plain

OnBadImage = Literal["error", "skip"]


class Named(Protocol):
    """A part of a split that is named by its path below the split's folder."""

    @property
    def relative(self) -> str: ...


class FoundParts(Protocol):
    """What lies in the folder of a split."""

    passed: list[Passed]


Part = TypeVar("Part", bound=Named)
Found = TypeVar("Found", bound=FoundParts)


class SplitFolders(ABC, Generic[Part, Found]):
    """Splits by folders of the usual names directly below `root`; one without its own is cut from train by shares.

    Args:
        root: The folder.
        val_share: Share held out as val where there is no val folder.
        test_share: Share held out as test where there is no test folder.
        on_bad_image: `error` stops at what cannot be used, `skip` leaves it out and reports it.
        max_pixels: Largest width times height that is decoded.

    Raises:
        ValueError: an argument is out of range.
    """

    things: ClassVar[str]
    """What the folder holds, for a person."""

    def __init__(
        self,
        root: str | Path,
        val_share: float = 0.05,
        test_share: float = 0.1,
        on_bad_image: OnBadImage = "error",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.root = Path(root).expanduser()
        self.shares = require_shares(val_share, test_share)
        self.on_bad_image, self.max_pixels = on_bad_image, max_pixels
        require_policy(on_bad_image)

    @abstractmethod
    def find(self, folder: Path, skip: bool) -> Found:
        """What lies in the folder of a split."""

    @abstractmethod
    def nothing(self) -> Found:
        """What lies in a folder that does not exist."""

    @abstractmethod
    def parts(self, found: Found) -> list[Part]:
        """What of it can be used, sorted by name."""

    def chosen(self, name: Split) -> list[Part]:
        """The parts of one split.

        Raises:
            ValueError: the split is empty.
        """
        require_split(name)
        if not self.divided[name]:
            where = self.root / name
            raise ValueError(f"{name}_share must be above 0, or {where} must hold {self.things}, to use {name}")
        return self.divided[name]

    @cached_property
    def divided(self) -> dict[str, list[Part]]:
        """The parts of every split, sorted by name.

        Raises:
            ValueError: the folder is missing, or holds too few, or its layout is in doubt.
            BadImage: a file cannot be used, and such files are not to be skipped.
        """
        return cut_by_shares({name: self.parts(self.found[name]) for name in get_args(Split)}, self.cut)

    @cached_property
    def folders(self) -> dict[Split, Path]:
        """The folders of splits that there are."""
        if not self.root.is_dir():
            raise ValueError(f"root must be an existing folder of {self.things}, got {shown(self.root)}")
        return split_folders(self.root)

    @cached_property
    def found(self) -> dict[str, Found]:
        """What lies in the folder of every split; without split folders everything is in train."""
        skip = self.on_bad_image == "skip"
        own = {name: self.find(path, skip) for name, path in self.folders.items()}
        own = own or {"train": self.find(self.root, skip)}
        found = {name: own[name] if name in own else self.nothing() for name in get_args(Split)}
        self.require_alike(found)
        if self.folders:
            found["train"].passed += beside_splits(self.root, self.folders)
        held, least = len(self.parts(found["train"])), 1 + len(self._cut(found))
        if held < least:
            passed = in_words(found["train"].passed)
            raise ValueError(
                f"root must hold at least {least} {self.things} ({' '.join(sorted(EXTENSIONS))}), got {held} in "
                f"{shown(self.folders.get('train', self.root))}{f'; {passed}' if passed else ''}"
            )
        return found

    def require_alike(self, found: Mapping[str, Found]) -> None:
        """Raise ValueError where the folders of splits do not go together."""

    @property
    def cut(self) -> dict[str, float]:
        """The shares of splits that are cut from train."""
        return self._cut(self.found)

    def _cut(self, found: Mapping[str, Found]) -> dict[str, float]:
        return {name: share for name, share in self.shares.items() if share > 0 and not self.parts(found[name])}

    def sizes(self) -> str:
        """How many parts every split has."""
        return ", ".join(f"{name} {len(part):,}" for name, part in self.divided.items() if part)

    def split_notes(self) -> list[str]:
        """Where the splits come from, in lines for a person."""
        own = {name: path.name for name, path in self.folders.items()}
        lines = [f"splits are the folders {', '.join(map(plain, own.values()))}"] if own else []
        if self.cut:
            lines.append(f"{' and '.join(self.cut)} cut from {own.get('train', f'all {self.things}')} by shares")
        return lines


def beside_splits(root: Path, own: Mapping[Split, Path]) -> list[Passed]:
    """Pictures beside the split folders, which belong to no split."""
    names = [name for name in subfolders(root) if root / name not in own.values()]
    files = [picture.file for name in names for picture in find_pictures(root / name, skip=True).pictures]
    files += [entry.path for entry in os.scandir(root) if Path(entry.name).suffix.lower() in EXTENSIONS]
    return [Passed(file, "beside the split folders") for file in files if not Path(file).is_dir()]


def require_policy(on_bad_image: str) -> None:
    """Raise ValueError unless `on_bad_image` is error or skip."""
    if on_bad_image not in ("error", "skip"):
        raise ValueError(f"on_bad_image must be error or skip, got {on_bad_image!r}")


def require_shares(val_share: float, test_share: float) -> dict[str, float]:
    """Shares of held-out splits by their names.

    Raises:
        ValueError: one is negative, or nothing is left for train.
    """
    if min(val_share, test_share) < 0 or val_share + test_share >= 1:
        raise ValueError(
            f"val_share and test_share must be at least 0 and sum to less than 1, got {val_share} and {test_share}"
        )
    return {"val": val_share, "test": test_share}


def cut_by_shares(own: dict[str, list[Part]], shares: dict[str, float]) -> dict[str, list[Part]]:
    """Move a share of the train pictures, at least one, to each of the splits named in `shares`."""

    def place(part: Part) -> bytes:
        return hashlib.sha256(os.fsencode(part.relative)).digest()

    def name(part: Part) -> str:
        return part.relative

    order = sorted(own["train"], key=place)
    cut, start = dict(own), 0
    for split, share in shares.items():
        count = max(1, round(share * len(order)))
        cut[split], start = sorted(order[start : start + count], key=name), start + count
    cut["train"] = sorted(order[start:], key=name)
    return cut
