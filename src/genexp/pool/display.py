"""What a sweep shows while it runs: a live table in a terminal, a line an event elsewhere. Imports no torch."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genexp.pool.job_progress import Progress
from genexp.terminal import console, duration

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

HEADERS = ("job", "state", "images", "images/s", "newest value", "time left")


@dataclass
class Line:
    """One job as it is shown.

    Args:
        name: The job's number and what sets it apart.
        state: Its state.
        images: Length of its training.
        progress: How far it is.
    """

    name: str
    state: str
    images: float | None
    progress: Progress

    def cells(self) -> list[str]:
        """The line of the table."""
        seen, speed = self.progress.images_seen, self.progress.images_per_second
        running = self.state == "running"
        left = self.progress.seconds_left(self.images) if running else None
        return [
            self.name,
            self.state,
            f"{seen:,.0f}" + (f" / {self.images:,.0f}" if self.images else "") if seen else "",
            f"{speed:,.0f}" if speed and running else "",
            "" if self.progress.value is None else f"{self.progress.metric} {self.progress.value:.4g}",
            duration(left) if left is not None else "",
        ]


class Display:
    """Shows jobs on standard error.

    Args:
        lines: Gives the newest state of all jobs.
        refresh: Seconds between two looks in a terminal.
        plain_every: Seconds between two lines on running jobs where there is no terminal.
        rows: Most jobs shown at once; running ones come first.
    """

    def __init__(
        self, lines: Callable[[], list[Line]], refresh: float = 1.0, plain_every: float = 60.0, rows: int = 24
    ) -> None:
        self.lines, self.rows = lines, rows
        self.terminal = sys.stderr.isatty()
        self.every = refresh if self.terminal else plain_every
        self._next = time.monotonic() + (0 if self.terminal else self.every)
        self._live: Live | None = None

    def __enter__(self) -> "Display":
        if self.terminal:
            from rich.live import Live

            self._live = Live(console=console(sys.stderr), auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self._live is not None:
            self._live.console.print(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def tick(self) -> None:
        """Refresh when it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self.every
        lines = self.lines()
        if self._live is not None:
            self._live.update(table(chosen(lines, self.rows)), refresh=True)
            return
        for line in lines:
            if line.state == "running":
                self.say("  ".join(cell for cell in line.cells() if cell))


def chosen(lines: Sequence[Line], most: int) -> list[Line]:
    """The jobs worth a row when there are many: running ones, then failed, the next to come, the newest finished."""
    if len(lines) <= most:
        return list(lines)
    order = {"running": 0, "failed": 1, "timeout": 1, "interrupted": 1, "waiting": 2, "finished": 3, "pruned": 3}
    ranked = sorted(range(len(lines)), key=lambda i: (order[lines[i].state], -i if order[lines[i].state] == 3 else i))
    return [lines[i] for i in sorted(ranked[:most])]


def table(lines: Sequence[Line]) -> "Table":
    """The jobs as a table for a terminal."""
    from rich.box import SIMPLE_HEAVY
    from rich.table import Table
    from rich.text import Text

    colours = {"running": "bold", "finished": "green", "pruned": "yellow", "waiting": "dim"}
    shown = Table(box=SIMPLE_HEAVY, padding=(0, 1))
    for header in HEADERS:
        shown.add_column(header, overflow="fold" if header == "job" else "ellipsis", no_wrap=header != "job")
    for line in lines:
        shown.add_row(*(Text(cell) for cell in line.cells()), style=colours.get(line.state, "red"))
    return shown
