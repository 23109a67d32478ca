"""The values of what the page asks for, checked like typed ones."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genexp.config.fields import SEED
from genexp.config.rules import Rule, number, optional, text, whole
from genexp.files.json_records import shown
from genexp.files.trees import Tree

MOST_IMAGES = 64
_VALUES: dict[str, Rule] = {
    "run": whole(0),
    "seed": SEED,
    "num": whole(1, MOST_IMAGES),
    "label": optional(whole(0)),
    "caption": optional(text()),
    "steps": optional(whole(1, 1000)),
    "scale": optional(number(0, 100)),
    "truncation": optional(number(0, 10)),
    "size": whole(32, 1024),
    "alpha": optional(number(0, 1)),
}
_OPTIONAL = ("label", "caption", "steps", "scale", "truncation", "alpha")


def checked(asked: Mapping[str, Any]) -> Tree:
    """The values of a request with those that are not given at their defaults.

    Raises:
        ValueError: it is no mapping, or a key or a value is wrong.
    """
    if not isinstance(asked, dict):
        raise ValueError("a request must be a mapping of values by their names")
    found = {"run": 0, "seed": 0, "num": 16, "size": 256, **dict.fromkeys(_OPTIONAL), **asked}
    for key, value in found.items():
        if key not in _VALUES:
            raise ValueError(f"{shown(key)} is no value that can be asked for")
        if not _VALUES[key].accepts(value):
            raise ValueError(f"{key} must be {_VALUES[key].words}, got {shown(value)}")
    return found


def changes_of(sampler: DictConfig, values: Tree) -> DictConfig | None:
    """What is changed of a run's own sampler.

    Raises:
        ValueError: it has no such value.
    """
    changes: Tree = {}
    for key in ("steps", "scale", "truncation"):
        if values[key] is None:
            continue
        if key not in offers_of(sampler):
            raise ValueError(f"{key} must be null for the sampler of this run, which has none")
        changes |= {"guidance": {"scale": values[key]}} if key == "scale" else {key: values[key]}
    return OmegaConf.create(changes) if changes else None


def offers_of(sampler: DictConfig) -> Tree:
    """The values of a sampler that can be changed, as they are."""
    found = {key: sampler[key] for key in ("steps", "truncation") if sampler.get(key) is not None}
    guidance = sampler.get("guidance")
    scale = guidance.get("scale") if OmegaConf.is_dict(guidance) else None
    return found if scale is None else {**found, "scale": scale}
