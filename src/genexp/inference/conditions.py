"""Under which conditions a trained model is drawn from."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from genexp.conditioning.base import Conditioning
from genexp.conditioning.pictures import OfPictures
from genexp.config.instantiate import build
from genexp.data.own_pictures import own_pictures
from genexp.inference.editing import square
from genexp.sampling.conditions import ClassShares, Conditions, Given, as_in_training
from genexp.terminal import counted

if TYPE_CHECKING:
    from genexp.inference.run import Run


def conditions_of(
    run: "Run", typed: Mapping[str, object] | None = None, conditioning: Conditioning | None = None
) -> Conditions | None:
    """What the samples of a run are drawn under: what is given, and all else as it was in training.

    Args:
        run: The run, with its model.
        typed: What a person gave of the model's conditions, by name: a class by its number, a text, a picture file or a
            folder of them, of which sample i has picture i, in turn.
        conditioning: What is told where a guidance tells more than the model knows; the model's conditions by default.

    Raises:
        ValueError: the model has no such condition, or a value is none; or the training data cannot be read, from which
            those come that are not given.
    """
    conditioning = conditioning or run.model.conditioning
    given = conditioning.read({name: _pictures(conditioning, name, value) for name, value in (typed or {}).items()})
    if not given:
        return _as_it_was(run, conditioning)
    return Given(given, _as_it_was(run, conditioning) if set(conditioning.names) - set(given) else None)


def _pictures(conditioning: Conditioning, name: str, value: object) -> object:
    """What was typed, or the pictures of the file or folder that it names, at the size of a condition of pictures."""
    kind = conditioning.kinds.get(name)
    if not isinstance(kind, OfPictures) or not isinstance(value, str):
        return value
    channels, size = square(kind.picture)
    pictures = own_pictures(value, size, channels, key=f"condition.{name}")
    for line in (f"{name:<11} {counted(len(pictures.files), 'picture')} of {value}, {size} x {size}", *pictures.notes):
        print(line, file=sys.stderr)
    return pictures.images


def _as_it_was(run: "Run", conditioning: Conditioning) -> Conditions | None:
    """All conditions as they were in training; classes as the run has recorded them, where its data are gone."""
    recorded = run.folder.record.get("class_counts")
    if conditioning.names == ("label",):
        if recorded is not None and len(recorded) == conditioning.num_classes:
            return ClassShares(tuple(recorded))
        try:
            return as_in_training(conditioning, build(run.data))
        except (OSError, ValueError) as error:
            lost = f"those of the training data cannot be read ({error})"
            print(f"classes     drawn equally often: {lost}", file=sys.stderr)
            return ClassShares((1,) * conditioning.num_classes)
    return as_in_training(conditioning, build(run.data)) if conditioning.names else None
