"""Sample grids of an ablation: one picture a variant, and smaller copies for publishing."""

import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genexp.ablations.report.files import safe_name
from genexp.ablations.report.study import Labels, Study
from genexp.ablations.report.values import label_text, variants
from genexp.files.writing import write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


def write_pictures(study: Study, folder: Path) -> dict[Labels, Path]:
    """Copy the first picture of every variant that has one.

    Args:
        study: Its `pictures` count; a search keeps a picture for each of its settings.
        folder: Where `<variant>.png` goes.
    """
    found = {}
    for labels in variants(study, with_search=True):
        files = [path for path in study.pictures.get(labels, []) if path.is_file()]
        if files:
            found[labels] = folder / f"{safe_name(label_text(labels))}.png"
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(found[labels], files[0].read_bytes())
    return found


def gallery_columns(study: Study, shown: list[Labels]) -> int:
    """How many grids stand side by side: one for each value of the last axis that varies, at most six."""
    last = [axis for axis in study.axes if len({dict(labels)[axis] for labels in shown}) > 1][-1:]
    count = len({dict(labels)[last[0]] for labels in shown}) if last else 1
    return count if 1 < count <= 6 and count < len(shown) else min(4, max(1, len(shown)))


def smaller(contents: Sequence[bytes], limit: int) -> list[bytes]:
    """Grids of samples as PNG files of at most so many bytes together, or as near as leaves one tile each.

    Pictures are written anew with a palette if that loses nothing; then all lose rows and columns of tiles at the end,
    so that they stay comparable. A picture without white lines between tiles is halved instead.

    Args:
        contents: PNG files.
        limit: Bytes.
    """
    from PIL import Image

    pictures = [Image.open(io.BytesIO(content), formats=("PNG",)).convert("RGB") for content in contents]
    written = [min(_png(picture), content, key=len) for picture, content in zip(pictures, contents, strict=True)]
    while sum(map(len, written)) > limit:
        cut = [_cut(picture) for picture in pictures]
        if all(each is None for each in cut):
            break
        for n, each in enumerate(cut):
            if each is not None:
                pictures[n], written[n] = each, _png(each)
    return written


def _png(picture: "Picture") -> bytes:
    """The picture with as few bits as hold it exactly."""
    from PIL import Image

    colours = picture.getcolors(256)
    red, green, blue = picture.split()
    if red.tobytes() == green.tobytes() == blue.tobytes():
        picture = red
    elif colours is not None:
        known = [colour for _, colour in sorted(colours)]
        place = {colour: number for number, colour in enumerate(known)}
        flat = bytes(place[each] for each in zip(red.tobytes(), green.tobytes(), blue.tobytes(), strict=True))
        picture = Image.frombytes("P", picture.size, flat)
        picture.putpalette([level for colour in known for level in colour])
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return file.getvalue()


def _cut(picture: "Picture") -> "Picture":
    """Without the last column and row of tiles; half the size where there are no tiles; None at the least size."""
    from PIL import Image

    across, down = tile_ends(picture)
    if len(across) > 1 or len(down) > 1:
        right = across[-2] if len(across) > 1 else picture.width
        bottom = down[-2] if len(down) > 1 else picture.height
        return picture.crop((0, 0, right, bottom))
    if across or min(picture.size) <= 32:
        return None
    return picture.resize((picture.width // 2, picture.height // 2), resample=Image.Resampling.BOX)


def tile_ends(picture: "Picture") -> tuple[list[int], list[int]]:
    """Where tiles end, across and down, with the white lines behind them; both empty if the picture is no grid."""
    import numpy as np

    pixels = np.asarray(picture)
    ends = [_ends((pixels == 255).all(axis=axes).tolist()) for axes in ((0, 2), (1, 2))]
    return (ends[0], ends[1]) if all(ends) else ([], [])


def _ends(white: list[bool]) -> list[int]:
    if not (white[0] and white[-1]) or all(white):
        return []
    border = white.index(False)
    ends = [place + border for place in range(1, len(white)) if white[place] and not white[place - 1]]
    regular = len({after - before for before, after in itertools.pairwise([border, *ends])}) == 1
    return ends if regular else []
