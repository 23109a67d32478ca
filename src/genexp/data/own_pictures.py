"""Pictures that a person names on the command line: a file, or a folder of them, brought to the size of a model."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from genexp.data.decoding import SEVERAL, open_picture, read_header
from genexp.data.listing import find_pictures, in_words
from genexp.data.picture_files import first_frames
from genexp.data.picture_tensors import Preparation
from genexp.data.source import BadImage
from genexp.tensors import to_float
from genexp.terminal import shown_path

_MIDDLE_GREY = 128


@dataclass(frozen=True)
class OwnPictures:
    """Pictures as images, in the order of their paths.

    Args:
        files: The files.
        images: Images (N, C, H, W) in [-1, 1].
        notes: What was seen, in lines for a person.
    """

    files: tuple[Path, ...]
    images: Tensor
    notes: tuple[str, ...] = ()


def own_pictures(
    given: str, image_size: int, channels: int, most: int | None = None, key: str = "images"
) -> OwnPictures:
    """Read a picture file, or the pictures below a folder: their largest central squares, resized.

    Args:
        given: The file or folder.
        image_size: Pixels a side of the images.
        channels: 1 grey, 3 RGB.
        most: Read the first so many at most.
        key: Name of what is read, for the errors.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: the folder holds no pictures.
        BadImage: a picture cannot be read.
    """
    return _read(files_of(given, key)[:most], Preparation(image_size, channels))


def masks_for(pictures: OwnPictures, given: str) -> Tensor:
    """Where pictures are kept: (N, 1, H, W) bool, or (1, 1, H, W) of one mask for all; white keeps, black does not.

    A mask is cut and resized as its picture is, each pixel by the nearest of the mask, so both have one size.

    Args:
        pictures: The pictures.
        given: The mask, or a folder with a mask for every picture: of the same name but for its ending, or in the same
            order where not all names agree or two files of a folder have one.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: there are neither one nor as many masks as pictures, one has another size than its picture, or one
            keeps all or nothing.
        BadImage: a mask cannot be read.
    """
    files = files_of(given, "mask")
    if Path(given).expanduser().is_dir() and len(files) < len(pictures.files):
        raise ValueError(
            f"mask must be one picture or one for each of {len(pictures.files)}, got {len(files)} in {given}"
        )
    named = {file.stem: file for file in files}
    stems = {file.stem for file in pictures.files}
    alike = 1 < len(files) == len(named) and len(stems) == len(pictures.files) and stems <= set(named)
    files = [named[file.stem] for file in pictures.files] if alike else files[: len(pictures.files)]
    for place, file in enumerate(pictures.files):
        mask = files[place % len(files)]
        ours, wanted = _size(mask), _size(file)
        if ours != wanted:
            words = [f"{width} x {height}" for width, height in (wanted, ours)]
            raise ValueError(
                f"mask must have the size of {shown_path(file)}, {words[0]} pixels, got {words[1]} of {mask}"
            )
    prepared = Preparation(pictures.images.shape[-1], 1, interpolation="nearest")
    known = torch.stack([_prepared(file, prepared)[0] for file in files]) >= _MIDDLE_GREY
    for file, each in zip(files, known, strict=True):
        if bool(each.all()) or not bool(each.any()):
            raise ValueError(f"mask must keep a part of its picture, white, and leave another to be drawn, got {file}")
    return known


def files_of(given: str, key: str) -> list[Path]:
    """The picture file that a text names, or those below the folder that it names, in the order of their paths.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: the folder holds no pictures.
        BadImage: a file of the folder cannot be read.
    """
    path = Path(given).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{key} must be a picture file or a folder of them, got {given}")
    if not path.is_dir():
        return [path]
    listing = find_pictures(path)
    if not listing.pictures:
        passed = in_words(listing.passed)
        raise ValueError(f"{key} must hold at least one picture, got none in {given}{f'; {passed}' if passed else ''}")
    return [Path(picture.file) for picture in listing.pictures]


def _read(files: list[Path], preparation: Preparation) -> OwnPictures:
    read = [_prepared(file, preparation) for file in files]
    several = [str(file) for file, (_, more) in zip(files, read, strict=True) if more]
    return OwnPictures(tuple(files), to_float(torch.stack([image for image, _ in read])), tuple(first_frames(several)))


def _prepared(file: Path, preparation: Preparation) -> tuple[Tensor, bool]:
    picture = open_picture(str(file))
    try:
        return preparation(picture), bool(picture.info[SEVERAL])
    except ValueError as error:
        raise BadImage(str(file), str(error)) from error


def _size(file: Path) -> tuple[int, int]:
    header = read_header(str(file))
    return header.width, header.height
