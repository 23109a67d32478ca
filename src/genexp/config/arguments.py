"""The rules of constructors' arguments that their signatures state too widely: Lightning's trainer, optimisers, seeds.

Imports no torch.
"""

import importlib.util
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

from genexp.config.fields import PART, SEED, TEXT
from genexp.config.rules import Rule, either, list_of, mapping_of, null, number, one_of, optional, row_of, text, whole

_SHARE_OR_COUNT = either(whole(0), number(0, 1))
_PROCESSES = replace(
    either(one_of("auto", -1), whole(1), list_of(whole(0), 1), text(test=re.compile(r"\d+(,\d+)*,?\Z").match)),
    words="auto, -1 for all GPUs, a number of at least 1, or a list of GPUs",
)
_PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true", 64, 32, 16, "64", "32")
_PRECISIONS = (*_PRECISIONS, "16", "bf16", "transformer-engine", "transformer-engine-float16")

TRAINER: dict[str, Rule] = {
    "accelerator": one_of("auto", "cpu", "gpu", "cuda", "mps"),
    "devices": _PROCESSES,
    "num_nodes": whole(1),
    "precision": one_of(*_PRECISIONS),
    "max_epochs": optional(whole(-1)),
    "min_epochs": optional(whole(0)),
    "max_steps": whole(-1),
    "min_steps": optional(whole(0)),
    "limit_train_batches": optional(_SHARE_OR_COUNT),
    "limit_val_batches": optional(_SHARE_OR_COUNT),
    "overfit_batches": _SHARE_OR_COUNT,
    "val_check_interval": optional(either(whole(1), number(above=0, most=1), text("a duration"), mapping_of(whole(0)))),
    "check_val_every_n_epoch": optional(whole(1)),
    "num_sanity_val_steps": optional(whole(-1)),
    "log_every_n_steps": optional(whole(0)),
    "reload_dataloaders_every_n_epochs": whole(0),
    "accumulate_grad_batches": one_of(1),
    "gradient_clip_val": null(),
    "gradient_clip_algorithm": null(),
    "profiler": optional(either(one_of("simple", "advanced", "pytorch", "xla"), PART)),
}
"""Arguments of lightning.Trainer, as far as families with optimisers of their own take them."""

READ_OF_TRAINER = ("accelerator", "devices", "precision", "strategy")
"""Arguments that are settled for a machine before the trainer is built."""

_NOT_NEGATIVE = number(0)
_BELOW_ONE = number(0, below=1)

OPTIMISERS: dict[str, Rule] = {
    "lr": _NOT_NEGATIVE,
    "eps": _NOT_NEGATIVE,
    "weight_decay": _NOT_NEGATIVE,
    "momentum": _NOT_NEGATIVE,
    "betas": row_of(_BELOW_ONE, _BELOW_ONE),
    "max_iter": whole(1),
    "max_eval": optional(whole(1)),
    "history_size": whole(1),
    "tolerance_grad": _NOT_NEGATIVE,
    "tolerance_change": _NOT_NEGATIVE,
}
"""Arguments that optimisers of torch share; most they refuse in words of their own, and infinity not at all."""

_COUNTS = ("width", "latent_size", "num_features", "groups", "heads", "dimensions", "pairs", "max_pixels", "every")
_COUNTS = (*_COUNTS, "images", "channels", "image_size", "num_classes", "batch_size")
_OURS: dict[str, Rule] = {
    **dict.fromkeys(_COUNTS, whole(1)),
    **dict.fromkeys(("weight", "target", "eps"), _NOT_NEGATIVE),
    **dict.fromkeys(("sigma", "pooling_scale"), number(above=0)),
    "seed": SEED,
}
"""Arguments that mean the same in every class of ours."""

_RAMPS = dict.fromkeys(("value", "start", "end", "floor"), _NOT_NEGATIVE)
"""Values of ramps, which are factors and weights."""


def narrowed(target: str, name: str, stated: Rule) -> Rule:
    """The rule of an argument: the one told here for a class and an argument, else that of the signature.

    Args:
        target: The class's dotted name.
        name: The argument.
        stated: What its annotation says.
    """
    if target in ("lightning.Trainer", "lightning.pytorch.Trainer"):
        return TRAINER.get(name, stated)
    if target.startswith("torch.optim."):
        return OPTIMISERS.get(name, stated)
    if target == "genexp.data.torchvision_sets.Torchvision" and name == "dataset":
        return _data_sets()
    if target.startswith("genexp.") and name == "asset":
        return _assets()
    if target.startswith("genexp.ramps."):
        return _RAMPS.get(name, stated)
    if not target.startswith("genexp.") or name not in _OURS or (name in _COUNTS and not stated.accepts(1)):
        return stated
    return optional(_OURS[name]) if stated.accepts(None) else _OURS[name]


@cache
def _assets() -> Rule:
    """The weights that are shipped."""
    return one_of(*sorted(path.stem for path in (Path(__file__).parents[1] / "assets").glob("*.safetensors")))


@cache
def _data_sets() -> Rule:
    """A class of torchvision.datasets, as its `__all__` lists them; the file is read, not run."""
    spec = importlib.util.find_spec("torchvision")
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "__init__.py"
    names = re.search(r"__all__ = \(([^)]*)\)", path.read_text())
    return one_of(*re.findall(r"\w+", names[1])) if names else TEXT


def told_by_the_run(path: str, value: object) -> bool:
    """Whether a run fills in what a configuration leaves null: places, ids and names of loggers."""
    return value is None and path.startswith("logger.")
