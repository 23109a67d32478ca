"""What keys, groups and classes of earlier versions are called now. This file imports no torch."""

import re
from typing import Any

from genexp.files.trees import Tree

RENAMED = {
    "model.likelihood": "model.reconstruction",
    "model.accumulate": "training.accumulate",
    "model.compile": "training.compile",
    "model.channels_last": "training.channels_last",
    "model.vgg": "model.features",
}
"""Dotted keys of the configuration by their earlier names; the group of a part has the name of its key.

What they mean for the weights in a checkpoint a family says itself (`renamed_modules`).
"""

DROPPED = ("callbacks.sample_grid.num_classes", "callbacks.evaluate.num_classes")
"""Dotted keys that earlier versions had and that say nothing which other keys do not."""

_EXTRACTORS = "genexp.evaluation.extractors"
MOVED = {
    "genexp.conditioning.degraded.Downscaled": "genexp.conditioning.degradations.Downscaled",
    "genexp.inference.trained.TrainedCodec": "genexp.inference.trained_codec.TrainedCodec",
    "genexp.adversarial.consistency": "genexp.adversarial.score_penalties",
    "genexp.data.embeddings": "genexp.data.picture_embeddings",
    "genexp.flows.autoregressive": "genexp.flows.masked_autoregressive",
    "genexp.flows.coupling": "genexp.flows.coupling_layers",
    "genexp.losses.pictures": "genexp.losses.picture_losses",
    "genexp.networks.embeddings.NoiseLevel": "genexp.networks.embeddings.NoiseLevelEmbedding",
    "genexp.networks.trained": "genexp.networks.shipped_networks",
    "genexp.runs.loggers": "genexp.tracking.journal",
    "genexp.runs.wandb_run": "genexp.tracking.wandb_run",
    "genexp.sampling.density": "genexp.sampling.latent_mixture",
    "genexp.sampling.statistics": "genexp.sampling.standing_statistics",
    "genexp.evaluation.clip_extractor": f"{_EXTRACTORS}.clip_features",
    "genexp.evaluation.dino_extractor": f"{_EXTRACTORS}.dino_features",
    "genexp.evaluation.frame_features": f"{_EXTRACTORS}.frame_features",
    "genexp.evaluation.image_extractor": f"{_EXTRACTORS}.whole_images",
    "genexp.evaluation.inception": f"{_EXTRACTORS}.inception_features",
    "genexp.evaluation.vgg_extractor": f"{_EXTRACTORS}.vgg_features",
    f"{_EXTRACTORS}.ClassifierFeatures": f"{_EXTRACTORS}.classifiers.ClassifierFeatures",
    f"{_EXTRACTORS}.StackedDigits": f"{_EXTRACTORS}.classifiers.StackedDigitFeatures",
    f"{_EXTRACTORS}.Coordinates": f"{_EXTRACTORS}.untrained.Coordinates",
    f"{_EXTRACTORS}.Pixels": f"{_EXTRACTORS}.untrained.Pixels",
    f"{_EXTRACTORS}.RandomFeatures": f"{_EXTRACTORS}.untrained.RandomFeatures",
}
"""Modules and classes that configurations of earlier versions name elsewhere, and where they are now."""


def moved(target: str) -> str | None:
    """Where the class of a `_target_` of an earlier version is now; None where it has not moved."""
    module, _, name = target.rpartition(".")
    return f"{MOVED[module]}.{name}" if module in MOVED else MOVED.get(target)


def renamed(plain: Tree) -> Tree:
    """A recorded configuration with every key and class under its name of today."""
    for old, new in RENAMED.items():
        (before, name), (after, today) = (_place(plain, key) for key in (old, new))
        if name in before:
            after[today] = before.pop(name)
    for key in DROPPED:
        before, name = _place(plain, key)
        before.pop(name, None)
    return _with_todays_parts(plain)


def _with_todays_parts(plain: object) -> Any:
    """Plain containers in which every `_target_` of an earlier version is today's, and a part what was its number."""
    if isinstance(plain, dict):
        named = {key: _with_todays_parts(value) for key, value in plain.items()}
        target = named.get("_target_")
        if isinstance(target, str):
            named["_target_"] = moved(target) or target
            scale = named.get("guidance")
            if target.startswith("genexp.sampling.") and isinstance(scale, int | float):
                named["guidance"] = _guidance(scale)
        return named
    return [_with_todays_parts(each) for each in plain] if isinstance(plain, list) else plain


def _guidance(scale: float) -> Tree:
    """The part that does what a number did: the scale of classifier-free guidance, 1 for none."""
    kind = "genexp.sampling.guidance."
    return {"_target_": f"{kind}Unguided"} if scale == 1 else {"_target_": f"{kind}ClassifierFree", "scale": scale}


_SCALE = re.compile(r"\+{0,2}sampler\.guidance=(-?[\d.]+(?:e[-+]?\d+)?)")


def todays(override: str) -> list[str]:
    """What was typed earlier, as those overrides that say the same now."""
    if number := _SCALE.fullmatch(override):
        guided = ["sampler/guidance=classifier_free", f"sampler.guidance.scale={number[1]}"]
        return ["sampler/guidance=none"] if float(number[1]) == 1 else guided
    return [renamed_override(override)]


def _place(plain: Tree, key: str) -> tuple[Tree, str]:
    """The mapping that holds a dotted key, empty where there is none, and the key's last word."""
    above, _, name = key.rpartition(".")
    node: Any = plain
    for step in above.split("."):
        node = node.get(step) if isinstance(node, dict) else None
    return (node if isinstance(node, dict) else {}), name


def renamed_override(override: str) -> str:
    """An override that was typed earlier, as it is typed now."""
    signs = override[: len(override) - len(override.lstrip("+~"))]
    key, equals, value = override[len(signs) :].partition("=")
    new = new_name(key)
    return override if new is None else f"{signs}{new}{equals}{value}"


def new_name(key: str) -> str | None:
    """Today's name of a key or group, with dots or slashes as it is given; None where it has always been this."""
    for old, new in RENAMED.items():
        for sign in "./":
            before, after = old.replace(".", sign), new.replace(".", sign)
            if key == before or key.startswith((f"{before}.", f"{before}/", f"{before}@")):
                return after + key.removeprefix(before)
    return None
