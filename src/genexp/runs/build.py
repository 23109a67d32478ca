"""Turning configuration into objects: the one place that follows `_target_`."""

import contextlib
import warnings
from collections.abc import Iterable
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

ALLOWED = (
    "genexp.",
    "lightning.Trainer",
    "lightning.pytorch.callbacks.",
    "lightning.pytorch.loggers.",
    "lightning.pytorch.profilers.",
    "torch.nn.",
    "torch.optim.",
    "torchmetrics.",
    "torchvision.datasets.",
    "torchvision.transforms.",
)
"""Prefixes of everything that a configuration may build. A config file can then not run arbitrary code."""

_REFUSED = ("genexp.commands.", "genexp.runs.")


def build(config: Any, **arguments: Any) -> Any:
    """Instantiate a configuration node, nested nodes included; lists and dicts arrive as plain Python containers.

    Raises:
        ValueError: a `_target_` lies outside the allowed prefixes.
    """
    node = config if isinstance(config, DictConfig) else OmegaConf.create(config)
    for path, target in targets(OmegaConf.to_container(node, resolve=False)):
        require_allowed(target, path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*allowlist.*|.*whitelist.*")
        return hydra.utils.instantiate(node, _convert_="all", **arguments)


def build_dict(config: DictConfig | None) -> dict[str, Any]:
    """Build every entry of a dictionary of configurations; entries that are null are left out."""
    if not config:
        return {}
    return {name: build(node) for name, node in config.items() if node is not None}


def require_allowed(target: str, where: str) -> None:
    """Refuse a `_target_` outside the allowed prefixes.

    Raises:
        ValueError: with the key and the value.
    """
    extra = _trusted()
    own_logger = target.startswith("genexp.runs.loggers.") or target.startswith("genexp.runs.wandb_run.")
    refused = target.startswith(_REFUSED) and not own_logger
    if refused or not (target.startswith(ALLOWED) or target.startswith(extra)):
        allowed = ", ".join([*ALLOWED, *extra])
        raise ValueError(
            f"{where}._target_ must begin with one of {allowed}, got {target!r}; "
            "set GENEXP_TRUST=mypackage. to allow a package of your own"
        )


def targets(node: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """All `_target_` values below a plain node with the dotted paths of the nodes that hold them."""
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield path or "<root>", node["_target_"]
        for key, value in node.items():
            yield from targets(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from targets(value, f"{path}[{i}]")


def _trusted() -> tuple[str, ...]:
    import os

    return tuple(prefix for prefix in os.environ.get("GENEXP_TRUST", "").split(",") if prefix)


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
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
