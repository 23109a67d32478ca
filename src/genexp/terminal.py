"""What the terminal shows: times in words and tables that stay readable in a log file. Imports nothing heavy."""

import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_FEW_ROWS = 30
"""Rows of a table that a narrow terminal shows as a block of lines each."""


def duration(seconds: float) -> str:
    """Seconds in words a person reads: `48 s`, `2 min 05 s`, `3 h 20 min`."""
    if seconds != seconds or seconds == float("inf"):
        return "unknown time"
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def counted(count: int, word: str) -> str:
    """A number with its word: `1 thread`, `2 threads`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def shown_path(path: Path) -> str:
    """A path as a person would type it: relative to the working folder when it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def typed_path(path: Path) -> str:
    """A path as it can be typed into a shell, in quotes where it needs them."""
    return shlex.quote(shown_path(path))


def say_loading() -> None:
    """Tell a person at a terminal that the command has begun; the next line is written over it."""
    if sys.stderr.isatty():
        print("loading ...", end="\r", file=sys.stderr, flush=True)


def print_table(rows: list[tuple[str, str]]) -> None:
    """Two columns on standard output; boxed in a terminal, plain lines elsewhere so that nothing is cut or wrapped."""
    if not sys.stdout.isatty():
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            print(f"{name:<{width}}  {value}")
        return
    from rich.box import SIMPLE_HEAVY
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=SIMPLE_HEAVY, padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))
    Console().print(table)


def print_columns(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table with headers on standard output; aligned plain lines when not a terminal.

    A terminal that is too narrow gets a block of lines for each of a few rows, and plain lines for many: no number is
    broken in two.
    """
    widths = [max(len(line[i]) for line in (headers, *rows)) for i in range(len(headers))]
    narrow = sys.stdout.isatty() and sum(widths) + 3 * len(widths) > shutil.get_terminal_size().columns
    if narrow and len(rows) <= _FEW_ROWS:
        for row in rows:
            print()
            for header, cell in zip(headers, row, strict=True):
                print(f"{header:<{max(map(len, headers))}}  {cell}")
        return
    if narrow or not sys.stdout.isatty():
        for line in (headers, *rows):
            print("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
        return
    from rich.box import SIMPLE_HEAVY
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAVY, padding=(0, 1))
    for header in headers:
        table.add_column(header, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


@contextmanager
def progress(title: str, total: int, every: float = 10.0) -> Iterator[Callable[[float], None]]:
    """Progress over `total` images on standard error: a bar in a terminal, else a line every so many seconds.

    Yields:
        A function to be called with the number of images that have just been done.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(title, total=total)
            yield lambda count: bar.advance(task, count)
        return
    begun = shown = time.monotonic()
    done = 0.0

    def advance(count: float) -> None:
        nonlocal done, shown
        done += count
        now = time.monotonic()
        if now - shown >= every:
            shown = now
            left = duration((now - begun) / done * (total - done)) if done else "unknown time"
            print(f"{title}  {done:,.0f} / {total:,} images  {left} left", file=sys.stderr, flush=True)

    yield advance
