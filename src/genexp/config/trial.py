"""The parts of a configuration built on trial, so that ranges and misfits are told before anything is done.

Constructors say themselves what they do not take. Here they are called from the leaves up, with random fills left out
and without those that read files, download, or start something.
"""

import functools
import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from genexp.config.compose import conf_dir
from genexp.config.interpolations import MISSING, UNKNOWN
from genexp.config.monitor import metric_class
from genexp.config.problems import Problem
from genexp.config.signatures import parameters_of
from genexp.config.targets import locate
from genexp.contracts import ImageMap, Sampler
from genexp.files.json_records import shown
from genexp.files.trees import Tree
from genexp.files.yaml_records import read_yaml

_TRIED = ("genexp.", "torch.optim.", "torch.nn.", "torchvision.transforms.")
_NOT_TRIED = ("genexp.tracking.", "genexp.networks.shipped_networks.", "genexp.callbacks.checkpoint.")
_NOT_TRIED += (
    "genexp.evaluation.extractors.clip_features.",
    "genexp.evaluation.extractors.classifiers.ClassifierFeatures",
    "genexp.evaluation.extractors.classifiers.StackedDigitFeatures",
)
"""Prefixes of what has no side effects, and what of it has or takes long. What reads a file says so (`OnDisk`)."""

_FILLS = {"normal_", "uniform_", "trunc_normal_", "orthogonal_", "kaiming_uniform_", "kaiming_normal_"}
_FILLS |= {"xavier_uniform_", "xavier_normal_", "random_", "bernoulli_", "exponential_", "_no_grad_normal_"}
_FILLS |= {"_no_grad_uniform_", "_no_grad_trunc_normal_", "sparse_"}


class _Unfilled(TorchFunctionMode):
    """Within, tensors that would be filled with random numbers stay as they are."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _FILLS:
            return args[0] if args else kwargs["tensor"]
        if name in ("randn", "rand"):
            return torch.empty(*args, **{key: value for key, value in kwargs.items() if key != "generator"})
        return func(*args, **kwargs)


class _StandIn:
    """In the place of a part that is not built on trial."""


@dataclass
class Trial:
    """Objects that were built on trial by the dotted key of their node, and what their constructors refused."""

    built: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def build(self, node: Any, path: str, unsound: set[str]) -> Any:
        """Build what `node` describes, and all below it.

        Args:
            node: Plain containers.
            path: Its dotted key.
            unsound: Keys of which something else is known to be wrong; what they belong to is not built.

        Returns:
            The object, or a stand-in where it was not built.
        """
        if isinstance(node, list):
            return [self.build(each, f"{path}[{i}]", unsound) for i, each in enumerate(node)]
        if not isinstance(node, dict):
            return _StandIn() if node in (MISSING, UNKNOWN) else node
        arguments = {
            key: self.build(value, f"{path}.{key}" if path else str(key), unsound)
            for key, value in node.items()
            if not str(key).startswith("_")
        }
        if "_target_" not in node:
            return arguments
        if any(key == path or key.startswith((f"{path}.", f"{path}[")) for key in unsound) or not _is_tried(node):
            return _StandIn()
        return self._called(node, path, arguments)

    def _called(self, node: Tree, path: str, arguments: dict[str, Any]) -> Any:
        found, partial = locate(node["_target_"]), node.get("_partial_", False)
        optimiser = inspect.isclass(found) and issubclass(found, torch.optim.Optimizer)
        given = [[nn.Parameter(torch.zeros(1))]] if partial and optimiser else []
        if partial and not given:
            return _StandIn() if _holds_stand_in(arguments) else functools.partial(found, **arguments)
        try:
            made = found(*given, **arguments)
        except Exception as error:  # whatever a constructor raises is what it has to say
            subject = arguments.get(str(error).partition(" ")[0])  # of a part that was not built nothing is known
            known = _StandIn.__name__ not in str(error) and not _holds_stand_in(subject)
            told = isinstance(error, ValueError) and known
            if told or not _holds_stand_in(arguments):
                self.problems.append(refused(error, path, node))
            return _StandIn()
        if _holds_stand_in(arguments):
            return _StandIn()
        self.built[path] = functools.partial(found, **arguments) if partial else made
        return self.built[path]


@contextmanager
def on_trial() -> Iterator[Trial]:
    """Within, parts can be built on trial: no random fills, no log, and torch's random state is left alone."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with torch.random.fork_rng(devices=[]), _Unfilled():
            yield Trial()
    finally:
        logging.disable(before)


