"""Turning configuration into objects: the one place that follows `_target_`."""

import warnings
from typing import Any

import hydra
from omegaconf import DictConfig, ListConfig, OmegaConf

from genexp.config.targets import require_allowed, targets
from genexp.files.trees import Tree


def build(config: DictConfig | ListConfig | Tree, **arguments: object) -> Any:
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
