"""What a resumed run had logged before the checkpoint that it starts from, for loggers that begin a file anew."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

CAPTION = "Description"
"""The text in a PNG file that holds what a picture shows."""


@dataclass(frozen=True)
class LoggedPicture:
    """A picture drawn in training: `samples/<key>_<images seen>.png`."""

    path: Path
    key: str
    images_seen: int

    @classmethod
    def of(cls, path: Path) -> "LoggedPicture | None":
        """What a file's name says; None for another name."""
        found = re.fullmatch(r"(.+)_(\d{10,})", path.stem)
        return cls(path, found[1], int(found[2])) if found else None

    def read(self) -> tuple[np.ndarray, str]:
        """Pixels (H, W, 3) of 8 bits, and the caption.

        Raises:
            OSError: the file is damaged, or no PNG.
        """
        from PIL import Image

        with Image.open(self.path, formats=("PNG",)) as image:
            return np.array(image.convert("RGB")), str(image.info.get(CAPTION, f"{self.images_seen} images seen"))

    def moving(self) -> bytes | None:
        """The GIF beside it, where it shows videos."""
        path = self.path.with_suffix(".gif")
        return path.read_bytes() if path.is_file() else None


@dataclass(frozen=True)
class Past:
    """What lies behind the checkpoint that a run goes on from.

    Attributes:
        images_seen: Images seen by the checkpoint.
        rows: The journal's lines, each with `images_seen`.
        pictures: What has been drawn.
        repeats: Whether what follows in the journal comes again as it was: nothing of the run has been changed.
    """

    images_seen: int
    rows: list[dict[str, float]]
    pictures: list[LoggedPicture]
    repeats: bool = True

    def values(self) -> list[tuple[int, dict[str, float]]]:
        """Images seen and logged values of every line."""
        own = ("images_seen", "seconds")
        return [(int(row["images_seen"]), {k: v for k, v in row.items() if k not in own}) for row in self.rows]

    def drawings(self) -> Iterator[tuple[LoggedPicture, np.ndarray, str]]:
        """Every picture with its pixels (H, W, 3) and its caption; one that cannot be read is named and passed over."""
        for each in self.pictures:
            try:
                yield each, *each.read()
            except (OSError, SyntaxError) as error:  # Pillow raises both for damaged files
                print(f"picture     {each.path} cannot be read and is not logged again: {error}", file=sys.stderr)

    def log_again(self, log_values: "LogValues", log_pixels: Callable[[str, np.ndarray, int], None]) -> None:
        """Give all values, then all pictures, to a logger that begins a file anew.

        Args:
            log_values: Takes values by their names, and images seen as `step`.
            log_pixels: Takes a key, pixels (H, W, 3) and images seen.
        """
        for images_seen, values in self.values():
            log_values(values, step=images_seen)
        for each, pixels, _ in self.drawings():
            log_pixels(each.key, pixels, each.images_seen)

    def at_checkpoint(self) -> "Past":
        """What was logged with the checkpoint's own number of images seen."""
        rows = [row for row in self.rows if row["images_seen"] == self.images_seen]
        pictures = [each for each in self.pictures if each.images_seen == self.images_seen]
        return Past(self.images_seen, rows, pictures, self.repeats)


class LogValues(Protocol):
    """A logger's `log_metrics`."""

    def __call__(self, metrics: Mapping[str, float], step: int | None = None) -> None: ...


@runtime_checkable
class Remembers(Protocol):
    """A logger that has something to do with what was logged before it began."""

    def remember(self, past: Past) -> None: ...


@runtime_checkable
class Closes(Protocol):
    """A logger that has to be told the closing values of a run."""

    def close(self, summary: Mapping[str, float], exit_code: int = 0) -> None:
        """End it; of a run that failed with another code than 0."""
        ...

    def sync_command(self) -> str | None:
        """What uploads what was kept on this machine."""
        ...


def tell(loggers: Mapping[str, "Logger"], past: Past) -> None:
    """Tell the past to every logger that has something to do with it."""
    for logger in loggers.values():
        if isinstance(logger, Remembers):
            logger.remember(past)
