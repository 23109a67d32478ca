"""Where the values of a configuration come from: interpolations carried out, and followed back. Imports no torch."""

import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from genexp.config.problems import Problem

MISSING = "???"
UNKNOWN = "\0unknown"
"""Stands for the value of an interpolation that leads nowhere."""
_SIMPLE = re.compile(r"\$\{(?:oc\.select:)?\s*(\.*)([A-Za-z_][\w.\[\]]*)\s*(?:,[^{}]*)?\}")
"""An interpolation that is one key of the configuration, with dots before it where it is relative, or a default."""


def carried_out(config: DictConfig) -> tuple[Any, list[Problem]]:
    """Plain containers with every interpolation carried out, and those that lead nowhere.

    What leads nowhere, or to a value that is missing, stands there as `UNKNOWN`. An interpolation that several places
    ask for is told once.
    """
    try:
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=False), []
    except (OmegaConfBaseException, RecursionError):
        problems: dict[str, Problem] = {}
        plain = _plain(config, "", problems)
        return plain, list(problems.values())


def _plain(node: Any, path: str, problems: dict[str, Problem]) -> Any:
    is_list = OmegaConf.is_list(node)
    found: Any = {}
    for key in range(len(node)) if is_list else list(node):
        here = f"{path}[{key}]" if is_list else f"{path}.{key}" if path else str(key)
        found[key] = UNKNOWN
        if OmegaConf.is_missing(node, key) and not OmegaConf.is_interpolation(node, key):
            found[key] = MISSING
            continue
        try:
            value = node[key]
            found[key] = _plain(value, here, problems) if OmegaConf.is_config(value) else value
        except InterpolationToMissingValueError:
            continue  # told where it is missing
        except (OmegaConfBaseException, RecursionError) as error:
            lost = isinstance(error, RecursionError)
            message = "must not lead back to itself" if lost else str(error).splitlines()[0]
            problems.setdefault(message, Problem(here, message, of_value=True))
    return list(found.values()) if is_list else found


def missing(plain: object, path: str = "") -> Iterator[str]:
    """The keys of plain containers at which `???` stands."""
    if plain == MISSING:
        yield path
    for key, value in plain.items() if isinstance(plain, dict) else ():
        yield from missing(value, f"{path}.{key}" if path else str(key))
    for i, value in enumerate(plain if isinstance(plain, list) else ()):
        yield from missing(value, f"{path}[{i}]")


def source_of(config: DictConfig, key: str) -> str:
    """The key at which the value of `key` is set: itself, or where interpolations lead.

    Args:
        config: The composed configuration.
        key: A dotted key of it, as in `callbacks.evaluate.sampler.steps`.
    """
    for _ in range(20):
        leads = _first_lead(config, key)
        if leads is None:
            return key
        key = leads
    return key


def _first_lead(config: DictConfig, key: str) -> str | None:
    steps, node, walked = _steps(key), config, 0
    for step in steps:
        if not OmegaConf.is_config(node) or _node(node, step) is None:
            return None
        node, walked = _node(node, step), walked + 1
        if node._is_interpolation():
            simple = _SIMPLE.fullmatch(str(node._value()))
            above = steps[: max(0, walked - len(simple[1]))] if simple is not None and simple[1] else []
            if simple is None or not _exists(config, [*above, *_steps(simple[2])]):
                return None
            return _joined([*above, *_steps(simple[2]), *steps[walked:]])
    return None


def _exists(config: DictConfig, steps: list[str]) -> bool:
    """Whether these steps lead to something, or to an interpolation on the way."""
    node: Any = config
    for step in steps:
        if node._is_interpolation():
            return True
        if not OmegaConf.is_config(node) or _node(node, step) is None:
            return False
        node = _node(node, step)
    return True


def sources_below(config: DictConfig, key: str) -> set[str]:
    """The keys from which values inside `key` are taken."""
    node: Any = config
    for step in _steps(key):
        node = _node(node, step) if OmegaConf.is_config(node) else None
    return {source_of(config, each) for each in _interpolated(node, key)}


def _interpolated(node: Any, path: str) -> Iterator[str]:
    if node is None or node._is_none() or node._is_missing():
        return
    if node._is_interpolation():
        yield path
    elif OmegaConf.is_config(node):
        for key in range(len(node)) if OmegaConf.is_list(node) else list(node):
            here = f"{path}[{key}]" if OmegaConf.is_list(node) else f"{path}.{key}"
            yield from _interpolated(_node(node, key), here)


def _node(node: Any, step: str | int) -> Any:
    if OmegaConf.is_list(node):
        return node._get_node(int(step)) if str(step).isdigit() and int(step) < len(node) else None
    return node._get_node(step, validate_access=False)


def _steps(key: str) -> list[str]:
    return [each for each in key.replace("[", ".").replace("]", "").split(".") if each]


def _joined(steps: list[str]) -> str:
    return "".join(f"[{each}]" if each.isdigit() else f".{each}" for each in steps).lstrip(".")
