"""Every combination of an ablation's axes, each divided into what acts in training and what acts when drawing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from genexp.ablations.report.study import Labels
from genexp.ablations.spec import Ablation

_DRAWING = re.compile(r"\+{0,2}(sampler([./@][\w./@]+)?|weights|checkpoint|after)=")
"""Overrides that act when images are drawn: variants that differ in these alone share a trained model."""


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Args:
        labels: Its value on every axis.
        training: Its overrides of `genexp train`.
        drawing: Its overrides of `genexp evaluate`.
    """

    labels: Labels
    training: tuple[str, ...]
    drawing: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its place on all axes, as in `eta=0,steps=10`."""
        return ",".join(f"{axis}={value}" for axis, value in self.labels)


def with_every_value(variants: Sequence[Variant]) -> list[Variant]:
    """As few of the variants as hold every value of every axis: what is wrong comes from values, not from pairs."""
    found, seen = [], set()
    for each in variants:
        if not seen.issuperset(each.labels):
            seen.update(each.labels)
            found.append(each)
    return found


def variants_of(ablation: Ablation) -> list[Variant]:
    """All combinations in the order of the file.

    Where nothing is drawn (`evaluate: null`), every override acts in training.

    Raises:
        ValueError: two of them have the same overrides.
    """
    found: list[Variant] = []
    for values in product(*(axis.items() for axis in ablation.axes.values())):
        labels = tuple(zip(ablation.axes, (name for name, _ in values), strict=True))
        overrides = [each for _, given in values for each in given]
        drawing = [each for each in overrides if ablation.evaluate is not None and _DRAWING.match(each)]
        training = tuple(each for each in overrides if each not in drawing)
        found.append(Variant(labels, training, tuple(drawing)))
    names: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}
    for each in found:
        other = names.setdefault((each.training, each.drawing), each.name)
        if other != each.name:
            raise ValueError(f"variants must differ, got the same overrides for {other} and {each.name}")
    return found
