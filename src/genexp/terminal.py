"""What the terminal shows: times in words and tables that stay readable in a log file. Imports nothing heavy."""

import sys
from pathlib import Path


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


def shown_path(path: Path) -> str:
    """A path as a person would type it: relative to the working folder when it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


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
