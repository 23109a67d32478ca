"""Which evaluation value a run is judged by, and in which direction."""

from typing import Any

from omegaconf import DictConfig

from genexp.config.targets import locate, require_allowed


def monitored(config: DictConfig) -> tuple[str | None, str]:
    """The monitored value and `min` or `max`, with what the chosen metrics mean in the place of `auto`.

    Args:
        config: A training configuration, composed.

    Raises:
        ValueError: the monitored value is none that the run will have, or has no direction of its own.
    """
    directions = value_directions(config.get("metrics"))
    monitor, mode = config.training.monitor, config.training.monitor_mode
    if monitor == "auto":
        monitor = next((name for name, better in directions.items() if better != "reference"), None)
    name = None if monitor is None else str(monitor).split("/")[0]
    if name is not None and name not in ("val", *directions) and config.callbacks.get("checkpoints") is not None:
        known = ", ".join(["null", "auto", "val/<term>", *directions])
        raise ValueError(f"training.monitor must be one of {known}, got {monitor!r}")
    if mode == "auto":
        better = directions.get(name, "lower")
        if better == "reference":
            raise ValueError(f"training.monitor_mode must be min or max for {name}, which has no better direction")
        mode = "max" if better == "higher" else "min"
    return monitor, mode


def value_directions(metrics: Any) -> dict[str, str]:
    """The values of configured metrics and their direction: `lower`, `higher` or `reference`.

    Raises:
        ValueError: a `_target_` is none that a configuration may build.
    """
    found: dict[str, str] = {}
    for name, node in (metrics or {}).items():
        if node is not None:
            require_allowed(node["_target_"], f"metrics.{name}")
            found |= locate(node["_target_"]).values
    return found
