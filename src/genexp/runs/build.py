"""Turning configuration into objects: the one place that follows `_target_`."""

import contextlib
import warnings
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from genexp.runs.targets import require_allowed, targets


def build(config: Any, **arguments: Any) -> Any:
    """Instantiate a configuration node, nested nodes included; lists and dicts arrive as plain Python containers.

    What is checked is the node with its interpolations carried out: they too can lead to a `_target_`.

    Raises:
        ValueError: a `_target_` is none that a configuration may build.
    """
    node = config if isinstance(config, DictConfig) else OmegaConf.create(config)
    for path, target in targets(OmegaConf.to_container(node, resolve=True)):
        require_allowed(target, path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*allowlist.*|.*whitelist.*")
        return hydra.utils.instantiate(node, _convert_="all", **arguments)


def build_dict(config: DictConfig | None) -> dict[str, Any]:
    """Build every entry of a dictionary of configurations; entries that are null are left out."""
    if not config:
        return {}
    return {name: build(node) for name, node in config.items() if node is not None}


@contextlib.contextmanager
def quiet_lightning() -> Any:
    """Silence Lightning's start-up lines that say nothing about the run; warnings stay."""
    import logging

    names = ("lightning.pytorch", "lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # Lightning on torch 2.15
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # data are in memory
            warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")  # frozen features
            warnings.filterwarnings("ignore", message=".*all_gather is deprecated.*")  # Lightning on torch 2.15
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
