"""Pairs of a content and a style picture for style transfer."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, get_args

import torch
from PIL import Image
from torch import Tensor

from genexp.data import decoding, picture_tensors, sixteen_bits
from genexp.data.decoding import MAX_PIXELS, open_picture
from genexp.data.folder import Folder
from genexp.data.listing import ListedPicture, picture_file
from genexp.data.picture_files import ImageFiles
from genexp.data.picture_tensors import Preparation, to_tensor, with_channels
from genexp.data.scikit_learn_files import PHOTOGRAPHS, scikit_learn_file
from genexp.data.source import Split, fingerprint, require_split
from genexp.data.split_folders import OnBadImage
from genexp.data.store import Subset, survey
from genexp.on_disk import OnDisk
from genexp.tensors import mix_seed

Crop = Literal["random", "centre"]
Root = Annotated[str | Path, OnDisk("file or folder", PHOTOGRAPHS)]


class Photographs:
    """RGB pictures of any size that crops are taken from.

    Args:
        root: A folder of pictures, one picture file, `china.jpg` or `flower.jpg` for the photograph of that name in
            scikit-learn, or a list of these. A single picture serves as train, val and test.
        val_share: Share of a folder's pictures held out as val where there is no val folder.
        test_share: Share of a folder's pictures held out as test where there is no test folder.
        on_bad_image: `error` stops at a picture that cannot be used, `skip` leaves it out and reports it.
        max_pixels: Largest width times height that is decoded.
        cache_dir: Folder in which the survey of the pictures is kept; null keeps none.
    """

    def __init__(
        self,
        root: Root | Sequence[Root],
        val_share: float = 0.05,
        test_share: float = 0.05,
        on_bad_image: OnBadImage = "error",
        max_pixels: int = MAX_PIXELS,
        cache_dir: str | Path | None = None,
    ) -> None:
        roots = [root] if isinstance(root, str | Path) else list(root)
        if not roots:
            raise ValueError("root must name at least one folder or picture, got none")
        self.folders = [
            Folder(at, 1, val_share=val_share, test_share=test_share, on_bad_image=on_bad_image, max_pixels=max_pixels)
            for at in roots
        ]
        self.max_pixels, self.skip, self.cache_dir = max_pixels, on_bad_image == "skip", cache_dir

    def files(self, split: Split, image_size: int) -> tuple[list[str], str]:
        """Usable picture files of a split, and the digest of their central squares at `image_size` pixels."""
        files = self._listed(split)
        stored = survey(ImageFiles(files, None, Preparation(image_size), self.max_pixels, self.skip), self.cache_dir)
        if isinstance(stored.examples, Subset):
            files = [files[row] for row in stored.examples.rows.tolist()]
        return [picture.file for picture in files], stored.digest

    def notes(self) -> list[str]:
        """What was found in the folders, in lines for a person."""
        return [line for folder in self.folders if folder.root.is_dir() for line in folder.notes(None)]

    def _listed(self, split: Split) -> list[ListedPicture]:
        return [file for folder in self.folders for file in _files(folder, split)]


def _files(folder: Folder, split: Split) -> list[ListedPicture]:
    root = folder.root
    if not root.exists() and str(root) in PHOTOGRAPHS:
        root = scikit_learn_file("images", str(root))
    if root.exists() and not root.is_dir():
        return [picture_file(str(root), root.name)]
    chosen = folder.pictures[split]
    if not chosen:
        raise ValueError(f"{split}_share must be above 0, or {root / split} must hold pictures, to use {split}")
    return chosen


class ContentStyle:
    """Endless pairs of crops for training, and fixed pairs for validation; columns `content` and `style`, no labels.

    Train pair i shows random crops (or whole central squares) that depend on `first_pair` + i alone. Val and test pairs
    go through all combinations of the pictures, cut to their central squares, or are random crops of their own.

    Args:
        content: Content pictures.
        style: Style pictures.
        image_size: Pixels a side of both.
        resize: Pixels of the shorter side before a random crop is taken.
        crop: `random`, or `centre` for the largest central square, always the same for one pair.
        train_pairs: Pairs until crops repeat.
        eval_pairs: Largest number of val, and of test, pairs.
        eval_crop: `centre` for central squares, or `random` for `eval_pairs` pairs of random crops, other ones than in
            training.
        whole_styles: Show the largest central squares of styles, whatever `crop` and `eval_crop` say.
        style_size: Pixels a side of styles; None for `image_size`.
        first_pair: Number of the first train pair: with `train_pairs` of 1, every number is another pair of crops.

    Raises:
        ValueError: an argument is out of range.
    """

    classes = None

    def __init__(
        self,
        content: Photographs,
        style: Photographs,
        image_size: int,
        resize: int,
        crop: Crop = "random",
        train_pairs: int = 100_000,
        eval_pairs: int = 16,
        eval_crop: Crop = "centre",
        first_pair: int = 0,
        whole_styles: bool = False,
        style_size: int | None = None,
    ) -> None:
        if not 1 <= image_size <= resize:
            raise ValueError(f"image_size must lie in [1, resize={resize}], got {image_size}")
        if style_size is not None and not 1 <= style_size <= resize:
            raise ValueError(f"style_size must lie in [1, resize={resize}], got {style_size}")
        for name, value in (("crop", crop), ("eval_crop", eval_crop)):
            if value not in get_args(Crop):
                raise ValueError(f"{name} must be random or centre, got {value!r}")
        if min(train_pairs, eval_pairs) < 1:
            raise ValueError(f"train_pairs and eval_pairs must be at least 1, got {train_pairs} and {eval_pairs}")
        if first_pair < 0:
            raise ValueError(f"first_pair must not be negative, got {first_pair}")
        self.content, self.style, self.image_size, self.resize = content, style, image_size, resize
        self.crop, self.train_pairs, self.eval_pairs = crop, train_pairs, eval_pairs
        self.eval_crop, self.first_pair = eval_crop, first_pair
        self.whole_styles, self.style_size = whole_styles, image_size if style_size is None else style_size

    def notes(self, num_classes: int | None) -> list[str]:
        """What was found, in lines for a person."""
        found = {"content": self.content.notes(), "style": self.style.notes()}
        return [f"{name}: {line}" for name, lines in found.items() for line in lines]

    def split(self, name: Split) -> "PairExamples":
        """The pairs of one split; every picture is checked first."""
        require_split(name)
        return PairExamples(self, name)


class PairExamples:
    """Pairs of one split, cropped when they are read."""

    generated = True

    def __init__(self, source: ContentStyle, name: Split) -> None:
        training = name == "train"
        self.source, self.random = source, (source.crop if training else source.eval_crop) == "random"
        self.first = source.first_pair if training else 0
        self.stream = () if training else (("val", "test").index(name) + 1,)
        self.content, content_digest = source.content.files(name, source.resize)
        self.style, style_digest = source.style.files(name, source.resize)
        combinations = source.eval_pairs if self.random else len(self.content) * len(self.style)
        self.count = source.train_pairs if training else min(source.eval_pairs, combinations)
        self.fingerprint = fingerprint(
            __file__,
            picture_tensors.__file__,
            decoding.__file__,
            sixteen_bits.__file__,
            content=content_digest,
            style=style_digest,
            image_size=source.image_size,
            resize=source.resize if self.random else None,
            crops=[self.first, *self.stream] if self.random else None,
            count=self.count,
            styles=[source.whole_styles, source.style_size],
        )

    def __len__(self) -> int:
        return self.count

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """Content and style images (B, 3, H, W) uint8."""
        pairs = [self._random_pair(row) if self.random else self._fixed_pair(row) for row in rows.tolist()]
        content, style = zip(*pairs, strict=True)
        return {"content": torch.stack(content), "style": torch.stack(style)}

    def _fixed_pair(self, row: int) -> tuple[Tensor, Tensor]:
        content = self.content[row % len(self.content)]
        style = self.style[row // len(self.content) % len(self.style)]
        return self._centre(content, self.source.content, self.source.image_size), self._central_style(style)

    def _centre(self, path: str, photographs: Photographs, size: int) -> Tensor:
        return _central_square(path, size, photographs.max_pixels)

    def _central_style(self, path: str) -> Tensor:
        return self._centre(path, self.source.style, self.source.style_size)

    def _random_pair(self, row: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(mix_seed(self.first + row, *self.stream))
        draws = torch.rand(6, generator=generator, dtype=torch.float64).tolist()
        content = self._random_crop(self.content, self.source.content, self.source.image_size, *draws[:3])
        if self.source.whole_styles:
            return content, self._central_style(self.style[int(draws[3] * len(self.style))])
        return content, self._random_crop(self.style, self.source.style, self.source.style_size, *draws[3:])

    def _random_crop(
        self, files: list[str], photographs: Photographs, size: int, which: float, down: float, right: float
    ) -> Tensor:
        """The crop at a position given by three numbers in [0, 1)."""
        picture = _resized(files[int(which * len(files))], self.source.resize, photographs.max_pixels)
        height, width = picture.shape[1:]
        top, left = int(down * (height - size + 1)), int(right * (width - size + 1))
        return picture[:, top : top + size, left : left + size]


@lru_cache(maxsize=128)
def _resized(path: str, resize: int, max_pixels: int) -> Tensor:
    picture = with_channels(open_picture(path, max_pixels), 3)
    scale = resize / min(picture.size)
    width, height = (max(resize, round(side * scale)) for side in picture.size)
    return to_tensor(picture.resize((width, height), Image.Resampling.BILINEAR))


@lru_cache(maxsize=128)
def _central_square(path: str, image_size: int, max_pixels: int) -> Tensor:
    return Preparation(image_size)(open_picture(path, max_pixels))
