"""Any tree of picture files as a dataset, with or without class folders and split folders."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Protocol, TypeVar, get_args

from genexp.data.decoding import EXTENSIONS, MAX_PIXELS
from genexp.data.layout import shown, split_folders, subfolders
from genexp.data.listing import ListedPicture, Listing, Passed, also, find_pictures, in_words
from genexp.data.picture_files import ImageFiles, few
from genexp.data.pictures import Preparation
from genexp.data.source import Split, require_split
from genexp.on_disk import OnDisk
from genexp.terminal import counted, plain

OnBadImage = Literal["error", "skip"]


class Folder:
    """Pictures below a folder; any sizes, any depth.

    Folders named train, val and test directly below `root`, or by other usual names (`SPLIT_NAMES`), are the splits. A
    split without its own folder is cut from train by shares, in an order fixed by the hash of every file's path, so
    that it does not depend on the machine. If every picture lies in a subfolder (of its split), the first subfolder
    names its class. Of a file with several frames the first is read.

    Args:
        root: The folder.
        image_size: Pixels a side.
        channels: 1 (grey) or 3 (RGB).
        fit: How other aspect ratios are handled: crop, pad or stretch.
        crop: Cut a central square of so many pixels first; null cuts nothing.
        interpolation: nearest, box, bilinear, bicubic or lanczos.
        val_share: Share of the pictures held out as val where there is no val folder.
        test_share: Share of the pictures held out as test where there is no test folder.
        on_bad_image: `error` stops at a picture that cannot be used, `skip` leaves it out and reports it.
        max_pixels: Largest width times height that is decoded.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        root: Annotated[str | Path, OnDisk("folder")],
        image_size: int,
        channels: int = 3,
        fit: Literal["crop", "pad", "stretch"] = "crop",
        crop: int | None = None,
        interpolation: str = "bilinear",
        val_share: float = 0.05,
        test_share: float = 0.1,
        on_bad_image: OnBadImage = "error",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.root = Path(root).expanduser()
        self.preparation = Preparation(image_size, channels, fit, crop, interpolation)
        self.shares = require_shares(val_share, test_share)
        self.on_bad_image, self.max_pixels = on_bad_image, max_pixels
        require_policy(on_bad_image)

    @property
    def classes(self) -> Sequence[str] | None:
        """Names of the class folders in alphabetical order; None if some picture lies in none."""
        names = {picture.class_name for part in self.pictures.values() for picture in part}
        return None if None in names else sorted(names)

    @property
    def why_unlabelled(self) -> str | None:
        """Where class folders are of no use, the picture that is the cause; else None."""
        every = [picture for part in self.pictures.values() for picture in part]
        loose = [picture.file for picture in every if picture.class_name is None]
        if not loose or len(loose) == len(every):
            return None
        return f"{counted(len(loose), 'picture')} of {len(every):,} in no class folder, first {shown(Path(loose[0]))}"

    def split(self, name: Split) -> ImageFiles:
        """The picture files of one split.

        Raises:
            ValueError: the split is empty.
        """
        require_split(name)
        chosen, classes = self.pictures[name], self.classes
        if not chosen:
            raise ValueError(f"{name}_share must be above 0, or {self.root / name} must hold pictures, to use {name}")
        number = {name: place for place, name in enumerate(classes or ())}
        labels = None if classes is None else [number[picture.class_name] for picture in chosen]
        return ImageFiles(chosen, labels, self.preparation, self.max_pixels, self.on_bad_image == "skip")

    @cached_property
    def pictures(self) -> dict[str, list[ListedPicture]]:
        """The picture files of every split, sorted by path.

        Raises:
            ValueError: the folder is missing, or holds too few images, or its layout is in doubt.
            BadImage: a file cannot be used, and such files are not to be skipped.
        """
        return cut_by_shares({name: self._listings[name].pictures for name in get_args(Split)}, self._cut_shares)

    def notes(self, num_classes: int | None) -> list[str]:
        """What was found, in lines for a person: splits, classes, and what is not used.

        Args:
            num_classes: Number of classes that labels are wanted for, or None.
        """
        sizes = ", ".join(f"{name} {len(part):,}" for name, part in self.pictures.items() if part)
        total, classes = sum(map(len, self.pictures.values())), self.classes
        folders = f", {counted(len(classes), 'class folder')} ({few(classes)})" if classes else ", no class folders"
        lines = [f"{counted(total, 'picture')} in {shown(self.root)}: {sizes}{folders}"]
        own = {name: path.name for name, path in self._folders.items()}
        one = {path.resolve() for path in self._folders.values()}
        lines += ["split folders that are one folder: their pictures are shared"] if len(one) < len(own) else []
        lines += [f"splits are the folders {', '.join(map(plain, own.values()))}"] if own else []
        if self._cut_shares:
            lines.append(f"{' and '.join(self._cut_shares)} cut from {own.get('train', 'all pictures')} by shares")
        lines += self._one_sided() if classes else []
        if classes and len(classes) > 1 and num_classes is None:
            lines.append(f"class folders are not used as labels: data.num_classes={len(classes)} uses them")
        if self.why_unlabelled:
            lines.append(f"class folders cannot be used as labels: {self.why_unlabelled}")
        every = list(self._listings.values())
        passed = [each for listing in every for each in listing.passed]
        return lines + also(Listing(passed=passed, linked=[pair for listing in every for pair in listing.linked]))

    def _one_sided(self) -> list[str]:
        """Class folders that only some of the split folders have, each with where it is."""
        held = {name: {each.class_name for each in self._listings[name].pictures} for name in self._folders}
        everywhere = set.intersection(*held.values()) if held else set()
        odd = sorted(set().union(*held.values()) - everywhere)
        where = {name: [split for split, names in held.items() if name in names] for name in odd[:5]}
        lines = [f"class folder {name} is only in {' and '.join(splits)}" for name, splits in where.items()]
        return lines + ([f"{len(odd) - 5} more class folders are not in every split"] if len(odd) > 5 else [])

    @cached_property
    def _folders(self) -> dict[Split, Path]:
        if not self.root.is_dir():
            raise ValueError(f"root must be an existing folder of images, got {shown(self.root)}")
        return split_folders(self.root)

    @cached_property
    def _listings(self) -> dict[str, Listing]:
        """What lies in the folder of every split; without split folders everything is in train."""
        skip = self.on_bad_image == "skip"
        own = {name: find_pictures(path, skip) for name, path in self._folders.items()} or {
            "train": find_pictures(self.root, skip)
        }
        found = {name: own.get(name, Listing()) for name in get_args(Split)}
        if self._folders:
            found["train"].passed += beside_splits(self.root, self._folders)
        shares = {name: share for name, share in self.shares.items() if share > 0 and not found[name].pictures}
        if len(found["train"].pictures) <= len(shares):
            raise ValueError(
                f"root must hold at least {len(shares) + 1} images ({' '.join(sorted(EXTENSIONS))}), "
                f"got {len(found['train'].pictures)} in {shown(self._folders.get('train', self.root))}"
                f"{'; ' + passed if (passed := in_words(found['train'].passed)) else ''}"
            )
        return found

    @property
    def _cut_shares(self) -> dict[str, float]:
        return {name: share for name, share in self.shares.items() if share > 0 and not self._listings[name].pictures}


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


class Named(Protocol):
    """A part of a split that is named by its path below the split's folder."""

    @property
    def relative(self) -> str: ...


Part = TypeVar("Part", bound=Named)


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
