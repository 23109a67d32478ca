"""An ablation as its reports see it: the question, the measured values, and what the paper reports. Plain data."""

from dataclasses import dataclass, field
from pathlib import Path

from genexp.files.trees import Tree
from genexp.runs.measurements import Measurement

Labels = tuple[tuple[str, str], ...]
"""Which variant: a pair (axis, value) for every axis, in their order, as in (("eta", "0"), ("steps", "10"))."""


@dataclass(frozen=True, kw_only=True)
class StudyValue(Measurement):
    """A measurement of one variant and one seed.

    Args:
        labels: The variant.
        seed: Seed of training and of the noise.
    """

    labels: Labels
    seed: int


@dataclass(frozen=True)
class Paper:
    """The publication that an ablation repeats."""

    title: str
    authors: str
    year: int
    table: str
    link: str | None = None


@dataclass(frozen=True)
class Reported:
    """Numbers of a paper under the paper's own protocol; never mixed with measured ones.

    Args:
        name: What heads the column, such as `FID`.
        source: Where the numbers stand.
        protocol: How the paper measured them, in words.
        values: Variant to number; variants that the paper does not have are left out.
        spreads: Variant to the paper's own spread, where it gives one.
    """

    name: str
    source: str
    protocol: str
    values: dict[Labels, float]
    spreads: dict[Labels, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Term:
    """One side of a claim: `factor` times the mean of a value over the variants that `where` selects, or a number.

    Args:
        metric: Name of a value (`fd`, `recall`, `val/kl`), or None for a plain number.
        where: Axis to value; axes that are not named are averaged over.
        factor: Number in front, or the number itself.
    """

    metric: str | None
    where: tuple[tuple[str, str], ...] = ()
    factor: float = 1.0


@dataclass(frozen=True)
class Claim:
    """A statement that values can support or contradict.

    Args:
        text: As written in the ablation's file.
        left: Left side.
        relation: `<` or `>`.
        right: Right side.
        source: Where the paper says it, in words.
        note: How the result at this scale is to be read; printed beside the verdict.
        ours: Whether the statement, or its factor, is the author's of this file and not the paper's.
    """

    text: str
    left: Term
    relation: str
    right: Term
    source: str = ""
    note: str = ""
    ours: bool = False


@dataclass(frozen=True)
class Study:
    """All that the reports of one ablation show.

    Args:
        name: Name of the ablation's file.
        title: One line.
        question: What is asked, in a sentence or two.
        paper: The publication, or None for a question of one's own.
        scale: The scale, as its file names it.
        axes: Axis to its values, in order.
        search: The axis that is a search for good settings, or None: tables and claims show the best setting alone.
        seeds: Seeds asked for.
        metrics: Names of the values that have a column, the most important first.
        reported: Columns of the paper.
        claims: Statements to test.
        values: All measured values.
        pictures: Variant to picture files of its samples.
        notes: What a reader must know: runs that failed, values that are missing.
        origin: Where the values come from: `command`, `commit`, `dirty`, `hardware`, `threads`, `versions` (a mapping),
            `training_seconds`, `measuring_seconds`, `date`, `images` (training images of a run, or several), `data`.
        remarks: Free text of the author on what differs from the paper.
        words: Axis to what plots call it, where that is not its name.
    """

    name: str
    title: str
    question: str
    paper: Paper | None
    scale: str
    axes: dict[str, list[str]]
    search: str | None
    seeds: list[int]
    metrics: list[str]
    reported: list[Reported]
    claims: list[Claim]
    values: list[StudyValue]
    pictures: dict[Labels, list[Path]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    origin: Tree = field(default_factory=dict)
    remarks: str = ""
    words: dict[str, str] = field(default_factory=dict)
