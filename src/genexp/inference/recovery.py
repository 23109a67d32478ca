"""The averages that a checkpoint holds, and those that are recovered from its snapshots."""

import hashlib
import os
import sys
from pathlib import Path

from safetensors.torch import load
from torch import Tensor

from genexp.callbacks.checkpoint_contents import Averaged
from genexp.callbacks.power_averages import AVERAGES, by_name, stored_name
from genexp.callbacks.power_function import Profile, combination, gamma_of
from genexp.config.weights_choice import WeightsChoice, shortest
from genexp.files.json_records import open_regular
from genexp.files.trees import State, Tree

MOST_ERROR = 0.1
"""Largest distance between a profile and what stands for it, over the length of the profile."""


def averages_of(checkpoint: State, choice: WeightsChoice, folder: Path) -> Averaged:
    """The averages that a choice of weights means, by sub-module; nothing for the raw ones.

    `averaged` means the raw weights too where a run kept no average.

    Args:
        checkpoint: Plain containers, restored.
        choice: What is wanted.
        folder: The folder of the run.

    Raises:
        ValueError: the run kept no such average, or too little to recover it, or a snapshot is another one.
        FileNotFoundError: a snapshot is gone.
    """
    if choice.kind == "post_hoc":
        return _recovered(checkpoint, choice, folder)
    stored = checkpoint.get("averaged")
    if choice.kind == "raw" or (stored is None and choice.number is None):
        return {}
    kept = [] if stored is None else stored.get("half_lives", [])
    if choice.number is None:
        return stored["modules"]
    if choice.number not in kept:
        known = ", ".join(f"averaged@{shortest(each)}" for each in kept)
        raise ValueError(f"weights must be raw{', averaged' if stored else ''}{known and f' or {known}'}, got {choice}")
    return [stored, *stored["others"]][kept.index(choice.number)]["modules"]


_Factors = dict[str, dict[tuple[int, float], float]]
"""By sub-module, the factor of every moment and width."""


def _recovered(checkpoint: State, choice: WeightsChoice, folder: Path) -> Averaged:
    kept = checkpoint.get("post_hoc")
    if kept is None:
        raise ValueError(f"weights must be averaged or raw of a run without callbacks/post_hoc=power, got {choice}")
    gamma, now = _gamma(choice), kept["averages"]
    if choice.number in kept["widths"]:
        return now[kept["widths"].index(choice.number)]["modules"]
    factors: _Factors = {}
    errors: list[float] = []
    moments = [*(each["images"] for each in kept["snapshots"]), now[0]["images"]]
    for module, end in now[0]["images"].items():
        if end == 0:  # never updated: all averages are its first weights
            continue
        last = {images[module]: index for index, images in enumerate(moments) if images[module] > 0}
        places = [(index, width) for index in last.values() for width in kept["widths"]]
        known = [Profile(moments[index][module], gamma_of(width)) for index, width in places]
        found, error = combination(known, Profile(end, gamma))
        factors[module] = dict(zip(places, found, strict=True))
        errors.append(error)
    _tell(choice, max(errors, default=0.0), len(moments))
    return _summed(factors, kept, folder)


def _gamma(choice: WeightsChoice) -> float:
    try:
        return gamma_of(choice.number)
    except ValueError as error:
        raise ValueError(f"weights must be post_hoc@<width> of one: {error}") from error


def _tell(choice: WeightsChoice, error: float, moments: int) -> None:
    """Say how near the profile of what is recovered comes to the one that is wanted.

    Raises:
        ValueError: not near enough.
    """
    if error > MOST_ERROR:
        raise ValueError(
            f"weights must be a width that {moments} moments of training make up to {MOST_ERROR:.0%}, got {choice}, "
            f"off by {error:.0%}: take one nearer to callbacks.post_hoc.widths, or train with a smaller "
            "callbacks.post_hoc.every"
        )
    print(f"weights     {choice}, its profile made up of {moments} moments to {error:.2%}", file=sys.stderr)


def _summed(factors: _Factors, kept: Tree, folder: Path) -> Averaged:
    """The sums in float64, one snapshot in memory at a time; then in the precision of the weights."""
    model = {module: kept["averages"][0]["modules"][module] for module in factors}
    sums = {module: {name: 0.0 for name in tensors} for module, tensors in model.items()}
    for index in sorted({at for shares in factors.values() for at, _ in shares}):
        tensors = _moment(index, kept, folder)
        for module, shares in factors.items():
            for width in (width for at, width in shares if at == index):
                for name in model[module]:
                    sums[module][name] += shares[index, width] * tensors[stored_name(width, module, name)].double()
    return {
        module: {name: sums[module][name].to(tensor.dtype) for name, tensor in tensors.items()}
        for module, tensors in model.items()
    }


def _moment(index: int, kept: Tree, folder: Path) -> dict[str, Tensor]:
    """All averages of one moment: of a snapshot, or after these of the checkpoint itself.

    Raises:
        ValueError: the snapshot is not the one that the checkpoint names.
        FileNotFoundError: it is gone.
    """
    if index == len(kept["snapshots"]):
        return by_name([each["modules"] for each in kept["averages"]], kept["widths"])
    named = kept["snapshots"][index]
    path = folder / AVERAGES / Path(named["file"]).name
    if not path.is_file():
        raise FileNotFoundError(f"weights=post_hoc@<width> needs every snapshot of the checkpoint, got none at {path}")
    with os.fdopen(open_regular(path), "rb") as file:
        content = file.read()
    found = hashlib.sha256(content).hexdigest()
    if found != named["digest"]:
        raise ValueError(f"{path} must have the SHA-256 {named['digest'][:12]}..., got {found[:12]}...: it is damaged")
    return load(content)
