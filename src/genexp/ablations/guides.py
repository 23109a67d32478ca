"""Models that other trainings of an ablation begin with or are drawn with, named in braces. Imports no torch."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from genexp.ablations.checks import mapping_of, require_known, texts_of
from genexp.config.quoting import quoted

_IN_BRACES = re.compile(r"(?<!\$)\{(\w+)\}", re.ASCII)


def named_in(overrides: Iterable[str]) -> list[str]:
    """The names in braces of these overrides, each once: `model.codec.run={stage}` names `stage`, `${seed}` nothing."""
    return list(dict.fromkeys(name for text in overrides for name in _IN_BRACES.findall(text)))


def filled(overrides: Iterable[str], places: Mapping[str, Path | None]) -> list[str]:
    """The overrides with run folders in the place of names in braces; names of no guide stay as they are.

    Args:
        overrides: Of `genexp train` or `genexp evaluate`.
        places: Name to run folder; None for one that is not there yet, which is then left open as `???`.
    """
    texts = {name: "???" if place is None else quoted(place) for name, place in places.items()}
    return [_IN_BRACES.sub(lambda found: texts.get(found[1], found[0]), each) for each in overrides]


def guides_of(value: object, at_scale: object, rows: Iterable[str]) -> dict[str, list[str]]:
    """The guides of a file, each with what a scale adds to it.

    Args:
        value: What the file says: name to overrides of `genexp train`, which may name other guides in braces.
        at_scale: What the scale adds.
        rows: All overrides of the file's variants.

    Raises:
        ValueError: a name in braces is no guide, a guide is named nowhere, or guides name each other in a circle.
    """
    every, more = mapping_of(value, "guides"), mapping_of(at_scale, "guides of a scale")
    require_known("guide of a scale", more, list(every))
    guides = {
        name: [each for part in (given, more.get(name)) for each in texts_of(part, f"guides.{name}")]
        for name, given in every.items()
    }
    named = named_in([*rows, *(each for given in guides.values() for each in given)])
    require_known("guide in braces", named, list(guides))
    for name in guides:
        _require_no_circle(guides, [name])
    require_known("guide that overrides name in braces", guides, named)
    return guides


def require_none(key: str, overrides: Iterable[str]) -> None:
    """Refuse names in braces where none are filled in.

    Raises:
        ValueError: one of the overrides has one.
    """
    for each in overrides:
        if named_in([each]):
            raise ValueError(f"{key} must name no guide in braces, which variants and guides may, got {each}")


def _require_no_circle(guides: Mapping[str, Sequence[str]], chain: list[str]) -> None:
    for name in named_in(guides[chain[-1]]):
        if name in chain:
            told = " -> ".join([*chain[chain.index(name) :], name])
            raise ValueError(f"guides must not need each other in a circle, got {told}")
        _require_no_circle(guides, [*chain, name])
