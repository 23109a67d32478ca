"""The nodes of a configuration that build something, against what they build. Imports what the targets need."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeGuard

from genexp.config.arguments import narrowed, told_by_the_run
from genexp.config.fields import refusal_of
from genexp.config.hints import hint_of_absent
from genexp.config.interpolations import MISSING, UNKNOWN
from genexp.config.nearest import of_the_field, who_has
from genexp.config.problems import Problem, did_you_mean
from genexp.config.rules import Rule, flag
from genexp.config.signatures import parameters_of
from genexp.config.targets import locate, require_allowed
from genexp.files.trees import Tree

_RESERVED = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}


def node_problems(plain: Tree, unsound: set[str], here: bool) -> list[Problem]:
    """What is wrong with the nodes that have a `_target_`, and with what they build.

    Args:
        plain: The configuration as plain containers.
        unsound: Keys that are known to be wrong.
        here: Whether it will run on this machine, with its files.
    """
    problems = _outermost([*_nodes(plain, "", here)])
    unsound = unsound | {each.key for each in problems}
    nodes = {key: value for key, value in plain.items() if _builds(value)}
    if not nodes:
        return problems
    from genexp.config.disagreements import disagreements
    from genexp.config.trial import misfits, on_trial

    with on_trial() as trial:
        for key, value in nodes.items():
            if key not in ("trainer", "logger"):
                trial.build(value, key, unsound)
        return [*problems, *trial.problems, *misfits(trial, plain), *disagreements(trial, plain, unsound)]


def _outermost(problems: list[Problem]) -> list[Problem]:
    """Problems without those of what stands at a place where something else is wanted."""
    wrong = [each.key for each in problems if each.of_value]
    return [each for each in problems if not any(each.key.startswith(f"{key}.") for key in wrong)]


def _builds(node: object) -> bool:
    if isinstance(node, list):
        return any(_builds(each) for each in node)
    return isinstance(node, dict) and ("_target_" in node or any(_builds(each) for each in node.values()))


def _nodes(node: object, path: str, here: bool) -> Iterator[Problem]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield from _against_signature(node, path, here)
        for key, value in node.items():
            yield from _nodes(value, f"{path}.{key}" if path else str(key), here)
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _nodes(value, f"{path}[{i}]", here)


def _against_signature(node: Tree, path: str, here: bool) -> Iterator[Problem]:
    target = node["_target_"]
    if target in (MISSING, UNKNOWN):
        return
    if not isinstance(target, str):
        yield Problem(f"{path}._target_", f"must be the name of a class, got {target!r}", of_value=True)
        return
    if not isinstance(node.get("_partial_", False), bool):
        yield refusal_of(f"{path}._partial_", flag(), node["_partial_"])
    try:
        require_allowed(target, path)
        found = locate(target)
    except ValueError as error:
        yield Problem(f"{path}._target_", str(error).removeprefix(f"{path}._target_ "), of_value=True)
        return
    parameters = parameters_of(found)
    if parameters is None:
        return
    known = parameters.annotations
    for key in node:
        if key not in known and key not in _RESERVED:
            place = f"{path}.{key}"
            here = {f"{path}.{name}" for name in known}
            told = hint_of_absent(place) or of_the_field(str(key), str(node[key]), here) or who_has(place)
            told = told or did_you_mean(str(key), known)
            yield Problem(place, f"is not an argument of {target}{told}")
    if not node.get("_partial_", False):
        for key in sorted(parameters.required - set(node)):
            yield Problem(f"{path}.{key}", f"is required by {target} and is not set")
    for key in known:
        if key in node and node[key] not in (MISSING, UNKNOWN):
            yield from _against_rule(node[key], narrowed(target, key, parameters.rule(key)), f"{path}.{key}", here)


def _against_rule(value: object, rule: Rule, path: str, here: bool) -> Iterator[Problem]:
    if told_by_the_run(path, value):
        return
    if _is_built(value):
        if (made := _made(value)) is None:
            return
        if rule.parts and not any(_serves(made, part, bool(value.get("_partial_", False))) for part in rule.parts):
            yield Problem(path, f"must be {rule.words}, got {value['_target_']}", of_value=True)
        elif not rule.parts:
            yield refusal_of(path, rule, value)
    elif not rule.accepts(value) or (isinstance(value, dict) and rule.wants_target):
        yield refusal_of(path, rule, value)
    elif here and rule.places and isinstance(value, str) and all(place.lacks(value) for place in rule.places):
        yield Problem(path, f"must be {rule.places[0]}, got {value}", of_value=True)
    elif rule.members is not None and isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            here_below = f"{path}.{key}" if isinstance(value, dict) else f"{path}[{key}]"
            yield from _against_rule(each, rule.members, here_below, here)


def _is_built(value: object) -> TypeGuard[Tree]:
    return isinstance(value, dict) and "_target_" in value


def _made(value: Tree) -> Any:
    """What a node with a `_target_` builds, or None where that is told at the node itself."""
    try:
        require_allowed(value["_target_"], "")
        return locate(value["_target_"])
    except (ValueError, AttributeError):
        return None


def _serves(made: Any, part: type, partial: bool) -> bool:
    """Whether what is made can stand where `part` is wanted, as far as a class tells without an object."""
    if part is object or not inspect.isclass(made):
        return True
    if part is Callable:
        return partial or any("__call__" in vars(each) for each in made.__mro__)
    if partial:
        return False
    if getattr(part, "_is_protocol", False):
        return all(hasattr(made, name) for name in _methods(part))
    return issubclass(made, part)


def _methods(protocol: type) -> Iterator[str]:
    for each in protocol.__mro__:
        if each in (Protocol, object) or not getattr(each, "_is_protocol", False):
            continue
        yield from (name for name, value in vars(each).items() if inspect.isfunction(value) and name != "__init__")
