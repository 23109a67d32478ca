"""Any tree of picture files as a dataset, with or without class folders and split folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from genexp.data.layout import shown
from genexp.data.listing import ListedPicture, Listing, also, find_pictures
from genexp.data.picture_files import ImageFiles, few
from genexp.data.picture_tensors import Preparation
from genexp.data.source import Split
from genexp.data.split_folders import SplitFolders
from genexp.on_disk import OnDisk
from genexp.terminal import counted


class Folder(SplitFolders[ListedPicture, Listing]):
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
        draft: Have JPEG files decoded no larger than needed, see `Preparation`.
        settings: Everything else that `SplitFolders` takes.

    Raises:
        ValueError: an argument is out of range.
    """

    things: ClassVar[str] = "pictures"

    def __init__(
        self,
        root: Annotated[str | Path, OnDisk("folder")],
        image_size: int,
        channels: int = 3,
        fit: Literal["crop", "pad", "stretch"] = "crop",
        crop: int | None = None,
        interpolation: str = "bilinear",
        draft: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(root, **settings)
        self.preparation = Preparation(image_size, channels, fit, crop, interpolation, draft)

    def find(self, folder: Path, skip: bool) -> Listing:
        """The picture files below a folder."""
        return find_pictures(folder, skip)

    def nothing(self) -> Listing:
        """No pictures."""
        return Listing()

    def parts(self, found: Listing) -> list[ListedPicture]:
        """The picture files, sorted by path."""
        return found.pictures

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
        chosen, classes = self.chosen(name), self.classes
        number = {name: place for place, name in enumerate(classes or ())}
        labels = None if classes is None else [number[picture.class_name] for picture in chosen]
        return ImageFiles(chosen, labels, self.preparation, self.max_pixels, self.on_bad_image == "skip")

    @property
    def pictures(self) -> dict[str, list[ListedPicture]]:
        """The picture files of every split, sorted by path; raises as `divided`."""
        return self.divided

    def notes(self, num_classes: int | None) -> list[str]:
        """What was found, in lines for a person: splits, classes, and what is not used.

        Args:
            num_classes: Number of classes that labels are wanted for, or None.
        """
        total, classes = sum(map(len, self.pictures.values())), self.classes
        folders = f", {counted(len(classes), 'class folder')} ({few(classes)})" if classes else ", no class folders"
        lines = [f"{counted(total, 'picture')} in {shown(self.root)}: {self.sizes()}{folders}"]
        one = {path.resolve() for path in self.folders.values()}
        lines += (
            ["split folders that are one folder: their pictures are shared"] if len(one) < len(self.folders) else []
        )
        lines += self.split_notes()
        lines += self._one_sided() if classes else []
        if classes and len(classes) > 1 and num_classes is None:
            lines.append(f"class folders are not used as labels: data.num_classes={len(classes)} uses them")
        if self.why_unlabelled:
            lines.append(f"class folders cannot be used as labels: {self.why_unlabelled}")
        every = list(self.found.values())
        passed = [each for listing in every for each in listing.passed]
        return lines + also(Listing(passed=passed, linked=[pair for listing in every for pair in listing.linked]))

    def _one_sided(self) -> list[str]:
        """Class folders that only some of the split folders have, each with where it is."""
        held = {name: {each.class_name for each in self.found[name].pictures} for name in self.folders}
        everywhere = set.intersection(*held.values()) if held else set()
        odd = sorted(set().union(*held.values()) - everywhere)
        where = {name: [split for split, names in held.items() if name in names] for name in odd[:5]}
        lines = [f"class folder {name} is only in {' and '.join(splits)}" for name, splits in where.items()]
        return lines + ([f"{len(odd) - 5} more class folders are not in every split"] if len(odd) > 5 else [])
