"""What all jobs of a study have in common: kept in it, so that nobody joins with another question. Imports no torch."""

from pathlib import PurePath

from omegaconf import DictConfig, OmegaConf

from genexp.config.keys import flat, is_volatile
from genexp.files.trees import Tree
from genexp.sweeps.study.space import written

PLACES = ("trainer", "trainer.accelerator", "trainer.devices", "trainer.strategy", "trainer.num_nodes", "threads")
"""Keys that say where jobs run."""

_OTHER = (*PLACES, "name", "approval", "data.workers", "data.in_memory", "trainer.benchmark")
_PATHS = ("root", "weights", "folder", "run", "checkpoint")
_SHOWN = 3


def fixed_of(config: DictConfig) -> Tree:
    """What decides the values of a job, by dotted key, without what may differ between machines.

    Interpolations stay as written. Of the paths of data, weights and runs the last part is kept: folders lie elsewhere
    on another machine.

    Args:
        config: A job's whole configuration, the same job for all commands.

    Returns:
        `values` by key, and the `groups` that were chosen, whose names tell a difference in fewer words.
    """
    plain = OmegaConf.to_container(config, resolve=False)
    choices = plain.pop("hydra", {}).get("runtime", {}).get("choices", {})
    plain.pop("sweep", None)  # compared by itself, with what was typed in its place
    values = {key: _moved(key, value) for key, value in flat(plain).items() if not _is_elsewhere(key)}
    groups = {key: value for key, value in choices.items() if not _is_elsewhere(_key(key))}
    return {"values": values, "groups": {k: v for k, v in groups.items() if not k.startswith(("hydra", "launcher"))}}


def difference(mine: Tree, stated: Tree) -> str:
    """What differs, as `training.max_images: 512 here, 256 in the study`; empty where nothing does.

    A key that only one side has counts as null on the other: a later version may have brought it.

    Args:
        mine: What `fixed_of` gives here.
        stated: What it gave where the study was begun.
    """
    keys = _unlike(mine["values"], stated["values"])
    if not keys:
        return ""
    groups = [key for key in _unlike(mine["groups"], stated["groups"]) if key != "sweep"]
    chosen = tuple(f"{_key(group)}." for group in groups)
    rows = [_row(key, mine["groups"], stated["groups"]) for key in groups]
    rows += [_row(key, mine["values"], stated["values"]) for key in keys if not f"{key}.".startswith(chosen)]
    more = f", and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return ", ".join(rows[:_SHOWN]) + more


def _is_elsewhere(key: str) -> bool:
    return is_volatile(key) or key in _OTHER


def _moved(key: str, value: object) -> object:
    is_path = isinstance(value, str) and key.split(".")[-1] in _PATHS
    return PurePath(value).name if is_path else value


def _key(group: str) -> str:
    """Where a group such as `model/network` or `optimizer@model.optimizer` stands."""
    return group.split("@")[-1].replace("/", ".")


def _unlike(mine: Tree, stated: Tree) -> list[str]:
    return [key for key in dict.fromkeys((*mine, *stated)) if mine.get(key) != stated.get(key)]


def _row(key: str, mine: Tree, stated: Tree) -> str:
    return f"{key}: {written(mine.get(key))} here, {written(stated.get(key))} in the study"
