"""Two folders of pictures that do not belong together, as a dataset: what is made, and what it is made of."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
from torch import Tensor

from genexp.data.decoding import MAX_PIXELS
from genexp.data.folder import Folder
from genexp.data.picture_files import ImageFiles
from genexp.data.source import Split, fingerprint
from genexp.data.split_folders import OnBadImage
from genexp.on_disk import OnDisk
from genexp.tensors import mix_seed


class UnpairedFolders:
    """Pictures of one folder as `image`, each with one of another folder, drawn at random, as `source`.

    Both folders are read, and split, as a `Folder` is. An epoch shows every image of the first folder once. Which
    source stands beside it is fixed: all of them in turn, in a random order.

    Args:
        root: Folder of the images.
        source_root: Folder of the sources.
        image_size: Pixels a side of both.
        channels: Of the images, 1 (grey) or 3 (RGB).
        source_channels: Of the sources, 1 or 3.
        fit: How other aspect ratios are handled: crop, pad or stretch.
        interpolation: nearest, box, bilinear, bicubic or lanczos.
        val_share: Share of the pictures held out as val where a folder has no val folder.
        test_share: Share of the pictures held out as test where a folder has no test folder.
        on_bad_image: `error` stops at a picture that cannot be used; `skip` leaves it out, with what stands beside it,
            and reports it.
        max_pixels: Largest width times height that is decoded.

    Raises:
        ValueError: an argument is out of range.
    """

    classes = None

    def __init__(
        self,
        root: Annotated[str | Path, OnDisk("folder")],
        source_root: Annotated[str | Path, OnDisk("folder")],
        image_size: int,
        channels: int = 3,
        source_channels: int = 3,
        fit: Literal["crop", "pad", "stretch"] = "crop",
        interpolation: str = "bilinear",
        val_share: float = 0.05,
        test_share: float = 0.1,
        on_bad_image: OnBadImage = "error",
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        both = partial(
            Folder,
            image_size=image_size,
            fit=fit,
            interpolation=interpolation,
            val_share=val_share,
            test_share=test_share,
            on_bad_image=on_bad_image,
            max_pixels=max_pixels,
        )
        self.images, self.sources = both(root, channels=channels), both(source_root, channels=source_channels)

    def split(self, name: Split) -> "UnpairedFiles":
        """The pictures of one split of both folders.

        Raises:
            ValueError: the split of one is empty.
        """
        return UnpairedFiles(self.images.split(name), self.sources.split(name))

    def notes(self, num_classes: int | None) -> list[str]:
        """What was found in both folders, in lines for a person."""
        return [line for folder in (self.images, self.sources) for line in folder.notes(None)]


class UnpairedFiles:
    """Pictures decoded when they are read, each with a source that has nothing to do with it."""

    generated = False

    def __init__(self, images: ImageFiles, sources: ImageFiles) -> None:
        self.images, self.sources = images, sources
        order = torch.randperm(len(sources), generator=torch.Generator().manual_seed(mix_seed(len(sources))))
        self.order = order[torch.arange(len(images)) % len(sources)]
        self.fingerprint = fingerprint(__file__, images=images.fingerprint, sources=sources.fingerprint)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """Images (B, C, H, W) and sources (B, C', H, W), uint8, as `image` and `source`."""
        return {
            "image": self.images.read(rows)["image"],
            "source": self.sources.read(self.order[rows])["image"],
        }

    @property
    def remarks(self) -> Sequence[str]:
        """What was seen while all files were read, in lines for a person."""
        return [*self.images.remarks, *self.sources.remarks]
