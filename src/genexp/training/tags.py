"""Name, group and tags of a run, in `run.json` and in W&B. Imports no torch."""

import os
from pathlib import Path

from omegaconf import DictConfig

from genexp.files.trees import Tree
from genexp.pool.record import holds_sweep, read_record


def name_of(config: DictConfig) -> str | None:
    """The name of a run, by default that of its experiment; None where there is neither.

    Args:
        config: The composed configuration of `genexp train`.
    """
    experiment = _experiment()
    return config.name if config.name is not None or experiment is None else experiment.replace("/", "_")


def group_and_tags(config: DictConfig) -> tuple[str | None, list[str]]:
    """The group of a run, by default the sweep that it is a job of, and its tags with those that say what it trains.

    Args:
        config: The composed configuration of `genexp train`.
    """
    group = sweep_of(config.run_dir) if config.group is None else config.group
    return group, list(dict.fromkeys([*(str(each) for each in config.tags), *_told_tags(config)]))


def sweep_of(run_dir: str | None) -> str | None:
    """The id of the sweep that a run is a job of, ours or one of W&B's agents, or None.

    Args:
        run_dir: The run's folder, where a launcher has set it; its parent then holds the record of the sweep.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if run_dir is not None:
        sweep = Path(run_dir).expanduser().resolve().parent
        return read_record(sweep)["id"] if holds_sweep(sweep) else None
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        return Path(HydraConfig.get().sweep.dir).name
    return os.environ.get("WANDB_SWEEP_ID")


def id_from_agent() -> str | None:
    """The id that an agent of a W&B sweep gives to the run it starts, since W&B takes no other there; else None."""
    return os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None


def _told_tags(config: DictConfig) -> list[str]:
    """The model's family, and the experiment where one was chosen."""
    target = str(config.model.get("_target_", "")).split(".")
    families = target[2:3] if target[:2] == ["genexp", "families"] else target[-1:]
    return [each for each in (*families, _experiment()) if each]


def _experiment() -> str | None:
    from hydra.core.hydra_config import HydraConfig

    choices: Tree = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
    return choices.get("experiment")
