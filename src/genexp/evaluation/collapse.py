"""Whether a generator has collapsed, from what was measured: one line with the evidence, or none."""

from collections.abc import Iterable, Mapping
from typing import Any

FEWER_MODES = 0.9
"""Share of the modes of the data below which modes are missing."""
LESS_VARIED = 0.5
"""Share of the variety of real images below which generated ones are too alike."""
RARELY_REACHED = 0.25
"""Share of the recall or coverage of held-out images below which most of the data are out of reach."""

_VARIETY = {"vendi": "Vendi score", "lpips_diversity": "LPIPS of pairs", "perceptual_diversity": "distance of pairs"}
_REACH = {"recall": "recall", "coverage": "coverage"}


def collapse(records: Iterable[Mapping[str, Any]]) -> str | None:
    """What speaks for a collapse, or None.

    Missing modes, variety below half that of real images, recall or coverage below a quarter of that of held-out
    images, and pairs that are the same picture ten times as often as among real images. Each of them is also
    what a model does that has not learned yet: then the distance is large too.

    Args:
        records: Values as they are recorded, one of each key, see `genexp.runs.evaluations`.
    """
    evidence = [found for record in records if (found := _evidence(record)) is not None]
    return "; ".join(evidence) if evidence else None


def _evidence(record: Mapping[str, Any]) -> str | None:
    name, value = record["key"].partition("/")[0], record["value"]
    details, floor = record.get("details") or {}, record.get("floor")
    real = details.get("real")
    modes = details.get("real", details.get("classes"))  # of known Gaussians all are there
    if name == "modes" and modes and value < FEWER_MODES * modes:
        return f"{value:,.0f} of {modes:,.0f} modes"
    if name in _VARIETY and real and value < LESS_VARIED * real:
        return f"{_VARIETY[name]} {value:.3g}, of real images {real:.3g}"
    if name in _REACH and floor and value < RARELY_REACHED * floor:
        return f"{_REACH[name]} {value:.2g}, of held-out images {floor:.2g}"
    if name == "duplicates" and real is not None and value > 10 * max(real, details.get("resolution", 0)):
        return f"one pair in {1 / value:,.0f} shows the same picture, as if there were {details['support']:,.0f} in all"
    return None
