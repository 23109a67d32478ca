"""What the records of a run hold: the types that `genexp.files.json_records` reads them by. Imports no torch."""

from typing import Annotated, Any, NotRequired

from annotated_types import Predicate
from typing_extensions import TypedDict

from genexp.files.json_records import Count
from genexp.files.trees import Tree


def _is_number(value: float) -> bool:
    return value == value


Measured = Annotated[float, Predicate(_is_number)]
"""A number that is one; infinity is, NaN is not."""


class RunRecord(TypedDict, total=False):
    """`run.json`; what a run's begin wrote, and what has been added since."""

    id: str
    name: str
    state: str
    started: str
    finished: str
    command: str
    group: str | None
    tags: list[str]
    choices: dict[str, str] | None
    config_digest: str
    seal: Tree | None
    resumed: Count
    changed: dict[str, list[Any]] | None
    parameters: dict[str, Count]
    class_counts: list[Count] | None
    parts: dict[str, dict[str, str]]
    data_digest: str
    precision: str | int | None
    git: Tree | None
    versions: dict[str, str | None]
    hardware: Tree
    error: str


class EnsembleRecord(TypedDict):
    """`ensemble.json`: several runs that were measured as one, and the settings and choices that all of them have."""

    id: str
    name: str
    state: str
    started: str
    members: list[Tree]
    settings: Tree
    choices: dict[str, str]


class Best(TypedDict):
    """`checkpoints/best.json`: the best evaluation so far."""

    metric: str
    value: Measured
    images_seen: Count


class Evaluation(TypedDict):
    """A line of a run's `evaluations.jsonl`; in earlier versions, of `genexp evaluate`, an entry in `metrics.json`."""

    key: str
    value: float
    source: NotRequired[str]
    images_seen: NotRequired[Count]
    protocol: NotRequired[Tree | None]
    time: NotRequired[str]
    better: NotRequired[str | None]
    floor: NotRequired[float | None]
    error: NotRequired[float | None]


class Closing(TypedDict):
    """`metrics.json` of a run: its closing values, and what `genexp evaluate` has measured, maybe before they came."""

    images_seen: NotRequired[Count]
    batches: NotRequired[Count]
    steps: NotRequired[dict[str, Count]]
    seconds: NotRequired[Measured]
    images_per_second: NotRequired[Measured]
    best: NotRequired[Best | None]
    values: NotRequired[dict[str, float] | None]
    protocols: NotRequired[dict[str, Tree | None] | None]
    evaluations: NotRequired[list[Evaluation] | None]


class BuiltSection(TypedDict):
    """A section that names the class that it builds."""

    _target_: str


class Paths(TypedDict):
    """Where a run's outputs are, and what it shares with others."""

    outputs: str


class TrainerSection(TypedDict):
    """How the machine was used."""

    precision: str | int | None


class TrainingSection(TypedDict):
    """How long a run trains."""

    max_images: Count


class RunConfig(TypedDict):
    """`config.yaml` of a run that is opened or continued: what every configuration of `genexp train` has."""

    seed: Count
    threads: Count
    paths: Paths
    data: BuiltSection
    model: BuiltSection
    sampler: BuiltSection
    trainer: TrainerSection
    training: TrainingSection
    callbacks: Tree | None
