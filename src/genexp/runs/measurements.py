"""The values of runs with what they mean: where each came from, under which protocol, and which may share a column."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from genexp.files.trees import Tree
from genexp.runs.evaluations import EVALUATE, TRAINING, newest_of_training
from genexp.runs.stored import StoredRun

MADE_BY = ("weights", "sampler")
"""Protocol fields that say which images were made; rows of a table may differ in them, and in the seed."""

NOT_DRAWN = "none"
"""The sampler in the protocol of a value that is of the model itself: it belongs to every way of drawing images."""

FREE = (*MADE_BY, "seed", "dealing", "evaluations")
"""Protocol fields that a column may mix: what made the images, how often that evaluates the network, what was drawn."""


@dataclass(frozen=True)
class Measurement:
    """One value of one run.

    Args:
        key: The value's key, such as `fd/inception@6726825d` or `val/loss`.
        value: The number.
        source: `training` (measured by the run itself, the newest) or `evaluate` (by `genexp evaluate`).
        protocol: The record of its protocol, or None where a value has none.
        better: `lower`, `higher` or `reference` where the file says so.
        floor: What held-out real images reach.
        floor_images: How many of them there were.
        error: Standard error over groups of samples.
        images_seen: Training images seen by what was measured.
    """

    key: str
    value: float
    source: str
    protocol: Tree | None = None
    better: str | None = None
    floor: float | None = None
    floor_images: int | None = None
    error: float | None = None
    images_seen: int | None = None

    @classmethod
    def of_record(cls, key: str, record: Mapping[str, Any], source: str) -> "Measurement":
        """A value as `genexp.evaluation.scores.Score.record` wrote it.

        Args:
            key: The value's key.
            record: The value with what it means.
            source: Who measured it.
        """
        names = ("protocol", "better", "floor", "floor_images", "error", "images_seen")
        return cls(key, float(record["value"]), source, **{name: record.get(name) for name in names})

    @property
    def made_by(self) -> tuple[str, str] | None:
        """Weights and sampler, `NOT_DRAWN` for a value of the model itself; None for one without a protocol."""
        return None if self.protocol is None else tuple(str(self.protocol.get(name)) for name in MADE_BY)

    @property
    def terms(self) -> tuple[tuple[str, object], ...]:
        """All that must be equal within a column: the protocol without seed, weights and sampler."""
        return tuple(sorted((k, v) for k, v in (self.protocol or {}).items() if k not in FREE))


def measurements(run: StoredRun) -> list[Measurement]:
    """All values of a run: its own newest ones, and those of later evaluations."""
    return [*_own(run), *_evaluated(run)]


def _own(run: StoredRun) -> list[Measurement]:
    metrics = run.metrics
    if metrics.get("values") is None:
        values: dict[str, float] = {}
        for row in run.history:
            values |= {
                k: v for k, v in row.items() if not k.startswith("train/") and k not in ("images_seen", "seconds")
            }
        metrics = metrics | {"values": values, "images_seen": run.images_seen}
    return own_measurements(metrics, run.evaluations)


def own_measurements(metrics: Tree, evaluations: Iterable[Tree]) -> list[Measurement]:
    """The values that a run has measured itself, those of real images beside them and not among them.

    Args:
        metrics: Content of `metrics.json`: `values`, `images_seen`, and in older runs `protocols`.
        evaluations: The records of the run's values, see `genexp.runs.evaluations`.
    """
    values, protocols, seen = metrics.get("values") or {}, metrics.get("protocols") or {}, metrics.get("images_seen")
    known = {key: {"protocol": protocol} for key, protocol in protocols.items()} | newest_of_training(evaluations)
    return [
        Measurement.of_record(
            key,
            {**known.get(key, {}), "value": value, "floor": values.get(_floor_key(key)), "images_seen": seen},
            TRAINING,
        )
        for key, value in values.items()
        if not _is_floor(key, values) and isinstance(value, int | float)
    ]


def _floor_key(key: str) -> str:
    metric, *rest = key.split("/", 1)
    return "/".join([f"{metric}_floor", *rest])


def _is_floor(key: str, values: dict[str, float]) -> bool:
    metric, *rest = key.split("/", 1)
    return metric.endswith("_floor") and "/".join([metric.removesuffix("_floor"), *rest]) in values


def _evaluated(run: StoredRun) -> list[Measurement]:
    """One value for every key, weights, sampler and protocol: the newest checkpoint's, averaged over noise seeds."""
    groups: dict[tuple, list[Tree]] = {}
    later = [row for row in run.evaluations if row.get("source") == EVALUATE]
    for row in [*(run.metrics.get("evaluations") or []), *later]:
        protocol = row.get("protocol") or {}
        identity = (row["key"], *sorted((k, str(v)) for k, v in protocol.items() if k != "seed"))
        groups.setdefault(identity, []).append(row)
    found = []
    for rows in groups.values():
        newest = max(rows, key=lambda row: str(row.get("time") or ""))
        same = [row for row in rows if row.get("images_seen") == newest.get("images_seen")]
        seeds = {(row.get("protocol") or {}).get("seed"): row for row in same}.values()
        once = {} if len(seeds) == 1 else {"error": None}
        mean = fmean(row["value"] for row in seeds)
        found.append(Measurement.of_record(newest["key"], {**newest, **once, "value": mean}, EVALUATE))
    return found
