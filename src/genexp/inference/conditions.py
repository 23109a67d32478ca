"""Under which conditions a trained model is drawn from."""

import sys
from typing import Any

from genexp.config.instantiate import build
from genexp.sampling.conditions import ClassShares, Conditions, OneClass


def conditions_of(run: Any, label: int | None = None) -> Conditions | None:
    """What the samples of a run are drawn under: one class, or all as often as they occurred in training.

    Args:
        run: The run.
        label: One class for every sample, or None.

    Raises:
        ValueError: `label` is given for a model without classes, or lies outside.
    """
    classes: int | None = run.config.model.get("num_classes")
    if classes is None:
        if label is not None:
            raise ValueError(f"label must be null for a model without classes, got {label}")
        return None
    if label is None:
        return ClassShares(tuple(_class_counts(run, classes)))
    if not 0 <= label < classes:
        raise ValueError(f"label must lie in [0, {classes}), got {label}")
    return OneClass(label)


def _class_counts(run: Any, classes: int) -> list[int]:
    """How often every class occurred in training: as the run has recorded it, else in its data if they can be read."""
    recorded = run.folder.record.get("class_counts")
    if recorded is not None and len(recorded) == classes:
        return recorded
    try:
        return build(run.data).label_counts("train")
    except (OSError, ValueError) as error:
        print(f"classes     drawn equally often: those of the training data cannot be read ({error})", file=sys.stderr)
        return [1] * classes
