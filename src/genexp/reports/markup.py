"""Texts inside tables: digests cut short, lines of Markdown, and LaTeX with its own characters escaped."""

import re
from collections.abc import Sequence


def digest_text(value: object) -> str:
    """A value of a protocol as text: the first eight digits of a SHA-256; `not recorded` for None."""
    text = "not recorded" if value is None else str(value)
    return text[:8] if re.fullmatch("[0-9a-f]{64}", text) else text


def markdown_row(cells: Sequence[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def latex_text(text: str) -> str:
    """A text with the characters escaped that LaTeX would read as commands."""
    return "".join(_LATEX.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


_LATEX = {"\\": r"\textbackslash{}", "–": "--", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def latex_number(text: str) -> str:
    """A number for LaTeX's mathematics: `1.2e-05` as a power of ten."""
    return re.sub(r"e\+?(-?)0*(\d+)", r" \\cdot 10^{\1\2}", text)
