"""What a configuration may build: classes of a few packages, found by name and checked by where they are defined."""

import importlib
import inspect
import os
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from genexp.config.problems import did_you_mean
from genexp.config.projects import packages
from genexp.config.renamed import moved

ALLOWED = (
    "genexp.adversarial.",
    "genexp.callbacks.",
    "genexp.conditioning.",
    "genexp.data.",
    "genexp.densities.",
    "genexp.diffusion.",
    "genexp.evaluation.",
    "genexp.families.",
    "genexp.flows.",
    "genexp.inference.diffusers_codec.",
    "genexp.inference.published.",
    "genexp.inference.trained.",
    "genexp.inference.shipped_codec.",
    "genexp.inference.shipped_judge.",
    "genexp.inference.shipped_weights.",
    "genexp.inference.trained_codec.",
    "genexp.inference.trained_features.",
    "genexp.inference.trained_generator.",
    "genexp.inference.trained_tokens.",
    "genexp.inference.reflow.",
    "genexp.latents.",
    "genexp.losses.",
    "genexp.networks.",
    "genexp.ramps.",
    "genexp.tracking.comet_run.",
    "genexp.tracking.journal.",
    "genexp.tracking.mlflow_run.",
    "genexp.tracking.wandb_run.",
    "genexp.sampling.",
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
"""What the name of a class that a configuration builds begins with; the class is defined there too."""

FACTORIES = (
    "genexp.evaluation.metrics.modes.toy_centres",
    "genexp.networks.shipped_networks.trained_network",
    "genexp.networks.pretrained.efficientnet_lite0",
)
"""The functions that a configuration may call. Others of these packages move files or fetch what an address names."""

UNSAFE = {
    "torchvision.datasets.lsun.LSUN": "unpickles a cache from the working folder",
    "torchvision.datasets.lsun.LSUNClass": "unpickles a cache from the working folder",
    "torchmetrics.image.fid.FrechetInceptionDistance": "unpickles the weights that it is given; use metrics=fid",
    "torchmetrics.image.fid.NoTrainInceptionV3": "unpickles the weights that it is given; use metrics=fid",
}
"""Classes of allowed packages that read any pickle. CIFAR's files must have the published digests first."""


BESIDE_OURS = {
    "WeightAveraging": "averages weights beside callbacks.averaging, which draws, evaluates and keeps what it averages",
    "StochasticWeightAveraging": "averages weights beside callbacks.averaging, and sets rates that optimisers have",
    "GradientAccumulationScheduler": "gathers gradients of several batches, while training.accumulate splits one",
}
"""Callbacks of Lightning that would do again what a run does already, and change its result without a word."""


def require_allowed(target: str, where: str) -> None:
    """Refuse a `_target_` by which a configuration could run code that is not a part.

    Its name must begin with an allowed prefix, and it must be a class that is defined there, or one of `FACTORIES`:
    `torch.nn.functional.torch.load` begins with `torch.nn.` and is a function of another module. A package that
    `GENEXP_TRUST` names, or that is a project (`genexp.config.projects`), may offer functions too.

    Args:
        target: The dotted name.
        where: The key that holds it.

    Raises:
        ValueError: with the key, the rule and the value; also where there is no such name.
    """
    if now := moved(target):
        raise ValueError(f"{where}._target_ must name a class where it is now, {now}, got {target!r}")
    trusted = [each.strip() for each in os.environ.get("GENEXP_TRUST", "").split(",") if each.strip()]
    trusted += [f"{package}." for package in packages()]
    prefix = next((each for each in (*trusted, *ALLOWED) if _begins(target, each)), None)
    if prefix is None:
        known = [*ALLOWED, *trusted]
        near = [each for each in known if each.split(".")[0] == target.split(".")[0]] or known
        raise ValueError(
            f"{where}._target_ must begin with one of {', '.join(near)}, got {target!r}; "
            "set GENEXP_TRUST=mypackage. to allow a package of your own, or let genexp new make a project"
        )
    found = locate(target)
    if target in FACTORIES:
        return
    if reason := UNSAFE.get(f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"):
        raise ValueError(f"{where}._target_ must name no class that reads pickles, got {target!r}, which {reason}")
    if inspect.isclass(found) and (reason := next(filter(None, map(_beside_ours, found.__mro__)), None)):
        raise ValueError(
            f"{where}._target_ must name no callback that repeats one of genexp, got {target!r}: it {reason}"
        )
    package = target.rpartition(".")[0] if target == prefix else prefix.rstrip(".")
    module = getattr(found, "__module__", None)
    here = f"{module}.".startswith(f"{package}.")
    if not here or not (inspect.isclass(found) or (prefix in trusted and callable(found))):
        kind = "class" if inspect.isclass(found) else "function" if inspect.isroutine(found) else type(found).__name__
        wanted = "a class or a function" if prefix in trusted else "a class"
        raise ValueError(
            f"{where}._target_ must name {wanted} that {package} defines, got {target!r}, a {kind}"
            f"{f' of {module}' if module else ''}"
        )


def _beside_ours(base: type) -> str | None:
    return BESIDE_OURS.get(base.__name__) if base.__module__.startswith("lightning.pytorch.callbacks.") else None


def _begins(target: str, prefix: str) -> bool:
    return target == prefix or target.startswith(f"{prefix.rstrip('.')}.")


def locate(target: str) -> Any:
    """Import the object of a dotted name; from front to back, as Hydra does.

    Raises:
        ValueError: no such module or attribute, with the nearest name.
    """
    parts = target.split(".")
    try:
        found = importlib.import_module(parts[0])
    except (ModuleNotFoundError, ValueError) as error:
        lacking = getattr(error, "name", None) or parts[0]
        raise ValueError(f"{target} cannot be imported: there is no module {lacking}") from None
    for i, part in enumerate(parts[1:], start=2):
        found = getattr(found, part) if hasattr(found, part) else _import_inside(found, parts[:i], target)
    return found


def _import_inside(found: object, parts: list[str], target: str) -> ModuleType:
    """A module of the package `found` that nobody has imported yet, or that was when the package was another object."""
    name = ".".join(parts)
    missing = ValueError(f"{target} does not exist{did_you_mean(parts[-1], dir(found))}")
    if not isinstance(found, ModuleType) or not parts[-1]:
        raise missing
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            raise missing from None
        raise ValueError(f"{target} cannot be imported: {error}") from error


def targets(node: object, path: str = "") -> Iterable[tuple[str, str]]:
    """All `_target_` values below a plain node with the dotted paths of the nodes that hold them."""
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield path or "<root>", node["_target_"]
        for key, value in node.items():
            yield from targets(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from targets(value, f"{path}[{i}]")
