"""The data of a run as it may be opened: another user's configuration names places of that user. Imports no torch."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genexp.config.compose import conf_dir
from genexp.config.text_keys import PLACES
from genexp.data.scikit_learn_files import PHOTOGRAPHS
from genexp.runs.run_folder import RunFolder
from genexp.runs.trust import TRUST, wrote_run

_KEPT = ("cache_dir", "cache")
"""Places that are written to, so they are this user's own in any case."""


def data_of(config: DictConfig, folder: RunFolder, trusted: bool) -> DictConfig:
    """The data's configuration of a run; of another user's run with the places where this user keeps such things.

    What lies below the recorded data folder or cache is looked for below this user's own. Other places act where they
    lie inside the run's folder or this user's data folder, or where the user says so.

    Args:
        config: The recorded configuration.
        folder: The run.
        trusted: Whether the user has said `trust=true`.

    Raises:
        ValueError: a place lies elsewhere, and nobody has said so.
    """
    if wrote_run(folder.record, folder.path):
        return config.data
    recorded = OmegaConf.to_container(config.paths)
    own = OmegaConf.to_container(OmegaConf.load(conf_dir() / "paths" / "default.yaml"), resolve=True)
    moves = [(Path(str(recorded.get(key))), _absolute(own[key])) for key in ("data", "cache")]
    inside = [folder.path.resolve(), _absolute(own["data"])]

    def settled(node: object, key: str, word: str = "") -> Any:
        if isinstance(node, dict):
            return {name: settled(each, f"{key}.{name}", str(name)) for name, each in node.items()}
        if isinstance(node, list):
            return [settled(each, f"{key}[{i}]", word) for i, each in enumerate(node)]
        if not isinstance(node, str) or word not in PLACES or node in PHOTOGRAPHS:
            return node
        for theirs, mine in moves:
            if theirs.is_absolute() and Path(node).is_relative_to(theirs) and ".." not in Path(node).parts:
                return str(mine / Path(node).relative_to(theirs))
        if word in _KEPT:
            return str(moves[1][1])
        if not trusted and not any(_absolute(node).resolve().is_relative_to(each.resolve()) for each in inside):
            raise ValueError(
                f"{key} of a run that this user did not write must lie in the run or in {inside[1]}, got {node} in "
                f"{folder.path}; look at that place, then add {TRUST}"
            )
        return node

    return OmegaConf.create(settled(OmegaConf.to_container(config.data), "data"))


def _absolute(path: str) -> Path:
    return Path.cwd() / Path(path).expanduser()
