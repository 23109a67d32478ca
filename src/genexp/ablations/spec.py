"""The file of an ablation: what is varied, at which scale, what the paper reports and claims. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from genexp.reports.ablation.claims import parse_claim
from genexp.reports.ablation.study import Claim, Labels, Paper, Reported
from genexp.reports.directions import direction

SCALES = ("cpu", "gpu", "paper")
_KEYS = (
    *("title", "question", "paper", "experiment", "overrides", "variants", "search", "evaluate", "metrics"),
    *("reported", "claims", "remarks", "scales"),
)
_SCALE_KEYS = ("experiment", "overrides", "evaluate", "seeds", "only", "variants")


@dataclass(frozen=True)
class Ablation:
    """One ablation at one scale.

    Args:
        name: Name of its file.
        scale: `cpu`, `gpu` or `paper`.
        title: One line.
        question: What is asked.
        paper: The publication, or None.
        experiment: Base experiment of `genexp train`.
        overrides: Overrides of `genexp train` for every variant.
        axes: Axis to the overrides of each of its values.
        search: The axis that is a search for good settings, or None.
        evaluate: Overrides of `genexp evaluate`, or None: nothing is drawn, the runs' own values count.
        metrics: Names of the values to show.
        seeds: Seeds of training and drawing.
        reported: The paper's numbers.
        claims: The paper's statements.
        remarks: What differs from the paper.
    """

    name: str
    scale: str
    title: str
    question: str
    paper: Paper | None
    experiment: str
    overrides: list[str]
    axes: dict[str, dict[str, list[str]]]
    search: str | None
    evaluate: list[str] | None
    metrics: list[str]
    seeds: list[int]
    reported: list[Reported]
    claims: list[Claim]
    remarks: str


def read_ablation(path: Path, scale: str) -> Ablation:
    """Read and check one file.

    Raises:
        ValueError: the file is no readable YAML mapping, a key is missing, unknown or of the wrong kind, an axis or a
            claim names what there is not, or the scale does not exist.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"an ablation must be readable YAML, got {path}: {error}") from error
    try:
        return _checked(path.stem, _mapping(content, "the file"), scale)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _checked(name: str, content: dict[str, Any], scale: str) -> Ablation:
    _require_known("key", content, _KEYS)
    for key in ("title", "experiment", "variants", "metrics", "scales"):
        if not content.get(key):
            raise ValueError(f"{key} must be given, got {content.get(key)!r}")
    budget = _budget(content["scales"], scale)
    every = _axes(content["variants"])
    names = {axis: list(values) for axis, values in every.items()}
    metrics, search = _texts(content["metrics"], "metrics"), content.get("search")
    _require_searchable(search, names, metrics)
    rows = {axis: values for axis, values in names.items() if axis != search}
    without_paper = content.get("paper") is None

    def both(key: str) -> list[str]:
        return [*_texts(content.get(key), key), *_texts(budget.get(key), key)]

    return Ablation(
        name=name,
        scale=scale,
        title=str(content["title"]),
        question=str(content.get("question") or "").strip(),
        paper=None if without_paper else _paper(content["paper"]),
        experiment=str(budget.get("experiment") or content["experiment"]),
        overrides=both("overrides"),
        axes=_at_scale(every, budget),
        search=search,
        evaluate=None if content.get("evaluate") is None else both("evaluate"),
        metrics=metrics,
        seeds=_seeds(budget.get("seeds"), scale),
        reported=[_reported(_mapping(each, "reported"), rows) for each in content.get("reported") or []],
        claims=[_claim(each, names, without_paper) for each in content.get("claims") or []],
        remarks=str(content.get("remarks") or "").strip(),
    )


def _budget(scales: Any, scale: str) -> dict[str, Any]:
    """What the file says of one scale."""
    known = _mapping(scales, "scales")
    _require_known("scale", known, SCALES)
    if scale not in known:
        raise ValueError(f"scale must be one of {', '.join(known)}, got {scale}")
    budget = _mapping(known[scale], f"scales.{scale}")
    _require_known(f"key of scales.{scale}", budget, _SCALE_KEYS)
    return budget


def _require_searchable(search: str | None, axes: dict[str, list[str]], metrics: list[str]) -> None:
    if search is not None and search not in axes:
        raise ValueError(f"search must be null or an axis ({', '.join(axes)}), got {search}")
    for metric in metrics if search is not None else []:
        if direction(metric, None, {}) not in ("lower", "higher"):
            raise ValueError(f"metrics of a search must have a best direction, got {metric}")


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} must be a mapping, got {type(value).__name__}")
    return {str(key): each for key, each in value.items()}


