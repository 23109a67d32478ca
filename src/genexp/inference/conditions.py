"""Under which conditions a trained model is drawn from."""

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from genexp.conditioning.base import Condition, Conditioning
from genexp.conditioning.embedded import Embedded
from genexp.conditioning.pictures import OfPictures
from genexp.config.instantiate import build
from genexp.data.own_pictures import own_pictures
from genexp.data.own_videos import own_videos
from genexp.data.picture_files import few
from genexp.data.word_lists import WordList
from genexp.inference.editing import square
from genexp.sampling.conditions import AtLevels, ClassShares, Conditions, Given, as_in_training, noised
from genexp.terminal import counted, nearest

if TYPE_CHECKING:
    from genexp.data.source import Split
    from genexp.inference.run import Run


LEVEL = "_level"
"""End of the name by which the level of the noise on a picture is typed: `condition.low_res_level=0.1`."""


def settable(conditioning: Conditioning) -> list[str]:
    """Names by which a person can tell something of the conditions: their own, and those of levels of noise."""
    noisy = [name for name, kind in conditioning.kinds.items() if isinstance(kind, AtLevels)]
    return [*conditioning.names, *(f"{name}{LEVEL}" for name in noisy if f"{name}{LEVEL}" not in conditioning.kinds)]


def require_settable(typed: Mapping[str, object], names: Collection[str]) -> None:
    """Check the names of what a person gave of the conditions.

    Args:
        typed: What a person gave, by name.
        names: Names that there are.

    Raises:
        ValueError: a name is none of them.
    """
    for name, value in typed.items():
        if name not in names:
            keys, close = [f"condition.{each}" for each in names], nearest(name, names)
            rule = f"one of {', '.join(keys)}" if keys else "null for a model of no conditions"
            hint = "" if close is None else f"; did you mean condition.{close}?"
            raise ValueError(f"condition.{name} must be {rule}, got {value}{hint}")


def conditions_of(
    run: "Run",
    typed: Mapping[str, object] | None = None,
    conditioning: Conditioning | None = None,
    seed: int = 0,
    split: "Split" = "train",
) -> Conditions | None:
    """What the samples of a run are drawn under: what is given, and all else as it was in training.

    Args:
        run: The run, with its model.
        typed: What a person gave of the model's conditions, by name: a class by its number, a text, a picture file or a
            folder of them, of which sample i has picture i, in turn; and as `<name>_level` how strong the noise is on
            pictures that training has shown with noise.
        conditioning: What is told where a guidance tells more than the model knows; the model's conditions by default.
        seed: Seed of the samples, for that noise.
        split: The split whose conditions are told where none are given.

    Raises:
        ValueError: the model has no such condition, or a value is none; or the training data cannot be read, from which
            those come that are not given.
    """
    conditioning = conditioning or run.model.conditioning
    plain, levels = levels_of(conditioning, typed or {})
    given = read_of(run, conditioning, plain)
    if not given:
        return noised(as_it_was(run, conditioning, split), conditioning, seed, levels)
    others = as_it_was(run, conditioning, split) if set(conditioning.names) - set(given) else None
    return noised(Given(given, others), conditioning, seed, levels)


def read_of(run: "Run", conditioning: Conditioning, typed: Mapping[str, object]) -> Condition:
    """One row or more of every condition that a person gave, of pictures and their embeddings by their files.

    Raises:
        ValueError: the model has no such condition, or a value is none.
    """
    shape = run.config.data.shape
    told = conditioning.read({name: _pictures(conditioning, name, value, shape) for name, value in typed.items()})
    for name, value in typed.items():
        kind = conditioning.kinds[name]
        texts = [value] if isinstance(value, str) else value
        if isinstance(kind, WordList) and isinstance(texts, Sequence) and (strange := kind.strange(map(str, texts))):
            print(f"{name:<11} read as unknown: {few(list(strange))}", file=sys.stderr)
    return told


def levels_of(conditioning: Conditioning, typed: Mapping[str, object]) -> tuple[dict[str, object], dict[str, float]]:
    """What a person gave, without the levels of noise on pictures, and these by the names of the pictures.

    Raises:
        ValueError: the model has no such condition, or a level is no number, or one that the model has not been shown.
    """
    require_settable(typed, settable(conditioning))
    known = {f"{name}{LEVEL}": name for name, kind in conditioning.kinds.items() if isinstance(kind, AtLevels)}
    levels: dict[str, float] = {}
    for key in [key for key in typed if key in known and key not in conditioning.kinds]:
        kind, level = conditioning.kinds[known[key]], typed[key]
        try:
            if isinstance(level, bool) or not isinstance(level, int | float) or not isinstance(kind, AtLevels):
                raise ValueError(f"must be a number, got {level}")
            kind.at_level(conditioning.kinds[known[key]].nothing(1, "cpu"), level, torch.zeros(1, *kind.picture))
        except ValueError as error:
            raise ValueError(f"condition.{key} {error}") from error
        levels[known[key]] = float(level)
    return {name: value for name, value in typed.items() if name not in known or name in conditioning.kinds}, levels


def _pictures(conditioning: Conditioning, name: str, value: object, shape: Sequence[int]) -> object:
    """What was typed, or the pictures of the file or folder that it names, or their embeddings.

    Args:
        conditioning: The conditions.
        name: Name of the one that was typed.
        value: What was typed.
        shape: Shape of the model's images, at which pictures are embedded.
    """
    kind = conditioning.kinds.get(name)
    if not isinstance(kind, OfPictures | Embedded) or not isinstance(value, str):
        return value
    form = kind.picture if isinstance(kind, OfPictures) else tuple(shape)
    (channels, size), key = square(form[-3:]), f"condition.{name}"
    if isinstance(kind, OfPictures) and len(form) == 4:
        pictures, what = own_videos(value, size, channels, form[0], key=key), "beginning"
    else:
        pictures, what = own_pictures(value, size, channels, key=key), "picture"
    for line in (f"{name:<11} {counted(len(pictures.files), what)} of {value}, {size} x {size}", *pictures.notes):
        print(line, file=sys.stderr)
    return pictures.images if isinstance(kind, OfPictures) else kind.made(pictures.images)


def as_it_was(run: "Run", conditioning: Conditioning, split: "Split" = "train") -> Conditions | None:
    """All conditions as they were in training; classes as the run has recorded them, where its data are gone."""
    recorded = run.folder.record.get("class_counts") if split == "train" else None
    if conditioning.names == ("label",):
        if recorded is not None and len(recorded) == conditioning.num_classes:
            return ClassShares(tuple(recorded))
        try:
            return as_in_training(conditioning, build(run.data), split=split)
        except (OSError, ValueError) as error:
            lost = f"those of the training data cannot be read ({error})"
            print(f"classes     drawn equally often: {lost}", file=sys.stderr)
            return ClassShares((1,) * conditioning.num_classes)
    found = as_in_training(conditioning, build(run.data), split=split) if conditioning.names else None
    more = [name for name in conditioning.names if name not in run.model.conditioning.names]
    if more and found is not None:
        try:
            found.of([0])
        except ValueError as error:
            told = f"{more[0]} must be given (condition.{more[0]}=...) for guidance by it, got none"
            raise ValueError(f"{told}, and the run's data cannot tell it: {error}") from error
    return found
