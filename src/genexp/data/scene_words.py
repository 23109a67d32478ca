"""What is said of scenes of one or two shapes: captions of factor levels and back, and whether they are true."""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from genexp.data.scene_pictures import COLOUR_OF_GROUND, FACTORS, OF_SHAPES, scenes

OPTIONAL = "size", "colour", "other_size", "other_colour", "background"
"""Factors that a caption may leave out; of two alike the first shape's stand for both."""
TURNED = {"left of": "right of", "above": "below"}
"""What the other shape is to the first, by what the first is to it."""
PLURALS = {shape: f"{shape}es" if shape == "cross" else f"{shape}s" for shape in FACTORS["shape"]}
EXAMPLES = "a small red circle on blue", "two red circles on white", "a red circle left of a small blue square on black"
_CHUNK = 256


def describe(levels: Mapping[str, str | None], turned: bool = False) -> str:
    """The levels of a scene in words, without those that are None or missing.

    Args:
        levels: Names of levels by factor. Two alike have the same shape and colour.
        turned: Name the other shape first: `a blue square right of a red circle`.
    """
    first, other = ([levels.get(prefix + name) for name in reversed(OF_SHAPES)] for prefix in ("", "other_"))
    ground = levels.get("background")
    if levels["count"] == "one":
        said = _shape("a", first)
    elif levels.get("relation") is None:
        said = _shape("two", [*first[:2], PLURALS[levels["shape"]]])
    elif turned:
        said = f"{_shape('a', other)} {TURNED[levels['relation']]} {_shape('a', first)}"
    else:
        said = f"{_shape('a', first)} {levels['relation']} {_shape('a', other)}"
    return said if ground is None else f"{said} on {ground}"


def _shape(number: str, words: list[str | None]) -> str:
    return " ".join([number, *(each for each in words if each is not None)])


def understood(text: str) -> dict[str, str]:
    """The levels that a caption names, by factor; none of a caption without words.

    The grammar is `a <shape> [on <background>]`, `two <shapes> [on <background>]` or `a <shape> <relation> a <shape>
    [on <background>]`, where a shape is `[size] [colour] shape` and a relation `left of`, `right of`, `above` or
    `below`.

    Raises:
        ValueError: it is no such caption, or no scene is like it.
    """
    if not text:
        return {}
    alike = _ALIKE.fullmatch(text)
    found = alike or _EACH.fullmatch(text)
    if found is None:
        raise ValueError(f"caption must read like {', '.join(map(repr, EXAMPLES))}, got {text!r}")
    named = {name: level for name, level in found.groupdict().items() if level is not None}
    if alike:
        named["shape"] = next(shape for shape, plural in PLURALS.items() if plural == named["shape"])
        named |= {f"other_{name}": named[name] for name in OF_SHAPES if name in named}
    elif named.get("relation") in _STRAIGHT:
        named = {_partner(name): level for name, level in named.items()}
        named["relation"] = _STRAIGHT[named["relation"]]
    _require_possible(named, text)
    return {"count": "two" if "other_shape" in named else "one", **named}


def _partner(name: str) -> str:
    """The same factor of the other shape."""
    if name.removeprefix("other_") not in OF_SHAPES:
        return name
    return name.removeprefix("other_") if name.startswith("other_") else f"other_{name}"


def _require_possible(named: Mapping[str, str], text: str) -> None:
    hidden = COLOUR_OF_GROUND.get(named.get("background", ""))
    if hidden is not None and hidden in (named.get("colour"), named.get("other_colour")):
        raise ValueError(f"caption must give shapes another colour than the ground, got {text!r}")
    first, other = ([named.get(prefix + name) for name in ("shape", "colour")] for prefix in ("", "other_"))
    if "relation" in named and None not in first and first == other:
        raise ValueError(f"caption must say two of one colour and shape as in {EXAMPLES[1]!r}, got {text!r}")


def scenes_said(said: Mapping[str, Tensor]) -> Tensor:
    """Which of all scenes (N, 21400) fit what is said, levels (N,) of every factor or -1."""
    every, rows = scenes(), torch.stack([said[name] for name in FACTORS], 1)
    parts = []
    for some in rows.split(_CHUNK):
        fits = torch.ones(len(some), len(every["kind"]), dtype=torch.bool)
        for name, level in zip(FACTORS, some.unbind(1), strict=True):
            fits &= (level[:, None] < 0) | (level[:, None] == every[name])
        two = (some[:, 0] == 1) & (some[:, 1] < 0)  # without relation: two alike
        parts.append(fits & ~(two[:, None] & (every["kind"] != 1)))
    return torch.cat(parts)


def judged(said: Mapping[str, Tensor], shown: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whether what is said (N,) is shown: 1 it is, 0 it is not, -1 nothing is said of it.

    The shapes that are said are held against those that are shown one to one, in the order that makes more of shape,
    colour and size right; `relation` asks whether they then lie as is said. `shape`, `colour` and `size` are right
    where they are so of all shapes that are said.

    Args:
        said: Levels (N,) of every factor, -1 where nothing is said.
        shown: Levels (N,) of every factor, -1 where there is none.
    """
    straight, turned = (_compared(said, shown, partner) for partner in (False, True))
    related = said["relation"] == shown["relation"]
    better = _score(turned) * 2 > _score(straight) * 2 + related.long()
    found = {"count": (said["count"] == shown["count"]).long()}
    found["relation"] = torch.where(said["relation"] < 0, -1, (related & ~better).long())
    for name in OF_SHAPES:
        both = torch.where(better[:, None], turned[name], straight[name])
        found[name] = torch.where((both < 0).all(1), -1, (both != 0).all(1).long())
    ground = said["background"]
    found["background"] = torch.where(ground < 0, -1, (ground == shown["background"]).long())
    nothing = said["count"] < 0
    return {name: torch.where(nothing, -1, each) for name, each in found.items()}


def _compared(said: Mapping[str, Tensor], shown: Mapping[str, Tensor], partner: bool) -> dict[str, Tensor]:
    """Whether each of the two shapes (N, 2) that are said is the shown one, or that one's partner: 1, 0 or -1."""
    found = {}
    for name in OF_SHAPES:
        told, seen = ([side[name], side[f"other_{name}"]] for side in (said, shown))
        told, seen = torch.stack(told, 1), torch.stack(seen[::-1] if partner else seen, 1)
        found[name] = torch.where(told < 0, -1, (told == seen).long())
    return found


def _score(compared: Mapping[str, Tensor]) -> Tensor:
    return sum((each == 1).sum(1) for each in compared.values())


def _any(name: str, levels: Iterable[str]) -> str:
    return f"(?P<{name}>{'|'.join(levels)})"


def _one_shape(prefix: str, shapes: Iterable[str] = FACTORS["shape"]) -> str:
    size, colour = (_any(prefix + name, FACTORS[name]) for name in ("size", "colour"))
    return f"(?:{size} )?(?:{colour} )?{_any(prefix + 'shape', shapes)}"


_STRAIGHT = {turned: straight for straight, turned in TURNED.items()}
_GROUND = f"(?: on {_any('background', FACTORS['background'])})?"
_ALIKE = re.compile(f"two {_one_shape('', PLURALS.values())}{_GROUND}")
_RELATION = _any("relation", [*TURNED, *_STRAIGHT])
_EACH = re.compile(f"a {_one_shape('')}(?: {_RELATION} a {_one_shape('other_')})?{_GROUND}")
