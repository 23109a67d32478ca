"""What a resumed run may change: it acts from the first batch, or is refused by name before anything is written.

A checkpoint restores the weights, the optimisers' state, averages, counters and the place in the data. A key whose
value only serves to make one of these cannot act any more. The table is in docs/resuming.md.
"""

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning import Callback
from omegaconf import DictConfig, OmegaConf

from genexp.callbacks.checkpoint_contents import restore
from genexp.config.instantiate import build
from genexp.data.stream import as_float
from genexp.families.updates import Update, with_options
from genexp.files.json_records import shown
from genexp.files.trees import State, Tree
from genexp.tensors import IndexedNoise

if TYPE_CHECKING:
    from genexp.training.assemble import Experiment

FIXED = {
    "seed": "the weights, the order of the data and the noise so far were drawn with it",
    "data.seed": "the order of the data so far was drawn with it",
    "data.batch_size": "the place in the data is counted in batches",
    "name": "the folder and the W&B run have it",
    "model._target_": "the checkpoint is of that family",
    "model.init": "the picture was begun with it",
    "model.codec.scale": "the network has learned codes of that scale",
    "model.codec.digest": "the network has learned the codes of that autoencoder",
    "model.conditions.*.digest": "the network has learned the tokens of that tokenizer",
    "data.source.captions.words": "the network knows words by their numbers in that list",
    "model.conditions.*.words": "the network knows words by their numbers in that list",
    "model.network.attended.*.digest": "the network has learned to read that encoder",
    "initial*": "the weights were begun with it",
    "adapters*": "the checkpoint holds what they have learned",
    "training.freeze": "the checkpoint's optimisers hold the state of what moved",
    "training.rate_factors*": "the checkpoint's optimisers hold the groups of layers that it makes",
    "model.*optimizer._target_": "the checkpoint holds the state of that class",
    "model.*optimizer.history_size": "the checkpoint holds so many pairs of steps and gradient changes",
    "callbacks.post_hoc.widths": "power-function averages are over all of training",
    "callbacks.post_hoc.modules": "power-function averages are over all of training",
}
"""Keys that a resumed run must leave as they are, and why; `*` stands for any text."""

JUDGING = ("training.monitor", "training.monitor_mode", "sampler", "extractor", "metrics", "callbacks.evaluate")
"""What the monitored value is measured by; where it changes, the best evaluation is searched anew."""

Changed = dict[str, list[Any]]


def require_resumable(config: DictConfig, before: Tree, changed: Changed) -> None:
    """Refuse changes that could not act because a checkpoint's content takes their place.

    Whatever changes how a model begins (shapes, first values, weights that it loads) is found by beginning both.

    Args:
        config: The configuration that is resumed with.
        before: The configuration of the run so far, as plain containers.
        changed: Old and new value of every key that differs.

    Raises:
        ValueError: with the key, the rule and both values.
    """
    for key, (old, new) in changed.items():
        for fixed, why in FIXED.items():
            if re.fullmatch(re.escape(fixed).replace(r"\*", ".*"), key):
                raise ValueError(_refused(key, old, new, why))
    first = {key.split(".")[1]: key for key in reversed(changed) if key.startswith("model.")}
    parts = [part for part in sorted(first) if not part.endswith("optimizer")]
    together = before["model"]
    for part in parts:
        together = _with(together, config, part)
    if not parts or _why_not(before, together, config.seed) is None:
        return
    for part in parts:
        why = _why_not(before, _with(before["model"], config, part), config.seed)
        if why is not None:
            raise ValueError(_refused(first[part], *changed[first[part]], why))
    raise ValueError(
        f"{', '.join(first.values())} must stay in a resumed run: {_why_not(before, together, config.seed)}"
    )


def _with(model: Tree, config: DictConfig, part: str) -> Tree:
    """A model with one part of the model of `config`."""
    return model | {part: OmegaConf.to_container(config.model).get(part)}


def _why_not(before: Tree, model: Tree, seed: int) -> str | None:
    """Why the checkpoint of a run cannot be that of `model`, or None."""
    try:
        alike = _begins_alike(before["model"], model, seed)
    except Exception as error:
        return f"the run's model cannot have it ({' '.join(str(error).split())})"
    return None if alike else "the checkpoint's weights take the place of what it makes"


