"""The command lines of the README and of docs/, as they stand there, and what each test has typed of them."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
_COMMANDS = "train|sample|evaluate|stylize|restore|play|augment|export|import|new|compare|reproduce|sweep|validate|info"
_LINE = re.compile(
    rf"(?:GENEXP_\w+=\S+ )?(?:uv run )?\bgenexp (?:{_COMMANDS})\b(?: [^`]*)?|uv run [^`]+"
    r"|(?:pip install|git clone|wandb sync)\b[^`]*"
)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_COMMENT = re.compile(r"\s+#\s.*")


def lines_of(page: str) -> list[str]:
    """Every line of a page that a reader may type: whole lines of its blocks, and inline code that is a command."""
    text = (ROOT / page).read_text()
    blocks = [body for kind, body in _FENCE.findall(text) if kind in ("", "bash", "sh")]
    found = [match.group() for body in blocks for line in body.splitlines() if (match := _LINE.search(line))]
    spans = [span for span in _SPAN.findall(_FENCE.sub("", text)) if _LINE.fullmatch(span)]
    return list(dict.fromkeys(_COMMENT.sub("", line).strip() for line in (*found, *spans)))


def all_lines() -> dict[str, list[str]]:
    """Every line with the pages that it stands on."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        for line in lines_of(page):
            found.setdefault(line, []).append(page)
    return found


def snippets_of(page: str) -> list[str]:
    """Python that a page shows: its blocks, and inline code that assigns what genexp gives."""
    text = (ROOT / page).read_text()
    blocks = [body for kind, body in _FENCE.findall(text) if kind == "python"]
    return [*blocks, *(span for span in _SPAN.findall(_FENCE.sub("", text)) if "genexp." in span and " = " in span)]


def choices(column: str = "| `genexp train ") -> Iterator[tuple[str, list[str]]]:
    """Rows of the README's table of words: the line, and what the second column offers in its place, in code."""
    for row in (ROOT / "README.md").read_text().splitlines():
        if row.startswith(column):
            line, offered = row.strip("| ").split(" | ", 1)
            yield line.strip("` "), _SPAN.findall(offered)


def words_of(page: str) -> list[str]:
    """Overrides in running text: inline code such as `model=gan` that leaves nothing open."""
    text = _FENCE.sub("", (ROOT / page).read_text())
    return [span for span in dict.fromkeys(_SPAN.findall(text)) if re.fullmatch(r"[a-z][\w./]*=[\w./,\[\]+-]+", span)]
