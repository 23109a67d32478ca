"""Check a configuration against the signatures of what it builds, without building anything."""

import inspect
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from genexp.runs.config import conf_dir
from genexp.runs.origin import Origins
from genexp.runs.problems import InvalidConfig, Problem, did_you_mean
from genexp.runs.targets import locate, require_allowed

_RESERVED = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}


def require_valid(config: DictConfig, name: str = "train", origins: Origins | None = None) -> None:
    """Raise `InvalidConfig` when `find_problems` finds any."""
    problems = find_problems(config, name, origins)
    if problems:
        raise InvalidConfig(problems)


def find_problems(config: DictConfig, name: str = "train", origins: Origins | None = None) -> list[Problem]:
    """Every unknown key, missing argument, broken interpolation and unreachable target of a composed configuration.

    Args:
        config: The composed configuration.
        name: Its primary config, which says what top-level keys exist.
        origins: Knows which file set a key; by default asked from the running Hydra.
    """
    if "hydra" in config:
        config = config.copy()
        with open_dict(config):
            config.pop("hydra")
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException:
        problems = list(_interpolations(config))
        if not problems:
            raise
    else:
        problems = [*_top_level(plain, name), *_nodes(plain, "")]
    if not problems:
        return []
    origins = origins or Origins.of_running_hydra()  # composes the configuration once more
    return [Problem(p.key, p.message, p.origin or origins.of(p.key)) for p in problems]


def _interpolations(node: Any, path: str = "") -> Iterator[Problem]:
    keys = range(len(node)) if OmegaConf.is_list(node) else list(node)
    for key in keys:
        here = f"{path}[{key}]" if OmegaConf.is_list(node) else f"{path}.{key}" if path else str(key)
        if OmegaConf.is_missing(node, key):
            continue
        try:
            value = node[key]
        except OmegaConfBaseException as error:
            yield Problem(here, str(error).splitlines()[0])
            continue
        if OmegaConf.is_config(value) and not OmegaConf.is_interpolation(node, key):
            yield from _interpolations(value, here)


def _top_level(plain: dict[str, Any], name: str) -> Iterator[Problem]:
    known = _declared_keys(name)
    for key in plain:
        if key not in known:
            yield Problem(str(key), f"is not a key of {name}{did_you_mean(str(key), known)}")


def _declared_keys(name: str) -> set[str]:
    primary = OmegaConf.load(conf_dir() / f"{name}.yaml")
    groups = set()
    for entry in primary.get("defaults", []):
        if OmegaConf.is_dict(entry):
            groups |= {str(key).split("@")[-1].split("/")[-1] for key in entry if not str(key).startswith("override ")}
    return {str(key) for key in primary} - {"defaults", "hydra"} | groups - {"experiment", "debug"}


def _nodes(node: Any, path: str) -> Iterator[Problem]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield from _against_signature(node, path)
        elif path in _SECTIONS:
            known = _section_keys(path)
            for key in node:
                if key not in known:
                    yield Problem(f"{path}.{key}", f"is not a key of {path}{did_you_mean(str(key), known)}")
        for key, value in node.items():
            yield from _nodes(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _nodes(value, f"{path}[{i}]")


_SECTIONS = {"training": "training/standard.yaml", "paths": "paths/default.yaml"}


def _section_keys(path: str) -> set[str]:
    body = OmegaConf.load(conf_dir() / _SECTIONS[path])
    return {str(key) for key in body.get(path, body)}


def _against_signature(node: dict[str, Any], path: str) -> Iterator[Problem]:
    target = node["_target_"]
    try:
        require_allowed(target, path)
        found = locate(target)
    except ValueError as error:
        yield Problem(f"{path}._target_", str(error))
        return
    parameters = accepted_parameters(found)
    if parameters is None:
        return
    known, required = parameters
    for key in node:
        if key not in known and key not in _RESERVED:
            yield Problem(f"{path}.{key}", f"is not an argument of {target}{did_you_mean(str(key), known)}")
    if not node.get("_partial_", False):
        for key in sorted(required - set(node)):
            yield Problem(f"{path}.{key}", f"is required by {target} and is not set")


def accepted_parameters(found: Any) -> tuple[set[str], set[str]] | None:
    """Names that a callable accepts and those it requires; None when it accepts any keyword that we cannot see.

    A `**keywords` of a class is followed to its base classes, so that a typo below it is still found.
    """
    known: set[str] = set()
    required: set[str] = set()
    callables = [each.__init__ for each in found.__mro__[:-1]] if inspect.isclass(found) else [found]
    for i, function in enumerate(callables):
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            return None
        if inspect.isclass(found):
            parameters = parameters[1:]
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        known |= {p.name for p in named}
        if i == 0:
            required = {p.name for p in named if p.default is p.empty}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return known, required
    return None