def require_restorable(experiment: "Experiment", checkpoint: State, path: Path, changed: Changed) -> None:
    """Restore the model and try the optimisers and callbacks on copies, before training restores everything itself.

    Args:
        experiment: The live objects; its model carries the checkpoint's weights afterwards.
        checkpoint: Plain containers, as read from the file.
        path: That file.
        changed: Old and new value of every key that differs.

    Raises:
        ValueError: something does not fit the checkpoint; in one line.
    """
    model, data = experiment.model, experiment.data
    restore(model, checkpoint, path)
    model.require_same_start(as_float(data.stored("train").examples.read(torch.zeros(1, dtype=torch.int64))))
    for (name, update), state in zip(model.updates.items(), checkpoint["optimizer_states"], strict=True):
        _try_optimizer(name, update, state, [key for key in changed if "optimizer." in key])
    if "sampler._target_" in changed and "evaluate" in experiment.callbacks:
        _require_drawable(experiment.callbacks["evaluate"].sampler, model.source())
    for key, (old, new) in changed.items():
        _require_own_value(experiment.callbacks, checkpoint.get("callbacks", {}), key, old, new)


def judges_otherwise(changed: Changed) -> list[str]:
    """The changed keys by which evaluations are judged otherwise than before."""
    return [key for key in changed if any(key == each or key.startswith(f"{each}.") for each in JUDGING)]


def _refused(key: str, old: object, new: object, why: str) -> str:
    was, typed = (shown(each) if each is None or isinstance(each, bool | list) else each for each in (old, new))
    return f"{key} must stay {was} in a resumed run, got {typed}: {why}; begin a new run with it"


def _begins_alike(one: DictConfig, other: DictConfig, seed: int) -> bool:
    first, second = _first_values(one, seed), _first_values(other, seed)
    alike = first.keys() == second.keys()
    return alike and all(first[name].shape == second[name].shape for name in first) and _equal(first, second)


def _equal(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def _first_values(node: DictConfig, seed: int) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(node).state_dict()


def _require_drawable(sampler: object, source: object) -> None:
    try:
        sampler.start(source, IndexedNoise(0, [0]))
    except TypeError as error:
        raise ValueError(f"sampler must fit the model of the run: {error}") from error
    except RuntimeError:  # one that has to be fitted to training images first
        pass


def _try_optimizer(name: str, update: Update, state: State, keys: list[str]) -> None:
    """Step an optimiser of one weight once on a copy of its state: an option may need state that is not there."""
    model_state = {index: each for index, each in state["state"].items() if isinstance(index, int)}
    (stored,) = with_options([state], {name: update})
    if not keys or not model_state:
        return
    index, own = next(iter(model_state.items()))
    shape = next((v.shape for k, v in own.items() if torch.is_tensor(v) and k != "step" and v.ndim), (1,))
    weight = torch.nn.Parameter(torch.zeros(shape))
    optimizer = update.optimizer([weight])
    if isinstance(optimizer, torch.optim.LBFGS):  # its options are settings of the search alone
        return
    group = next(each for each in stored["param_groups"] if index in each["params"]) | {"params": [index]}
    try:
        optimizer.load_state_dict(copy.deepcopy({"state": {index: own}, "param_groups": [group]}))
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    except (KeyError, IndexError, RuntimeError, AssertionError) as error:
        raise ValueError(
            f"{', '.join(keys)} must stay in a resumed run: the checkpoint lacks {error} of "
            f"{type(optimizer).__name__}, which the new value needs; begin a new run with it"
        ) from error


def _require_own_value(callbacks: Mapping[str, Callback], states: State, key: str, old: object, new: object) -> None:
    """Refuse an argument of a callback that its own saved state overwrites, such as patience in `EarlyStopping`."""
    parts = key.split(".")
    callback = callbacks.get(parts[1]) if parts[0] == "callbacks" and len(parts) == 3 else None
    if callback is None or not hasattr(callback, parts[2]) or callback.state_key not in states:
        return
    restored = copy.copy(callback)
    given = getattr(callback, parts[2])
    restored.load_state_dict(copy.deepcopy(states[callback.state_key]))
    if getattr(restored, parts[2]) != given:
        raise ValueError(_refused(key, old, new, "the checkpoint's state of this callback holds it"))
