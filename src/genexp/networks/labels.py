"""The rule by which class-conditional networks take labels."""

from torch import Tensor


def require_label(label: Tensor | None, num_classes: int | None) -> None:
    """Refuse a class-conditional call without labels and an unconditional call with them.

    Raises:
        ValueError: `label` is None though there are classes, or a tensor though there are none.
    """
    if num_classes and label is None:
        raise ValueError(f"label must be given to a network of {num_classes} classes, got None")
    if not num_classes and label is not None:
        raise ValueError("label must be None for a network built without num_classes, got a tensor")
