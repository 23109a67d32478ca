"""Which evaluation value a run is judged by, and in which direction."""

from typing import Any

from omegaconf import DictConfig, open_dict

from genexp.config.targets import locate, require_allowed


def settle_monitor(config: DictConfig) -> None:
    """Replace `auto` in `training.monitor` and `training.monitor_mode` by what the chosen metrics mean.

    Raises:
        ValueError: the monitored value is none that the run will have, or has no direction of its own.
    """
    directions = value_directions(config.get("metrics"))
    training = config.training
    with open_dict(training):
        if training.monitor == "auto":
            training.monitor = next((name for name, better in directions.items() if better != "reference"), None)
        name = None if training.monitor is None else str(training.monitor).split("/")[0]
        if name is not None and name not in ("val", *directions) and config.callbacks.get("checkpoints") is not None:
            known = ", ".join(["null", "auto", "val/<term>", *directions])
            raise ValueError(f"training.monitor must be one of {known}, got {training.monitor!r}")
        if training.monitor_mode == "auto":
            better = directions.get(name, "lower")
            if better == "reference":
                raise ValueError(f"training.monitor_mode must be min or max for {name}, which has no better direction")
            training.monitor_mode = "max" if better == "higher" else "min"


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
