"""The model card of an exported run: its data and training, what was measured and how, what it is for and its use."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from genexp.files.trees import Tree
from genexp.runs.lineage import lineage
from genexp.runs.markup import digest_text, markdown_prose, markdown_row, markdown_text
from genexp.runs.measurements import Measurement, measurements
from genexp.runs.stored import StoredRun, read_run

if TYPE_CHECKING:
    from genexp.inference.run import Run

_PROTOCOL = ("n_generated", "reference", "weights", "sampler", "seed")
_USE = (
    "Research on image generation: images like those of its data. It was not examined for how it treats groups of "
    "people."
)
_UNKNOWN = "not examined (`copies=1000` draws so many samples and looks for training images among them)"


@dataclass(frozen=True)
class Card:
    """What a format says of a run in its card.

    Attributes:
        says: What was exported, and how near it is to the run.
        library: Name of the library that loads it.
        code: Lines of Python that use it.
        facts: Rows of the table of facts.
        front: What else stands in the front matter.
    """

    says: str
    library: str
    code: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    front: Tree = field(default_factory=dict)


@dataclass(frozen=True)
class Release:
    """What is said of a run when it is handed on, whatever the format.

    Attributes:
        licence: Name of the licence, or None.
        use: What the model is meant for, in Markdown, or None.
        copies: Whether it gives back training images, in a sentence; None where nobody looked.
    """

    licence: str | None = None
    use: str | None = None
    copies: str | None = None


def model_card(run: "Run", card: Card, weights: Path, release: Release) -> str:
    """The text of `README.md`.

    Args:
        run: The run.
        card: What the format says.
        weights: The file of weights.
        release: What is said of it when it is handed on.
    """
    stored, several = read_run(run.folder.path), len(run.members) > 1
    front = {"license": release.licence or "unknown", "library_name": card.library, "tags": ["genexp"], **card.front}
    facts = [
        ("data", data_of(run, stored)),
        *card.facts,
        *_training(run, stored),
        ("weights", f"{run.weights}, {run.checkpoint.name}"),
        ("run", ids_of(run)),
        *lineage(stored),
        ("copies of training images", release.copies or _UNKNOWN),
        (f"sha256 of the checkpoint{'s and their shares' if several else ''}", run.digest),
        (f"sha256 of {weights.name}", hashlib.sha256(weights.read_bytes()).hexdigest()),
        ("licence", release.licence or "not stated"),
    ]
    found = [each for each in measurements(stored) if each.protocol is not None and not several]
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        f"# {markdown_text(stored.name)}",
        card.says,
        "\n".join([markdown_row(("what", "value")), "|---|---|", *(markdown_row(each) for each in facts)]),
        "## Intended use\n\n" + (_USE if release.use is None else markdown_prose(release.use)),
        f"## Use\n\n```python\n{card.code}```",
        "## Measured\n\n" + (_table(found) if found else "Nothing was measured under a protocol."),
    ]
    return "\n\n".join(parts) + "\n"


def ids_of(run: "Run") -> str:
    """The run's id, or those of all runs that its weights are the mean of."""
    return ", ".join(str(read_run(member.folder.path).id) for member in run.members)


def data_of(run: "Run", stored: StoredRun) -> str:
    """Name of the data that a run was trained on."""
    return str(stored.choices.get("data") or run.config.data.get("_target_") or "not recorded")


def _training(run: "Run", stored: StoredRun) -> list[tuple[str, str]]:
    record = stored.record
    commit, cpu = record.get("git") or {}, (record.get("hardware") or {}).get("cpu") or {}
    gpus = (record.get("hardware") or {}).get("gpus") or []
    machine = ", ".join(str(each.get("name", each) if isinstance(each, dict) else each) for each in gpus)
    rows = [
        ("images seen", f"{run.model.images_seen:,}"),
        ("seed", str(stored.settings.get("seed", "not recorded"))),
        ("trained on", machine or str(cpu.get("name") or "not recorded")),
        ("commit", f"{commit.get('commit') or 'not recorded'}"),
    ]
    return rows if stored.seconds is None else [*rows, ("seconds of training", f"{stored.seconds:,.0f}")]


def _table(found: list[Measurement]) -> str:
    rows = [("metric", "value", "error", "real images", "images seen", *(name.replace("n_", "") for name in _PROTOCOL))]
    for each in found:
        numbers = (each.value, each.error, each.floor)
        told = ("" if number is None else f"{number:.4g}" for number in numbers)
        seen = "" if each.images_seen is None else f"{each.images_seen:,}"
        rows.append((each.key, *told, seen, *(digest_text((each.protocol or {}).get(name)) for name in _PROTOCOL)))
    head, *others = [markdown_row(row) for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *others])
