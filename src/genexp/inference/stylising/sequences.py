"""Sequences of frames: which they are, and how steady what was painted of them is."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MOST_FRAMES = 2_000
"""Frames of a file that are read at most: a small file can claim any number."""


def count_frames(path: Path | None) -> int:
    """The number of frames of a file with several, such as a GIF.

    Raises:
        ValueError: there is no file, or it has one frame, or more than are read.
        BadImage: it cannot be read.
    """
    from genexp.data.decoding import frame_count

    count = 0 if path is None else frame_count(str(path))
    if not 2 <= count <= MOST_FRAMES:
        raise ValueError(
            f"content must be a folder of frames, or a file of 2 to {MOST_FRAMES} frames, with sequence=true, "
            f"got {count} in {path}"
        )
    return count


def in_their_order(files: Sequence[Path]) -> tuple[Path, ...]:
    """Frames by the numbers in their names: `2.png` before `10.png`."""

    def key(path: Path) -> list[tuple[int, int, str]]:
        parts = re.split(r"(\d+)", str(path))
        return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]

    return tuple(sorted(files, key=key))


def require_one_size(sizes: Iterable[tuple[int, int]]) -> None:
    """Raise ValueError unless frames, as (height, width), have one size."""
    found = sorted({f"{width} x {height}" for height, width in sizes})
    if len(found) > 1:
        raise ValueError(f"frames of a sequence must have one size, got {', '.join(found[:3])}")


class Steadiness:
    """How much successive results change, beside how much their contents do: means over pixels of what is shown.

    Where the contents stand still, all change of the results is flicker; where things move, results that are steady
    change about as much as the contents. What moved where is not known here, see `warp_error`.
    """

    def __init__(self) -> None:
        self._last: tuple[Tensor, Tensor] | None = None
        self._changes: list[tuple[float, float]] = []

    def see(self, content: "Tensor", result: "Tensor") -> None:
        """Take the next frame and its result, (1, 3, H, W) in [-1, 1], each of the size that it has throughout."""
        if self._last is not None:
            pairs = zip(self._last, (content, result), strict=True)
            self._changes.append(tuple(float((after - before).abs().mean()) for before, after in pairs))
        self._last = content, result

    def words(self) -> str:
        """Both mean changes in levels of 255, and their ratio, for a person."""
        contents, results = (127.5 * sum(each) / len(each) for each in zip(*self._changes, strict=True))
        ratio = f", {results / contents:.2f} times" if contents > 0 else ""
        return f"frames change by {results:.2f} of 255 levels, those of the content by {contents:.2f}{ratio}"


def warp_error(results: "Tensor", motion: tuple[int, int]) -> float:
    """Mean absolute difference of each frame from the one before, moved by a known motion, where both are seen.

    Args:
        results: Frames (T, C, H, W), T at least 2.
        motion: Whole pixels down and right by which everything moves from a frame to the next.

    Returns:
        In units of the pixels; 0 for results that move as the content does.
    """
    down, right = motion
    height, width = results.shape[-2:]
    rows = slice(max(down, 0), height + min(down, 0)), slice(max(-down, 0), height + min(-down, 0))
    columns = slice(max(right, 0), width + min(right, 0)), slice(max(-right, 0), width + min(-right, 0))
    after, before = results[1:, :, rows[0], columns[0]], results[:-1, :, rows[1], columns[1]]
    return float((after - before).abs().mean())
