"""How far a running job is, from the end of its journal. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from genexp.runs.records import DamagedRun, journal_row, read_best


@dataclass
class Progress:
    """What the journal of a run says.

    Args:
        images_seen: Images trained on.
        images_per_second: Between the two newest lines; None before there are two.
        metric: Name of the monitored value; before its first measurement that of a loss, or None.
        value: The newest one.
    """

    images_seen: float = 0.0
    images_per_second: float | None = None
    metric: str | None = None
    value: float | None = None

    def seconds_left(self, images: float | None) -> float | None:
        """Time to a length of training, at the newest speed."""
        if not images or not self.images_per_second:
            return None
        return max(0.0, images - self.images_seen) / self.images_per_second


def read_progress(folder: Path, size: int = 8192) -> Progress:
    """Read the newest lines of `metrics.jsonl`; a torn line is left out.

    Args:
        folder: The run folder.
        size: Bytes to read from the end.
    """
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return Progress()
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        rows = [row for row in map(journal_row, file.read().splitlines()) if row is not None and "seconds" in row]
    progress = Progress()
    if not rows:
        return progress
    newest = rows[-1]
    progress.images_seen = newest["images_seen"]
    before = [row for row in rows if row["seconds"] < newest["seconds"] and row["images_seen"] < newest["images_seen"]]
    if before:
        span = newest["seconds"] - before[-1]["seconds"]
        progress.images_per_second = (newest["images_seen"] - before[-1]["images_seen"]) / span
    monitored = _monitored(folder)
    for row in rows:
        losses = [name for name in row if name.startswith("train/") and name.endswith("loss")]
        name = monitored if monitored in row else losses[0] if losses and monitored is None else None
        if name is not None:
            progress.metric, progress.value = name.split("@")[0], row[name]
    return progress


def _monitored(folder: Path) -> str | None:
    try:
        best = read_best(folder)
    except DamagedRun:  # the job itself tells it, which reads it when it ends; a display shows what it can
        return None
    return best["metric"] if best else None


def tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log."""
    if not path.is_file():
        return ""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 16384))
        return "\n".join(file.read().decode(errors="replace").rstrip().splitlines()[-lines:])