def _texts(value: Any, what: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{what} must be a list, got {value!r}")
    for each in value:
        if isinstance(each, Mapping | list):
            raise ValueError(f"{what} must be a list of key=value texts, got {each!r}")
    return [str(each) for each in value]


def _require_known(what: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in given:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"{what} must be one of {', '.join(known)}, got {key}{hint}")


def _axes(value: Any) -> dict[str, dict[str, list[str]]]:
    axes = {}
    for axis, values in _mapping(value, "variants").items():
        inside = _mapping(values, f"variants.{axis}")
        if not inside:
            raise ValueError(f"variants.{axis} must have at least one value, got none")
        axes[axis] = {name: _texts(overrides, f"variants.{axis}.{name}") for name, overrides in inside.items()}
        for text in (axis, *inside):
            if not text or any(c in text for c in "[]=,<>* \t\n/"):
                raise ValueError(f"names of variants must be of letters, digits and _.+- alone, got {text!r}")
    return axes


def _at_scale(axes: dict[str, dict[str, list[str]]], budget: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    """The axes with the values that a scale has (`only`) and what it adds to some of them (`variants`)."""
    only, more = (_mapping(budget.get(key) or {}, key) for key in ("only", "variants"))
    _require_known("axis of only", only, list(axes))
    _require_known("axis of a scale's variants", more, list(axes))
    kept = {axis: {name: list(given) for name, given in values.items()} for axis, values in axes.items()}
    for axis, added in more.items():
        for name, overrides in _mapping(added, f"variants.{axis}").items():
            _require_known(f"value of {axis}", {name: None}, list(axes[axis]))
            kept[axis][name] += _texts(overrides, f"variants.{axis}.{name}")
    for axis, wanted in only.items():
        for name in (names := _texts(wanted, f"only.{axis}")):
            if name not in axes[axis]:
                raise ValueError(f"only.{axis} must be among {', '.join(axes[axis])}, got {name}")
        kept[axis] = {name: kept[axis][name] for name in names}
    return kept


def _seeds(value: Any, scale: str) -> list[int]:
    seeds = list(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(seeds, list) or not seeds or not all(isinstance(each, int) for each in seeds):
        raise ValueError(f"scales.{scale}.seeds must be a list of numbers or how many, got {value!r}")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"scales.{scale}.seeds must differ, got {seeds}")
    return seeds


def _paper(value: Any) -> Paper:
    given = _mapping(value, "paper")
    _require_known("key of paper", given, ("title", "authors", "year", "table", "link"))
    for key in ("title", "authors", "year", "table"):
        if key not in given:
            raise ValueError(f"paper.{key} must be given, got {value!r}")
    return Paper(str(given["title"]), str(given["authors"]), int(given["year"]), str(given["table"]), given.get("link"))


def _reported(given: dict[str, Any], axes: dict[str, list[str]]) -> Reported:
    _require_known("key of reported", given, ("name", "source", "protocol", "values"))
    values, spreads = {}, {}
    for place, number in _mapping(given.get("values"), "reported.values").items():
        labels = labels_of(place, axes)
        if isinstance(number, Mapping):
            _require_known("key of a reported value", number, ("value", "spread"))
            values[labels], spreads[labels] = float(number["value"]), float(number["spread"])
        else:
            values[labels] = float(number)
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
    _require_known("axis", given, list(axes))
    given |= {axis: values[0] for axis, values in axes.items() if axis not in given and len(values) == 1}
    for axis, values in axes.items():
        if axis not in given:
            raise ValueError(f"a reported value must name all axes ({', '.join(axes)}), got {text}")
        _require_known(f"value of {axis}", {given[axis]: None}, values)
    return tuple((axis, given[axis]) for axis in axes)


def _claim(value: Any, axes: dict[str, list[str]], without_paper: bool) -> Claim:
    given = _mapping(value, "a claim")
    _require_known("key of a claim", given, ("claim", "source", "note", "ours"))
    ours = given.get("ours", without_paper)
    if not isinstance(ours, bool):
        raise ValueError(f"ours of a claim must be true or false, got {ours!r}")
    source, note = (" ".join(str(given.get(key) or "").split()) for key in ("source", "note"))
    return parse_claim(str(given.get("claim")), axes, source, note, ours)