def refused(error: Exception, path: str, node: Tree) -> Problem:
    """What a constructor refused, at the key of the argument that its message begins with."""
    line = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, ValueError | OSError):
        line = f"cannot be built ({type(error).__name__}: {line})"
    word, _, rest = line.partition(" ")
    place = _place_of(node, word.split(".")) if rest.startswith("must ") else None
    return Problem(f"{path}.{place}" if place else path, rest if place else line, of_value=True)


def _place_of(node: Tree, words: list[str]) -> str | None:
    """The dotted key of an argument in a node, or of what a part below it holds by a name (`negative.caption`)."""
    if _holds(node, words):
        return ".".join(words)
    parts = [(key, each) for key, each in node.items() if isinstance(each, dict)] if len(words) > 1 else []
    found = [f"{key}.{place}" for key, each in parts if (place := _place_of(each, words))]
    return found[0] if found else None


def _holds(node: object, words: list[str]) -> bool:
    inside = isinstance(node, dict) and words[0] in node
    return inside and (len(words) == 1 or _holds(node[words[0]], words[1:]))


def misfits(trial: Trial, plain: Tree) -> Iterator[Problem]:
    """Samplers that do not fit the model which they are to draw from, and metrics of a model that draws nothing."""
    model = trial.built.get("model")
    if model is None:
        return
    for name in ("sample_grid", "evaluate"):
        place = f"callbacks.{name}.sampler"
        sampler = trial.built.get(place)
        if not isinstance(sampler, Sampler):
            continue
        try:
            sampler.require(model.source())
        except TypeError as error:
            fitting = ", ".join(_samplers_for(model))
            yield Problem(place, f"must fit the model: {error}; these fit: {fitting or 'none'}", of_value=True)
        except ValueError as error:
            yield refused(error, place, plain["callbacks"][name]["sampler"])
    yield from _unmeasured(trial, plain, model.source())


def _unmeasured(trial: Trial, plain: Tree, source: object) -> Iterator[Problem]:
    """Metrics that a model does not have."""
    place = "callbacks.evaluate.metrics"
    built = {name: trial.built.get(f"{place}.{name}") for name in plain.get("metrics") or {}}
    compared = [name for name, metric in built.items() if metric is None or metric.kind != "model"]
    if compared and isinstance(source, ImageMap) and "callbacks.evaluate.sampler" in trial.built:
        given = shown(", ".join(compared))
        yield Problem("metrics", f"must be none for a model that maps given images, got {given}", of_value=True)
    for name, metric in built.items():
        node = plain["metrics"][name]
        pairs = node is not None and metric_class(name, node["_target_"]).kind == "pairs"
        if pairs and not isinstance(source, ImageMap):
            rule = "compare sets of images or the model, since what a run draws is made of no real image"
            yield Problem(f"metrics.{name}", f"must {rule}: {name} compares image i with image i", of_value=True)
        if metric is not None and metric.kind == "model":
            try:
                metric.require(source)
            except TypeError as error:
                yield Problem(f"metrics.{name}", f"must fit the model: {error}", of_value=True)


def _samplers_for(model: nn.Module) -> Iterator[str]:
    """The shipped samplers that draw from a model, by the names of their files; none that wants a run of one's own."""
    for path in sorted((conf_dir() / "sampler").glob("*.yaml")):
        node = read_yaml(path)
        if "_target_" not in node or _is_open(node):
            continue
        node.pop("defaults", None)
        sampler = locate(node.pop("_target_"))(**node)
        with suppress(TypeError, ValueError):
            sampler.require(model.source())
            yield path.stem


def _is_open(value: Any) -> bool:
    """Whether a value, or one within, is left to whoever chooses it."""
    return any(map(_is_open, value.values())) if isinstance(value, dict) else value == "???"


def _holds_stand_in(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(_holds_stand_in(each) for each in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, _StandIn)


def _is_tried(node: Tree) -> bool:
    target = str(node["_target_"])
    if not target.startswith(_TRIED) or target.startswith(_NOT_TRIED):
        return False
    parameters = parameters_of(locate(target))
    if parameters is None:
        return True
    for name in parameters.annotations:
        for place in parameters.rule(name).places:
            if place.kind == "file" and node.get(name) not in ("random",):
                return False
    return True
