"""Which evaluation value a run is judged by, and in which direction."""

from collections.abc import Mapping
from typing import Any

from genexp.config.targets import locate, require_allowed


def monitored(config: Mapping[str, Any]) -> tuple[str | None, str]:
    """The monitored value and `min` or `max`, with what the chosen metrics mean in the place of `auto`.

    Args:
        config: A training configuration, composed or as plain containers.

    Raises:
        ValueError: the monitored value is none that the run will have, or has no direction of its own.
    """
    directions = value_directions(config.get("metrics"))
    measured = measured_values(config)
    monitor, mode = config["training"]["monitor"], config["training"]["monitor_mode"]
    if monitor == "auto":
        monitor = next((name for name in measured if directions[name] != "reference"), None)
    name = None if monitor is None else str(monitor).split("/")[0]
    if name is not None and name not in ("val", *measured) and config["callbacks"].get("checkpoints") is not None:
        known = ", ".join(["null", "auto", "val/<term>", *measured]) + unmeasured(config)
        raise ValueError(f"training.monitor must be one of {known}, got {monitor!r}")
    if mode == "auto":
        better = directions.get(name, "lower")
        if better == "reference":
            raise ValueError(f"training.monitor_mode must be min or max for {name}, which has no better direction")
        mode = "max" if better == "higher" else "min"
    return monitor, mode


def measured_values(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the values of metrics that training measures: none without `callbacks.evaluate`.

    Args:
        config: A training configuration, composed or as plain containers.

    Raises:
        ValueError: a `_target_` is none that a configuration may build, or is no metric.
    """
    return () if unmeasured(config) else tuple(value_directions(config.get("metrics")))


def unmeasured(config: Mapping[str, Any]) -> str:
    """Why training measures no metrics, as the end of a list of values; empty where it does."""
    there = (config.get("callbacks") or {}).get("evaluate") is not None
    return "" if there else " where callbacks.evaluate=null measures nothing"


def value_directions(metrics: Mapping[str, Any] | None) -> dict[str, str]:
    """The values of configured metrics and their direction: `lower`, `higher` or `reference`.

    Raises:
        ValueError: a `_target_` is none that a configuration may build, or is no metric.
    """
    found: dict[str, str] = {}
    for name, node in (metrics or {}).items():
        if node is not None:
            found |= metric_class(name, node["_target_"]).values
    return found


OF_IMAGES = ("kind", "values", "reacts", "statistic", "prepare", "compute")
OF_MODEL = ("kind", "values", "require", "subject", "compute")
"""What the class of a metric has, see `genexp.evaluation.metrics.base`."""


def metric_class(name: str, target: str) -> Any:
    """The class of a metric, which may be a user's own.

    Args:
        name: The metric's name in the configuration.
        target: Its `_target_`.

    Raises:
        ValueError: it may not be built, or lacks what a metric has.
    """
    require_allowed(target, f"metrics.{name}")
    found = locate(target)
    has = dir(found)
    parts = OF_MODEL if "kind" in has and found.kind == "model" else OF_IMAGES
    if lacking := [each for each in parts if each not in has]:
        raise ValueError(f"metrics.{name} must be a class with {', '.join(lacking)} (docs/evaluation.md), got {target}")
    return found
