"""What sections of a training configuration say that does not go together, though each is sound by itself."""

from collections.abc import Callable, Iterator

from genexp.config.batches import unfit_for_batches
from genexp.config.fields import SWITCHES
from genexp.config.guidance_strengths import guided_twice
from genexp.config.monitor import measured_values, monitored, unmeasured, value_directions
from genexp.config.problems import Problem, did_you_mean
from genexp.config.trial import Trial
from genexp.files.json_records import shown
from genexp.files.trees import Tree

HIGHER = ("val/elbo", "val/accuracy")
"""Held-out terms of families of which more is better; all others are losses, or have no direction."""


def disagreements(trial: Trial, plain: Tree, unsound: set[str]) -> Iterator[Problem]:
    """What sections of a training configuration say that does not go together.

    Args:
        trial: What was built.
        plain: The configuration as plain containers.
        unsound: Keys that are known to be wrong; what depends on their sections is not looked at.
    """
    sound = {"data", "model", "trainer", "training", "metrics", "callbacks"} - {key.split(".")[0] for key in unsound}
    sound = {key for key in sound if isinstance(plain.get(key), dict)}
    if "trainer" in sound:
        yield from _of_strategy(plain["trainer"])
    if {"data", "model"} <= sound:
        classes, given = plain["data"].get("num_classes"), plain["model"].get("num_classes")
        if isinstance(given, int) and given != classes:
            rule = "null for data without classes" if classes is None else f"null or {classes} as in data.num_classes"
            yield Problem("model.num_classes", f"must be {rule}, got {given}", of_value=True)
        shape, given = plain["data"].get("shape"), plain["model"].get("image_shape")
        if isinstance(given, list) and isinstance(shape, list) and given != shape:
            yield Problem("model.image_shape", f"must be {shape} as in data.shape, got {given}", of_value=True)
    if {"training", "metrics", "callbacks"} <= sound:
        yield from _told(lambda: monitored(plain), "training.monitor")
    if {"training", "model"} <= sound and "model" in trial.built:
        switches = {name: plain["training"][name] for name in SWITCHES if name in plain["training"]}
        yield from _told(lambda: trial.built["model"].arrange(**switches), "training.")
    begins = plain.get("resume") in (None, "auto")  # a resumed run has begun, and must leave this as it is
    if begins and isinstance(plain.get("initial"), dict) and not any(key.startswith("initial") for key in unsound):
        yield from _of_beginning(trial, plain)
    if begins and "model" in sound and "sampler" not in {key.split(".")[0] for key in unsound}:
        guidance = (plain.get("sampler") or {}).get("guidance")
        if wrong := guided_twice(plain["model"], guidance):
            yield Problem(*wrong, of_value=True)
    if {"training", "model"} <= sound and "model" in trial.built:
        yield from _of_adapters(trial, plain)
        yield from _of_sharding(trial, plain, unsound)
    if {"training", "model", "data", "trainer"} <= sound:
        yield from unfit_for_batches(trial, plain)
    if {"metrics", "callbacks"} <= sound:
        yield from _of_early_stopping(plain)
    if {"training", "model", "callbacks"} <= sound:
        yield from _of_averages(trial, plain)


def _of_adapters(trial: Trial, plain: Tree) -> Iterator[Problem]:
    """Layers to be adapted, frozen or sped up that are none of the model's, and updates of what nothing has trained."""
    model, still = trial.built["model"], list[str]()
    if plain.get("adapters") is not None and plain.get("initial") is None:
        yield Problem("adapters", "must be null without initial=run, whose weights they add to")
    elif "adapters" in trial.built:
        yield from _told(lambda: still.extend(trial.built["adapters"].adapt(model)), "adapters")
    yield from _told(lambda: model.freeze(plain["training"].get("freeze") or [], still), "training.freeze")
    factors = plain["training"].get("rate_factors") or {}
    yield from _told(lambda: model.set_rates(factors), "training.rate_factors")


def _of_sharding(trial: Trial, plain: Tree, unsound: set[str]) -> Iterator[Problem]:
    """A model whose weights cannot be shared out over ranks where that is asked for, whatever devices are there."""
    trainer = plain.get("trainer") if isinstance(plain.get("trainer"), dict) else {}
    if trainer.get("strategy") == "fsdp" and not unsound & {"trainer.precision"}:
        precision = str(trainer.get("precision", "auto"))
        yield from _told(lambda: trial.built["model"].require_shardable(precision), "trainer.strategy")


