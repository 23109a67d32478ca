"""Texts of runs and papers inside files: as CSV, Markdown, LaTeX or a label, with nothing in them that acts."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from genexp.terminal import plain


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV.

    A text that a spreadsheet would take for a formula has an apostrophe in front, see `harmless`; numbers stay numbers.
    """
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([map(harmless, row) for row in rows])
    return file.getvalue()


def harmless(cell: object) -> object:
    """A cell that no spreadsheet computes: an apostrophe stands before texts that begin with `=`, `+`, `-`, `@`, a tab
    or an end of line, with or without spaces before it; a text that is a number stays as it is.

    Reference: CSV Injection, OWASP.
    """
    if not isinstance(cell, str):
        return cell
    text = plain(cell, lines=True)
    try:
        float(cell)
    except ValueError:
        return f"'{text}" if _FORMULA.match(cell) else text
    return text


_FORMULA = re.compile(r" *[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""Beginnings of formulas, full-width signs among them."""


def digest_text(value: object) -> str:
    """A value of a protocol as text: the first eight digits of a SHA-256; `not recorded` for None."""
    text = "not recorded" if value is None else str(value)
    return text[:8] if re.fullmatch("[0-9a-f]{64}", text) else text


def markdown_row(cells: Sequence[str]) -> str:
    """A row of a Markdown table; of Markdown in its cells, stars alone mean anything."""
    return "| " + " | ".join(map(markdown_text, cells)) + " |"


def markdown_text(text: str) -> str:
    """A text as Markdown shows it: one line without HTML, links, pictures, code and new cells."""
    return re.sub(r"[\\`<>&\[\]|]", r"\\\g<0>", plain(text))


def markdown_prose(text: str) -> str:
    """Sentences that an author wrote as Markdown, without HTML and control characters."""
    return re.sub("[<&]", r"\\\g<0>", plain(text.strip(), lines=True))


def markdown_code(text: str) -> str:
    """A text as code within a line of Markdown."""
    text = plain(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def web_link(link: str | None) -> str | None:
    """An address of the web, or None for what is none: a script, a file, or text that ends the place it stands in."""
    return link if link and re.fullmatch(r"https?://[^\s<>\"'`\\]+", link) else None


def latex_text(text: str) -> str:
    """A text in one line with the characters escaped that LaTeX would read as commands."""
    return "".join(_LATEX.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in plain(text))


def label_in_plot(text: str) -> str:
    """A text as matplotlib shows it: dollar signs do not begin mathematics."""
    return plain(text, lines=True).replace("$", r"\$")


_LATEX = {"\\": r"\textbackslash{}", "–": "--", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def latex_number(text: str) -> str:
    """A number for LaTeX's mathematics: `1.2e-05` as a power of ten."""
    return re.sub(r"e\+?(-?)0*(\d+)", r" \\cdot 10^{\1\2}", text)
