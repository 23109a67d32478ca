"""What an ablation's file says of its paper: the publication, reported numbers, and claims. Imports no torch."""

from collections.abc import Mapping

from genexp.ablations.checks import mapping_of, number_of, require_known
from genexp.ablations.report.claims import parse_claim
from genexp.ablations.report.study import Claim, Labels, Paper, Reported
from genexp.files.trees import Tree


def paper_of(value: object) -> Paper:
    """The publication of a file.

    Raises:
        ValueError: a key is missing, unknown or of the wrong kind.
    """
    given = mapping_of(value, "paper")
    require_known("key of paper", given, ("title", "authors", "year", "table", "link"))
    for key in ("title", "authors", "year", "table"):
        if key not in given:
            raise ValueError(f"paper.{key} must be given, got {value!r}")
    year = given["year"]
    if type(year) is not int:
        raise ValueError(f"paper.year must be a whole number, got {year!r}")
    return Paper(str(given["title"]), str(given["authors"]), year, str(given["table"]), given.get("link"))


def reported_of(given: Tree, axes: dict[str, list[str]]) -> Reported:
    """A column of reported numbers, in the order of the axes.

    Args:
        given: What the file says.
        axes: Axis to its values, without the axis of a search.

    Raises:
        ValueError: a key, a place or a number is wrong.
    """
    require_known("key of reported", given, ("name", "source", "protocol", "values"))
    values, spreads = {}, {}
    for place, number in mapping_of(given.get("values"), "reported.values").items():
        labels = labels_of(place, axes)
        parts = number if isinstance(number, Mapping) else {"value": number}
        require_known("key of a reported value", parts, ("value", "spread"))
        values[labels] = number_of(parts.get("value"), f"reported.values.{place}")
        if "spread" in parts:
            spreads[labels] = number_of(parts["spread"], f"the spread of reported.values.{place}")
    ordered = sorted(values, key=lambda labels: [axes[axis].index(value) for axis, value in labels])
    texts = (str(given.get(key) or "") for key in ("name", "source", "protocol"))
    return Reported(*texts, {labels: values[labels] for labels in ordered}, spreads)


def labels_of(text: str, axes: dict[str, list[str]]) -> Labels:
    """The row that a text such as `eta=0,steps=10` names; an axis with one value may be left out.

    Args:
        text: What the file says.
        axes: Axis to its values, without the axis of a search.

    Raises:
        ValueError: an unknown axis or value, or an axis that is missing.
    """
    given = dict(part.strip().partition("=")[::2] for part in text.split(","))
    require_known("axis", given, list(axes))
    given |= {axis: values[0] for axis, values in axes.items() if axis not in given and len(values) == 1}
    for axis, values in axes.items():
        if axis not in given:
            raise ValueError(f"a reported value must name all axes ({', '.join(axes)}), got {text}")
        require_known(f"value of {axis}", {given[axis]: None}, values)
    return tuple((axis, given[axis]) for axis in axes)


def claim_of(value: object, axes: dict[str, list[str]], without_paper: bool) -> Claim:
    """A claim of a file.

    Args:
        value: What the file says.
        axes: Axis to its values.
        without_paper: Whether all statements of the file are its own.

    Raises:
        ValueError: a key is unknown or of the wrong kind, or the claim cannot be read.
    """
    given = mapping_of(value, "a claim")
    require_known("key of a claim", given, ("claim", "source", "note", "ours"))
    ours = given.get("ours", without_paper)
    if not isinstance(ours, bool):
        raise ValueError(f"ours of a claim must be true or false, got {ours!r}")
    source, note = (" ".join(str(given.get(key) or "").split()) for key in ("source", "note"))
    return parse_claim(str(given.get("claim")), axes, source, note, ours)