def _of_beginning(trial: Trial, plain: Tree) -> Iterator[Problem]:
    """Weights to begin with that are named nowhere, are none of the model's, or that a teacher gives it already."""
    if "_target_" not in plain["initial"]:
        left = ", ".join(f"initial.{key}" for key in plain["initial"])
        yield Problem("initial", f"must be chosen, as in initial=run, where a recipe sets {left}, got none")
        return
    goal = plain["model"].get("goal") if isinstance(plain.get("model"), dict) else None
    if isinstance(goal, dict) and goal.get("teacher") is not None:
        yield Problem("initial", "must be null with model.goal.teacher, with whose weights the student begins")
    elif "model" in trial.built and "initial" in trial.built:
        yield from _told(lambda: trial.built["initial"].give(trial.built["model"]), "initial")


def _of_averages(trial: Trial, plain: Tree) -> Iterator[Problem]:
    """Averages of nothing, and several that are one because the ramp never lets their half-lives differ."""
    node = plain["callbacks"].get("post_hoc")
    if isinstance(node, dict) and node.get("modules") is None and "model" in trial.built:
        model = trial.built["model"]
        if not model.averaged_modules:
            yield Problem("callbacks.post_hoc", f"must be null for {type(model).__name__}, which averages nothing")
    node = plain["callbacks"].get("averaging")
    if not isinstance(node, dict) or "callbacks.averaging" not in trial.built:
        return
    half_lives, ramp_up, length = node.get("half_life"), node.get("ramp_up"), plain["training"].get("max_images")
    if not isinstance(half_lives, list) or ramp_up is None or not isinstance(length, int):
        return
    beyond = [each for each in half_lives if each >= ramp_up * length]
    if len(beyond) > 1:
        yield Problem(
            "callbacks.averaging.ramp_up",
            f"must let half-lives differ, got {ramp_up:g} of {length:,} images, which none of "
            f"{' and '.join(map(shown, beyond))} falls below; null takes them as they are",
            of_value=True,
        )


def _of_early_stopping(plain: Tree) -> Iterator[Problem]:
    """Callbacks of Lightning that wait for a value which no run has end it by a traceback, after all of an epoch."""
    directions = value_directions(plain["metrics"])
    known = ["val", "train", *measured_values(plain)]
    for name, node in plain["callbacks"].items():
        if isinstance(node, dict) and str(node.get("_target_")).endswith(".EarlyStopping"):
            monitor = node.get("monitor")
            if str(monitor).split("/")[0] not in known:
                names = ", ".join([*known[2:], "val/<term>", "train/<term>"]) + unmeasured(plain)
                yield Problem(
                    f"callbacks.{name}.monitor", f"must be one of {names}, got {shown(monitor)}", of_value=True
                )
            more = directions.get(str(monitor).split("/")[0]) == "higher" or monitor in HIGHER
            if more and node.get("mode", "min") != "max":  # Lightning's default would end a run because it gets better
                yield Problem(f"callbacks.{name}.mode", f"must be max for {monitor}, of which more is better")


def _of_strategy(trainer: Tree) -> Iterator[Problem]:
    from lightning.pytorch.strategies import StrategyRegistry

    from genexp.config.strategy import require_safe_strategy

    strategy = trainer.get("strategy", "auto")
    known = ["auto", *StrategyRegistry.available_strategies()]
    if isinstance(strategy, str) and strategy not in known:
        yield Problem(
            "trainer.strategy", f"must be a strategy of Lightning, got {strategy!r}{did_you_mean(strategy, known)}"
        )
    else:
        yield from _told(lambda: require_safe_strategy(strategy, trainer.get("devices", 1)), "trainer.strategy")


def _told(check: Callable[[], None], key: str) -> Iterator[Problem]:
    """What a check refuses, at the key its message begins with, whole or of the section `key.`, else at `key`."""
    try:
        check()
    except ValueError as error:
        word, _, rest = str(error).partition(" ")
        place = word if "." in word else key + word if key.endswith(".") else key
        yield Problem(place, rest or word)
