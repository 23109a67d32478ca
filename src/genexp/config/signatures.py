"""What a callable takes: names, those that it requires, and the rule of every argument, from its signature."""

import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from genexp.config.rules import (
    Rule,
    anything,
    either,
    flag,
    list_of,
    mapping_of,
    null,
    number,
    on_disk,
    one_of,
    part,
    row_of,
    text,
    whole,
)
from genexp.on_disk import OnDisk

_PLAIN = {
    int: whole,
    float: number,
    bool: flag,
    str: text,
    Path: text,
    type(None): null,
    Any: anything,
    object: anything,
}
_LISTS = (list, set, frozenset, Sequence, Iterable)
_MAPPINGS = (dict, Mapping)


@dataclass(frozen=True)
class Parameters:
    """The arguments of a callable: the annotation of each by its name, those that have no default, and defaults."""

    annotations: Mapping[str, Any]
    required: frozenset[str]
    defaults: Mapping[str, Any]

    def rule(self, name: str) -> Rule:
        """What the argument `name` must be."""
        return rule_of(self.annotations[name])


@cache
def parameters_of(found: Any) -> Parameters | None:
    """The arguments that a callable accepts; None when it accepts any keyword that we cannot see.

    A `**keywords` of a class is followed to its base classes, so that a typo below it is still found.
    """
    annotations: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    required: frozenset[str] = frozenset()
    callables = [each.__init__ for each in found.__mro__[:-1]] if inspect.isclass(found) else [found]
    for i, function in enumerate(callables):
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            return None
        if inspect.isclass(found):
            parameters = parameters[1:]
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        told = _evaluated(function, {p.name: p.annotation for p in named})
        annotations = {**told, **annotations}
        defaults = {**{p.name: p.default for p in named if p.default is not p.empty}, **defaults}
        if i == 0:
            required = frozenset(p.name for p in named if p.default is p.empty)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return Parameters(annotations, required, defaults)
    return None


def _evaluated(function: Callable, annotations: dict[str, Any]) -> dict[str, Any]:
    """Annotations with those that stand there as text looked up; what cannot be looked up may be anything."""
    if not any(isinstance(each, str) for each in annotations.values()):
        return annotations
    try:
        return {**annotations, **get_type_hints(function, include_extras=True)}
    except Exception:  # of a library's annotation for type checkers alone, which no one evaluates
        return {name: Any if isinstance(each, str) else each for name, each in annotations.items()}


def rule_of(annotation: object) -> Rule:
    """What a value must be for an argument with this annotation.

    A class, a protocol and a callable stand for a part: a mapping with a `_target_`. What is not known may be anything.
    """
    try:
        return _rule_of(annotation)
    except TypeError:  # of an annotation that cannot be kept, such as one with a list in it
        return _rule_of.__wrapped__(annotation)


@cache
def _rule_of(annotation: Any) -> Rule:
    if annotation is inspect.Parameter.empty:
        return anything()
    if annotation in _PLAIN:
        return _PLAIN[annotation]()
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        places = [each for each in arguments[1:] if isinstance(each, OnDisk)]
        return on_disk(rule_of(arguments[0]), places[0]) if places else rule_of(arguments[0])
    if origin in (Union, types.UnionType):
        return either(*(rule_of(each) for each in arguments))
    if origin is Literal:
        return one_of(*arguments)
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is ...):
        return row_of(*(rule_of(each) for each in arguments))
    if origin in _LISTS or origin is tuple:
        return list_of(rule_of(arguments[0]) if arguments else anything())
    if origin in _MAPPINGS:
        return mapping_of(rule_of(arguments[1]) if arguments else anything())
    if annotation in _LISTS or annotation is tuple:
        return list_of(anything())
    if annotation in _MAPPINGS:
        return mapping_of(anything())
    if origin is Callable or annotation is Callable:
        return part(Callable, "callable")
    return part(annotation, annotation.__name__) if inspect.isclass(annotation) else anything()
