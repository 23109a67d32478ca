"""Every `auto` of a training configuration settled, before anything is claimed or built."""

from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from genexp.config.compose import resolved
from genexp.config.instantiate import build
from genexp.config.monitor import monitored
from genexp.config.trained_parts import with_measured_scale, with_trained_parts
from genexp.data.word_lists import WordList
from genexp.files.trees import Tree
from genexp.hardware import BF16_PAYS_FROM, FLOAT32, chosen_threads, precision_of
from genexp.runs.places import absolute, with_absolute_places
from genexp.runs.run_folder import RunFolder
from genexp.training.tags import group_and_tags, name_of


def settled(config: DictConfig) -> Tree:
    """What a run is trained with, as plain containers: no `auto`, no interpolation, places absolute.

    Args:
        config: The composed configuration of `genexp train`; it stays as it is.

    Raises:
        ValueError: the monitored value is none that the run will have.
    """
    config = config.copy()
    monitor, mode = monitored(config)
    group, tags = group_and_tags(config)
    found = {"threads": chosen_threads(config.threads), "name": name_of(config), "group": group, "tags": tags}
    found |= {f"paths.{key}": absolute(str(value)) for key, value in config.paths.items()}  # what they make up too
    found |= {"training.monitor": monitor, "training.monitor_mode": mode, **_hardware(config.trainer)}
    with open_dict(config):
        for key, value in found.items():
            OmegaConf.update(config, key, value, merge=False)
    named = with_trained_parts(with_word_lists(with_absolute_places(resolved(config))))
    return _with_precision(with_measured_scale(named))


def with_word_lists(plain: Tree) -> Tree:
    """Plain containers in which every `WordList` without words has those of the training captions.

    Those of a run that is resumed are the recorded ones, for its network knows words by their numbers.

    Args:
        plain: A resolved configuration with absolute places.

    Raises:
        FileNotFoundError: `resume` names no run.
        ValueError: the captions cannot be read, or have too many different words.
    """
    source = plain["data"].get("source") or {}
    if not _is_open(source.get("captions")):
        return plain
    words = _recorded_words(plain.get("resume")) or list(build(source).captions.words)

    def filled(node: object) -> Any:
        if isinstance(node, list):
            return [filled(each) for each in node]
        if not isinstance(node, dict):
            return node
        node = {key: filled(value) for key, value in node.items()}
        return {**node, "words": words} if _is_open(node) else node

    return filled(plain)


def _recorded_words(resume: str | None) -> list[str] | None:
    """The list of the run that is resumed, or None where there is none."""
    if resume in (None, "auto"):
        return None
    recorded = RunFolder.open(resume, "resume").config
    captions = ((recorded.get("data") or {}).get("source") or {}).get("captions")
    return captions.get("words") if isinstance(captions, dict) else None


def _is_open(node: object) -> bool:
    """Whether plain containers describe a list of words that training captions are to fill."""
    target = f"{WordList.__module__}.{WordList.__name__}"
    return isinstance(node, dict) and node.get("_target_") == target and node.get("words") is None


def _hardware(trainer: DictConfig) -> dict[str, str]:
    """What `auto` stands for on this machine, so that the saved configuration says what was used."""
    if trainer.get("accelerator") != "auto":
        return {}
    there = "gpu" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return {"trainer.accelerator": there}


def _with_precision(plain: Tree) -> Tree:
    """Plain containers in which a precision of `auto` is what it stands for with this model on this machine."""
    trainer = plain["trainer"]
    if trainer.get("precision") != "auto":
        return plain
    precision = precision_of(torch.cuda.is_available() and trainer["accelerator"] in ("gpu", "cuda"))
    if trainer["accelerator"] == "cpu" and precision != FLOAT32:
        parameters = sum(each.numel() for each in build(plain["model"]).parameters())
        precision = precision if parameters >= BF16_PAYS_FROM else FLOAT32
    return {**plain, "trainer": {**trainer, "precision": precision}}
