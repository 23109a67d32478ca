"""Pictures that runs drew during training, as data for a page, within a limit on its size."""

import base64
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from genexp.files.trees import Tree
from genexp.reports.table import Comparison

_NAME = re.compile(r"(?P<key>.+)_(?P<images>\d{10})\.png")
_STEPS = 12
"""Pictures of one run that a page aims for, evenly spaced over training; more only while there is room for all."""


@dataclass(frozen=True)
class ShownPicture:
    """One picture of a run.

    Args:
        run: Number of the run.
        key: What it shows: `samples`, `reconstructions`, ...
        images_seen: Training images seen when it was drawn.
        path: The PNG file.
        size: Bytes of the file.
    """

    run: int
    key: str
    images_seen: int
    path: Path
    size: int


def pictures_of(comparison: Comparison, limit: int) -> Tree:
    """Pictures as base64 text, with how many there are and how many are held.

    The last picture of every run comes first, in the order of the table, then the others of the first rows; none is
    added that would pass the limit.

    Args:
        comparison: The runs.
        limit: Bytes that the pictures may take together, as base64.
    """
    drawn = {i: pictures_in(i, run.folder.samples) for i, run in enumerate(comparison.runs)}
    order = [i for row in comparison.rows for i in row.runs]
    ends, early, rest = [], [], []
    for i in order:
        by_key: dict[str, list[ShownPicture]] = {}
        for picture in drawn[i]:
            by_key.setdefault(picture.key, []).append(picture)
        for found in by_key.values():
            ends.append(found[-1])
            some = {round(n * (len(found) - 1) / (_STEPS - 1)) for n in range(_STEPS)}
            early += [picture for n, picture in enumerate(found[:-1]) if n in some]
            rest += [picture for n, picture in enumerate(found[:-1]) if n not in some]
    held, used = [], 0
    for picture in (*ends, *early, *rest):
        cost = 4 * -(-picture.size // 3)
        if used + cost <= limit:
            used += cost
            held.append(picture)
    held.sort(key=lambda picture: (picture.run, picture.key, picture.images_seen))
    return {
        "held": len(held),
        "drawn": sum(len(found) for found in drawn.values()),
        "pictures": [_record(picture) for picture in held],
        "seeds": {i: run.settings.get("callbacks.sample_grid.seed") for i, run in enumerate(comparison.runs)},
    }


def pictures_in(run: int, folder: Path) -> list[ShownPicture]:
    """The pictures drawn during training, in the order of images seen; others in the folder do not count."""
    if not folder.is_dir():
        return []
    found = []
    for path in folder.iterdir():
        name = _NAME.fullmatch(path.name)
        if name and path.is_file():
            found.append(ShownPicture(run, name["key"], int(name["images"]), path, path.stat().st_size))
    return sorted(found, key=lambda picture: (picture.key, picture.images_seen))


def _record(picture: ShownPicture) -> list[str | int]:
    content = picture.path.read_bytes()
    width, height = struct.unpack(">II", content[16:24]) if content[12:16] == b"IHDR" else (0, 0)
    return [picture.run, picture.key, picture.images_seen, width, height, base64.b64encode(content).decode()]
