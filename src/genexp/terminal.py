"""What the terminal shows: times in words, tables that stay readable in a log file, near words; no control characters.

Imports nothing heavy.
"""

import difflib
import os
import re
import select
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType

_FEW_ROWS = 30
"""Rows of a table that a narrow terminal shows as a block of lines each."""


_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What steers a terminal or turns the direction of writing, and what no file can hold; tabs and ends of lines aside."""


def plain(text: str, lines: bool = False) -> str:
    r"""A text that only shows: control characters as `\x1b`, colours left out.

    Args:
        text: Any text, such as a name from another person's folder.
        lines: Whether ends of lines and tabs stay as they are.
    """
    text = _CONTROL.sub(_named, _COLOURS.sub("", text))
    return text if lines else re.sub("[\t\n]", _named, text)


def _named(found: re.Match[str]) -> str:
    return {"\t": r"\t", "\n": r"\n", "\r": r"\r"}.get(found[0]) or ascii(found[0])[1:-1]


class PlainStream:
    """A text stream on which nothing but text arrives, whoever writes; the carriage returns of a progress line stay.

    Args:
        raw: The stream behind it.
    """

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        """Write `plain` text; returns the number of characters given."""
        inside = text.strip("\r\n")
        before = len(text) - len(text.lstrip("\r\n"))
        shown = plain(inside.replace("\r\n", "\n"), lines=True)
        self.raw.write(text if not inside else f"{text[:before]}{shown}{text[before + len(inside) :]}")
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


def reader_left() -> bool:
    """Whether nobody reads the output any more, as after `| head`; what is still to be written is dropped then."""
    try:
        output, asked = sys.stdout.fileno(), select.poll()
    except (AttributeError, OSError):  # no file of this process, or no such question on this system
        return False
    asked.register(output, 0)
    left = any(what & select.POLLERR for _, what in asked.poll(0))
    if left:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)  # Python itself writes what is left as it leaves
    return left


def keep_output_plain() -> None:
    """Put a `PlainStream` before standard output and standard error for the rest of this process."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, PlainStream):
            setattr(sys, name, PlainStream(stream))


def console(stream: TextIO) -> "Console":
    """Rich's console on a stream: what it draws itself has colours, the texts in it are plain and hold no markup."""
    from rich.console import Console
    from rich.segment import Segment

    class PlainConsole(Console):
        def render(self, renderable: "RenderableType", options: "ConsoleOptions | None" = None) -> Iterator[Segment]:
            for each in super().render(renderable, options):
                yield each if each.control else Segment(plain(each.text, lines=True), each.style)

    raw = stream.raw if isinstance(stream, PlainStream) else stream
    return PlainConsole(file=raw, markup=False, highlight=False)


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


def few_digits(number: float) -> str:
    """A number in a label: whole as it is, else rounded to three significant digits, or to a whole number from 100 on.

    `1000`, `0.123`, `12.5`, `1.23e-05`.
    """
    return f"{number:.0f}" if abs(number) >= 100 or float(number).is_integer() else f"{number:.3g}"


def counted(count: int, word: str) -> str:
    """A number with its word: `1 thread`, `2 threads`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def share_in_words(share: float) -> str:
    """A share from 0 to 1 of what agrees by chance, bounded from below: `one in 1e+06`, `a share of 0.3`."""
    least = max(share, 1e-300)  # below which 1 over it, or the share itself, is no float
    return f"one in {1 / least:.3g}" if least < 0.1 else f"a share of {share:.2g}"


def shown_path(path: Path) -> str:
    """A path as a person would type it: relative when it lies below the working folder, or below that one's parent."""
    here = Path.cwd()
    if path.is_relative_to(here):
        return str(path.relative_to(here))
    beside = path.is_relative_to(here.parent) and len(here.parts) > 3
    return str(Path("..") / path.relative_to(here.parent)) if beside else str(path)


def typed_path(path: Path) -> str:
    """A path as it can be typed into a shell, in quotes where it needs them."""
    return shlex.quote(shown_path(path))


def say_loading() -> None:
    """Tell a person at a terminal that the command has begun; the next line is written over it."""
    if sys.stderr.isatty():
        print("loading ...", end="\r", file=sys.stderr, flush=True)


def print_table(rows: list[tuple[str, str]]) -> None:
    """Two columns on standard output; boxed in a terminal, plain lines elsewhere so that nothing is cut or wrapped."""
    rows = [(plain(name), plain(value)) for name, value in rows]
    if not sys.stdout.isatty():
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            print(f"{name:<{width}}  {value}")
        return
    from rich.box import SIMPLE_HEAVY
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=SIMPLE_HEAVY, padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))
    console(sys.stdout).print(table)


def print_columns(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table with headers on standard output; aligned plain lines when not a terminal.

    A terminal that is too narrow gets a block of lines for each of a few rows, and plain lines for many: no number is
    broken in two.
    """
    headers, *rows = [[plain(cell) for cell in line] for line in (headers, *rows)]
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
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAVY, padding=(0, 1))
    for header in headers:
        table.add_column(header, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console(sys.stdout).print(table)


@contextmanager
def progress(title: str, total: int, every: float = 10.0) -> Iterator[Callable[[float], None]]:
    """Progress over `total` images on standard error: a bar in a terminal, else a line every so many seconds.

    Yields:
        A function to be called with the number of images that have just been done.
    """
    if sys.stderr.isatty():
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        name = TextColumn("{task.description}", markup=False)
        columns = (name, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
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


def nearest(word: str, known: Iterable[object], cutoff: float = 0.6) -> str | None:
    """The known name that is most like a word, or None where none is like it.

    Args:
        word: What was typed.
        known: All names.
        cutoff: How like it must be, from 0 to 1, the ratio of `difflib`.
    """
    return next(iter(difflib.get_close_matches(word, [str(name) for name in known], n=1, cutoff=cutoff)), None)
