"""What an evaluation compares: sets of images named by a data configuration, a split of a run's data, or a folder."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from genexp.callbacks.evaluate import image_set
from genexp.config.compose import SPLITS, compose, data_name
from genexp.config.composition_errors import options
from genexp.config.instantiate import build
from genexp.data.source import Noted
from genexp.evaluation.captions import Captioned, Texts
from genexp.evaluation.images import ImageSet
from genexp.evaluation.picture_folder import PictureFolder
from genexp.terminal import progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from genexp.contracts import Batch
    from genexp.data.datamodule import ImageData


@dataclass(frozen=True)
class Side:
    """A set of images to compare, and what the rest of a configuration may want to know of its data.

    Args:
        images: The set.
        data: `shape`, `channels`, `image_size` and `num_classes` of its images.
        counts: How often every class occurs, or None.
        datamodule: The data module that it is a split of, or None for a folder.
    """

    images: ImageSet
    data: DictConfig
    counts: list[int] | None
    datamodule: "ImageData | None" = None

    @property
    def words(self) -> Texts | None:
        """How captions of its data become numbers, None where they have none."""
        source = None if self.datamodule is None else self.datamodule.source
        return source.captions if isinstance(source, Captioned) else None


def open_side(
    text: str,
    known: Mapping[str, DictConfig],
    device: "torch.device",
    num: int | None = None,
    seed: int = 0,
    like: DictConfig | None = None,
    key: str = "images",
) -> Side:
    """The images that a text names.

    Args:
        text: A split (`test`), a data set with or without its split (`digits:test`), or a folder.
        known: Configurations of data sets by name; under the empty name that of bare splits. Others are composed.
        device: Where their features are computed.
        num: Use so many of the images, drawn at random, in the shares of the classes where they are known; None for
            all.
        seed: Which ones.
        like: Data whose image size and channels those that are composed take over.
        key: What the text was given as, for errors.

    Raises:
        ValueError: a bare split of no data, bad images, or fewer than `num`.
        FileNotFoundError: no data set and no folder has this name.
    """
    require_image_set(text, "" in known, key)
    if text in SPLITS:
        return _sampled(_split(known[""], text, device), text, num, seed)
    name = data_name(text)
    if name is not None:
        data = known[name] if name in known else _composed(name, like)
        return _sampled(_split(data, text.partition(":")[2] or "train", device), text, num, seed)
    return _folder(text, num, seed, device)


def require_image_set(text: str, splits: bool, key: str = "images") -> None:
    """Check that a text names images, which are not looked at.

    Args:
        text: A split, a data set or a folder.
        splits: Whether a split alone will do.
        key: What the text was given as, for the error.

    Raises:
        ValueError: it is a split of no data.
        FileNotFoundError: no data set and no folder has this name.
    """
    if text in SPLITS and not splits:
        raise ValueError(f"{key} must name the data that a split belongs to, as in digits:{text}, got {text}")
    if text not in SPLITS and data_name(text) is None and not Path(text).expanduser().is_dir():
        names = ", ".join(options("data"))
        raise FileNotFoundError(
            f"{key} must be a split ({', '.join(SPLITS)}), a data set ({names}) or a folder, got {text}"
        )


def _sampled(side: Side, text: str, num: int | None, seed: int) -> Side:
    if num is None:
        return side
    if num > side.images.count:
        raise ValueError(f"num must be at most the {side.images.count} images of {text}, got {num}")
    return replace(side, images=side.images.sample(num, seed))


def tracked(images: ImageSet, title: str) -> ImageSet:
    """The same set, showing progress whenever it is read."""

    def batches() -> "Iterator[Batch]":
        with progress(f"{title} {images.name}", images.count) as advance:
            for batch in images.batches():
                yield batch
                advance(len(batch["image"]))

    return replace(images, batches=batches)


def _split(data: DictConfig, split: str, device: "torch.device") -> Side:
    module = build(data)
    for line in module.source.notes(module.num_classes) if isinstance(module.source, Noted) else ():
        print(line, file=sys.stderr)
    counts = None if module.num_classes is None else module.label_counts(split)
    return Side(image_set(module, split, device), data, counts, module)


def _folder(text: str, num: int | None, seed: int, device: "torch.device") -> Side:
    folder = PictureFolder(text, num, seed)
    for line in folder.notes():
        print(line, file=sys.stderr)
    found = folder.image_set()
    channels, height, width = folder.shape
    size = height if height == width else None
    data = {"channels": channels, "image_size": size, "shape": [channels, height, width], "num_classes": None}
    moved = replace(found, batches=partial(_moved, found, device))
    return Side(moved, OmegaConf.create(data), folder.label_counts())


def _moved(images: ImageSet, device: "torch.device") -> "Iterator[Batch]":
    return ({name: value.to(device) for name, value in batch.items()} for batch in images.batches())


def _composed(name: str, like: DictConfig | None) -> DictConfig:
    sizes = {} if like is None else {key: like[key] for key in ("image_size", "channels", "cache_dir")}
    return compose("evaluate", [f"data={name}", *(f"data.{key}={value}" for key, value in sizes.items() if value)]).data
