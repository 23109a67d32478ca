"""The file of an ablation: what is varied, at which scale, what the paper reports and claims. Imports no torch."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from genexp.ablations.checks import mapping_of, require_known, seeds_of, texts_of
from genexp.ablations.finding import named
from genexp.ablations.guides import guides_of, require_none
from genexp.ablations.literature import claim_of, paper_of, reported_of
from genexp.ablations.report.study import Claim, Paper, Reported
from genexp.config.compose import load_plain
from genexp.files.trees import Tree
from genexp.runs.directions import direction

_KEYS = (
    *("title", "question", "paper", "experiment", "overrides", "variants", "search", "evaluate", "metrics"),
    *("reported", "claims", "remarks", "scales", "words", "guides"),
)
_SCALE_KEYS = ("experiment", "overrides", "evaluate", "seeds", "only", "variants", "guides", "remarks")


@dataclass(frozen=True)
class Ablation:
    """One ablation at one scale.

    Args:
        name: Name of its file.
        scale: One of the scales that the file has.
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
        remarks: What differs from the paper, at this scale.
        words: Axis to what its plots call it.
        guides: Models that are trained beside the rows, to begin with or to be drawn with: name to overrides of
            `genexp train`.
        asked: What of a command line asks for it, as in `ablation=ddim_table1 scale=cpu`.
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
    words: dict[str, str]
    guides: dict[str, list[str]] = field(default_factory=dict)
    asked: str = ""


def read_ablation(path: Path, scale: str) -> Ablation:
    """Read and check one file.

    Raises:
        ValueError: the file is no readable YAML mapping, a key is missing, unknown or of the wrong kind, an axis or a
            claim names what there is not, or the scale does not exist.
    """
    content = load_plain(path, "an ablation")
    try:
        ablation = _checked(path.stem, mapping_of(content, "the file"), scale)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    return replace(ablation, asked=f"ablation={named(path)} scale={scale}")


def scales_of(path: Path) -> list[str]:
    """The scales that a file has, in its order.

    Raises:
        ValueError: the file is no readable YAML mapping, or a scale has no name that is one.
    """
    content = load_plain(path, "an ablation")
    try:
        return list(_scales(mapping_of(content, "the file").get("scales")))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _checked(name: str, content: Tree, scale: str) -> Ablation:
    require_known("key", content, _KEYS)
    for key in ("title", "experiment", "variants", "metrics", "scales"):
        if not content.get(key):
            raise ValueError(f"{key} must be given, got {content.get(key)!r}")
    budget = _budget(content["scales"], scale)
    every = _axes(content["variants"])
    names = {axis: list(values) for axis, values in every.items()}
    metrics, search = texts_of(content["metrics"], "metrics"), content.get("search")
    _require_searchable(search, names, metrics)
    rows = {axis: values for axis, values in names.items() if axis != search}
    without_paper, at_scale = content.get("paper") is None, _at_scale(every, budget)

    def both(key: str) -> list[str]:
        found = [*texts_of(content.get(key), key), *texts_of(budget.get(key), key)]
        require_none(key, found)
        return found

    return Ablation(
        name=name,
        scale=scale,
        title=str(content["title"]),
        question=str(content.get("question") or "").strip(),
        paper=None if without_paper else paper_of(content["paper"]),
        experiment=str(budget.get("experiment") or content["experiment"]),
        overrides=both("overrides"),
        axes=at_scale,
        search=search,
        evaluate=None if content.get("evaluate") is None else both("evaluate"),
        metrics=metrics,
        seeds=seeds_of(budget.get("seeds"), f"scales.{scale}.seeds"),
        reported=[reported_of(mapping_of(each, "reported"), rows) for each in content.get("reported") or []],
        claims=[claim_of(each, names, without_paper) for each in content.get("claims") or []],
        remarks=" ".join(filter(None, (str(each.get("remarks") or "").strip() for each in (content, budget)))),
        words=_words(content.get("words") or {}, names),
        guides=guides_of(content.get("guides") or {}, budget.get("guides") or {}, _texts(every, at_scale)),
    )


def _words(value: object, axes: dict[str, list[str]]) -> dict[str, str]:
    given = mapping_of(value, "words")
    require_known("axis of words", given, list(axes))
    return {axis: str(text) for axis, text in given.items()}


def _texts(*axes: dict[str, dict[str, list[str]]]) -> list[str]:
    """All overrides of all values."""
    return [text for each in axes for values in each.values() for given in values.values() for text in given]


def _scales(value: object) -> Tree:
    known = mapping_of(value, "scales")
    for name in known:
        if not re.fullmatch(r"\w+", name, re.ASCII):
            raise ValueError(f"names of scales must be of letters, digits and _ alone, got {name!r}")
    return known


def _budget(scales: object, scale: str) -> Tree:
    """What the file says of one scale."""
    known = _scales(scales)
    if scale not in known:
        raise ValueError(f"scale must be one of {', '.join(known)}, got {scale}")
    budget = mapping_of(known[scale], f"scales.{scale}")
    require_known(f"key of scales.{scale}", budget, _SCALE_KEYS)
    return budget


def _require_searchable(search: str | None, axes: dict[str, list[str]], metrics: list[str]) -> None:
    if search is not None and search not in axes:
        raise ValueError(f"search must be null or an axis ({', '.join(axes)}), got {search}")
    for metric in metrics if search is not None else []:
        better = direction(metric, None, {})
        if better == "reference" or (better is None and "/" in metric):  # a metric says it with its values
            raise ValueError(f"metrics of a search must have a best direction, got {metric}")


def _axes(value: object) -> dict[str, dict[str, list[str]]]:
    axes = {}
    for axis, values in mapping_of(value, "variants").items():
        inside = mapping_of(values, f"variants.{axis}")
        if not inside:
            raise ValueError(f"variants.{axis} must have at least one value, got none")
        axes[axis] = {name: texts_of(overrides, f"variants.{axis}.{name}") for name, overrides in inside.items()}
        for text in (axis, *inside):
            if not text or any(c in text for c in "[]=,<>* \t\n/"):
                raise ValueError(f"names of variants must be of letters, digits and _.+- alone, got {text!r}")
    return axes


def _at_scale(axes: dict[str, dict[str, list[str]]], budget: Tree) -> dict[str, dict[str, list[str]]]:
    """The axes with the values that a scale has (`only`) and what it adds to some of them (`variants`)."""
    only, more = (mapping_of(budget.get(key) or {}, key) for key in ("only", "variants"))
    require_known("axis of only", only, list(axes))
    require_known("axis of a scale's variants", more, list(axes))
    kept = {axis: {name: list(given) for name, given in values.items()} for axis, values in axes.items()}
    for axis, added in more.items():
        for name, overrides in mapping_of(added, f"variants.{axis}").items():
            require_known(f"value of {axis}", {name: None}, list(axes[axis]))
            kept[axis][name] += texts_of(overrides, f"variants.{axis}.{name}")
    for axis, wanted in only.items():
        for name in (names := texts_of(wanted, f"only.{axis}")):
            if name not in axes[axis]:
                raise ValueError(f"only.{axis} must be among {', '.join(axes[axis])}, got {name}")
        kept[axis] = {name: kept[axis][name] for name in names}
    return kept
