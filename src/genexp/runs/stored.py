"""A run as a comparison sees it: settings, choices and values, read from its folder."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from genexp.config.keys import VOLATILE, flat, is_volatile
from genexp.files.json_records import is_there
from genexp.files.trees import Tree
from genexp.runs.evaluations import read_evaluations
from genexp.runs.records import ENSEMBLE, read_ensemble
from genexp.runs.run_folder import OVERRIDES, DamagedRun, RunFolder

LEFT_OUT = (*VOLATILE, "name")
"""Keys that name or place a run, or show its progress, and do not change what it computes; with all below them."""


@dataclass(frozen=True)
class StoredRun:
    """One readable run folder; several that were measured as one have the settings in which all agree.

    Args:
        folder: The files.
        record: Content of `run.json`, or of `ensemble.json`.
        settings: The resolved configuration from dotted keys to leaves, without what only names or places the run.
        choices: Chosen configuration groups by their place, such as `model.network: unet`.
        typed: Keys that were set on the command line.
        metrics: Content of `metrics.json`; empty before a run ends.
    """

    folder: RunFolder
    record: Tree
    settings: Tree
    choices: dict[str, str]
    typed: frozenset[str]
    metrics: Tree

    @property
    def id(self) -> str:
        """The run's eight letters, or the folder's name where the record has none."""
        return str(self.record.get("id") or self.folder.path.name)

    def require_id(self) -> None:
        """Refuse a record that does not say which run it is of.

        Raises:
            DamagedRun: it does not.
        """
        self.folder.require_named()

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return str(self.record.get("name") or self.folder.path.parent.name)

    @property
    def trained(self) -> bool:
        """Whether it is one run, with a configuration of its own, and not several that were measured as one."""
        return "members" not in self.record

    @property
    def state(self) -> str:
        """`finished`, `running`, `interrupted` or `failed`; a run that was killed could not write that it was."""
        state = str(self.record.get("state") or "unknown")
        return "interrupted" if state == "running" and not self.folder.is_running else state

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.state == "finished"

    @property
    def started(self) -> str:
        """Time of the start, sortable as text within one time zone."""
        return str(self.record.get("started") or "")

    @cached_property
    def history(self) -> list[dict[str, float]]:
        """Every logged line, each with `images_seen`."""
        return self.folder.history()

    @cached_property
    def evaluations(self) -> list[Tree]:
        """Every value that has a record, see `genexp.runs.evaluations`."""
        return read_evaluations(self.folder)

    @property
    def images_seen(self) -> int | None:
        """Training images seen, at the end or as far as the log reaches."""
        if "images_seen" in self.metrics:
            return self.metrics["images_seen"]
        return int(self.history[-1]["images_seen"]) if self.history else None

    @property
    def seconds(self) -> float | None:
        """Seconds of training, at the end or as far as the log reaches."""
        if "seconds" in self.metrics:
            return self.metrics["seconds"]
        return self.history[-1].get("seconds") if self.history else None


@dataclass(frozen=True)
class Damaged:
    """A folder that looks like a run and cannot be read.

    Args:
        path: The folder.
        reason: What is wrong with it.
    """

    path: Path
    reason: str


def read_runs(folders: Iterable[Path]) -> tuple[list[StoredRun], list[Damaged]]:
    """Read run folders; those that cannot be read are returned beside the others."""
    runs, damaged = [], []
    for path in folders:
        try:
            run = read_run(path)
            _ = run.history, run.evaluations
            runs.append(run)
        except (DamagedRun, OSError) as error:
            damaged.append(Damaged(path, str(error).replace(f" of the run {path}", "")))
    return runs, damaged


def read_run(path: Path) -> StoredRun:
    """Read one run folder, or that of several that were measured as one.

    Raises:
        DamagedRun: a file that every run has is missing, or one cannot be read.
    """
    folder = RunFolder(path)
    if is_there(path / ENSEMBLE):
        record = read_ensemble(path)
        return StoredRun(folder, record, record["settings"], record["choices"], frozenset(["ensemble"]), {})
    record = folder.record
    config, metrics = folder.config, folder.metrics
    places = config.get("paths") or {}
    settings = {key: value for key, value in flat(config).items() if not _left_out(key)}
    return StoredRun(
        folder=folder,
        record=record,
        settings={key: _portable(value, places) for key, value in settings.items()},
        choices=_choices(record.get("choices") or {}),
        typed=_typed(folder),
        metrics=metrics,
    )


def _portable(value: object, places: Mapping[str, Any]) -> Any:
    """A setting as it compares: 1.0 equals 1, and a place below a run's own `paths` loses the machine's part."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        for key, place in places.items():
            if isinstance(place, str) and place and (value == place or value.startswith(f"{place}/")):
                return f"<{key}>{value[len(place) :]}"
    return value


def _choices(recorded: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for key, value in recorded.items():
        place = str(key).rsplit("@", 1)[-1].replace("/", ".")
        if not _left_out(place) and place.split(".")[0] != "hydra":
            found[place] = str(value)
    return found


def _typed(folder: RunFolder) -> frozenset[str]:
    """Keys that were set on the command line; none where the run keeps no such list."""
    overrides = folder.overrides if is_there(folder.path / OVERRIDES) else []
    keys = (each.split("=", 1)[0].lstrip("+~").rsplit("@", 1)[-1].replace("/", ".") for each in overrides)
    return frozenset(key for key in keys if not _left_out(key) and key.split(".")[0] != "hydra")


def _left_out(key: str) -> bool:
    return key == "name" or is_volatile(key)
