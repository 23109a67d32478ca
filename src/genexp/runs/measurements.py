"""The values of runs with what they mean: where each came from, under which protocol, and which may share a column."""

from dataclasses import dataclass
from statistics import fmean

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
        error: Standard error over groups of samples.
        images_seen: Training images seen by what was measured.
    """

    key: str
    value: float
    source: str
    protocol: Tree | None = None
    better: str | None = None
    floor: float | None = None
    error: float | None = None
    images_seen: int | None = None

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
    values, protocols = run.metrics.get("values"), run.metrics.get("protocols") or {}
    if values is None:
        values = {}
        for row in run.history:
            values |= {
                k: v for k, v in row.items() if not k.startswith("train/") and k not in ("images_seen", "seconds")
            }
    records = newest_of_training(run.evaluations)
    return [
        Measurement(
            key=key,
            value=value,
            source=TRAINING,
            protocol=records[key].get("protocol") if key in records else protocols.get(key),
            better=records.get(key, {}).get("better"),
            floor=values.get(_floor_key(key)),
            error=records.get(key, {}).get("error"),
            images_seen=run.images_seen,
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
        found.append(
            Measurement(
                key=newest["key"],
                value=fmean(row["value"] for row in seeds),
                source=EVALUATE,
                protocol=newest.get("protocol"),
                better=newest.get("better"),
                floor=newest.get("floor"),
                error=newest.get("error") if len(seeds) == 1 else None,
                images_seen=newest.get("images_seen"),
            )
        )
    return found
