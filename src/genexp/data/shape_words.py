"""What is said of coloured shapes: captions of factor levels, whole or in parts, and back."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import torch
from torch import Tensor

from genexp.conditioning.kinds import Words
from genexp.conditioning.tokenised import Tokenised
from genexp.data.shape_pictures import FACTORS, MODES, factor_levels

OPTIONAL = "size", "colour", "position", "background"
"""Factors that a caption may leave out; it always names the shape."""

EXAMPLE = "a small red circle at the top left on a white background"


def describe(
    shape: str,
    colour: str | None = None,
    size: str | None = None,
    position: str | None = None,
    background: str | None = None,
    briefly: bool = False,
) -> str:
    """Factor levels in words, without those that are None; `briefly` says `on white` for `on a white background`."""
    words = ["a", *(each for each in (size, colour) if each is not None), shape]
    if position is not None:
        words.append("in the centre" if position == "centre" else f"at the {position}")
    if background is not None:
        words.append(f"on {background}" if briefly else f"on a {background} background")
    return " ".join(words)


def understood(text: str) -> dict[str, str]:
    """The levels that a caption names, by factor; none of a caption without words.

    The grammar is `a [size] [colour] shape [in the centre | at the corner] [on [a] background [background]]`, where
    what stands in brackets may be missing.

    Raises:
        ValueError: it is no such caption.
    """
    if not text:
        return {}
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise ValueError(f"caption must read like {EXAMPLE!r}, of which all but the shape may be missing, got {text!r}")
    return {name: level for name, level in found.groupdict().items() if level is not None}


def levels_said(
    caption: Tensor,
    kind: Words | Tokenised,
    factors: Mapping[str, Sequence[str]] = FACTORS,
    reading: Callable[[str], Mapping[str, str]] = understood,
) -> dict[str, Tensor]:
    """The level (N,) of every factor that captions (N, L) name, -1 where they say nothing of it.

    Args:
        caption: Numbers of words.
        kind: What the numbers stand for.
        factors: The names of all levels, by factor.
        reading: The levels that a text names, by factor.

    Raises:
        ValueError: one does not follow the grammar of `reading`.
    """
    rows, place = caption.cpu().unique(dim=0, return_inverse=True)
    named = [reading(kind.said(row)) for row in rows]
    numbers = {
        name: torch.tensor([levels.index(each[name]) if name in each else -1 for each in named])
        for name, levels in factors.items()
    }
    return {name: known[place] for name, known in numbers.items()}


def modes_said(said: Mapping[str, Tensor]) -> Tensor:
    """Which of the 960 modes (N, 960) fit what is said, levels (N,) of every factor or -1."""
    fits = torch.ones(len(said["shape"]), MODES, dtype=torch.bool)
    for name, level in factor_levels(torch.arange(MODES)).items():
        fits &= (said[name][:, None] < 0) | (said[name][:, None] == level)
    return fits


@cache
def caption_row(kind: Words | Tokenised, mode: int, told: int, briefly: bool) -> Tensor:
    """The caption (1, L) of a mode that names those factors of `OPTIONAL` whose bit is set in `told`."""
    levels = {name: FACTORS[name][int(level)] for name, level in factor_levels(torch.tensor([mode])).items()}
    unsaid = [name for place, name in enumerate(OPTIONAL) if not told >> place & 1]
    return kind.read(describe(**{**levels, **dict.fromkeys(unsaid)}, briefly=briefly))


def _any(name: str) -> str:
    return f"(?P<{name}>{'|'.join(FACTORS[name])})"


_CORNERS = "|".join(place for place in FACTORS["position"] if place != "centre")
_PLACE = f"(?: (?:in the (?=centre)|at the (?={_CORNERS})){_any('position')})?"
_GRAMMAR = re.compile(
    f"a (?:{_any('size')} )?(?:{_any('colour')} )?{_any('shape')}{_PLACE}"
    f"(?: on (?:a )?{_any('background')}(?: background)?)?"
)
