"""An ablation in words: verdicts, protocols, and where the numbers come from."""

from collections import Counter
from collections.abc import Sequence

from genexp.reports.ablation.judging import VERDICTS, Verdict
from genexp.reports.ablation.study import Paper, Study
from genexp.reports.ablation.values import Metric


def number(value: float) -> str:
    """A number with four digits."""
    return f"{value:.4g}"


def paper_text(paper: Paper | None) -> str:
    """The publication in one line."""
    if paper is None:
        return "A question of our own."
    return f"{paper.authors}: {paper.title} ({paper.year}), {paper.table}"


def counts_of(verdicts: Sequence[str]) -> dict[str, int]:
    """How many claims hold, fail and are undecided."""
    found = Counter(verdicts)
    return {each: found.get(each, 0) for each in VERDICTS}


def counts_text(counts: dict[str, int]) -> str:
    """The counts in one line, such as `3 hold, 1 fails, 2 are undecided`."""
    words = {"holds": ("holds", "hold"), "fails": ("fails", "fail"), "undecided": ("is undecided", "are undecided")}
    return ", ".join(f"{count} {words[verdict][count != 1]}" for verdict, count in counts.items())


def verdict_parts(verdict: Verdict) -> list[str]:
    """Means, difference, interval, p value, effect and seeds of a verdict; nothing without values."""
    if verdict.difference is None:
        return []
    parts = [f"{number(verdict.left)} against {number(verdict.right)}", f"difference {number(verdict.difference)}"]
    if verdict.interval is not None:
        parts.append("95 % interval {} to {}".format(*map(number, verdict.interval)))
    if verdict.p is not None:
        holm = "" if verdict.holm is None or verdict.holm == verdict.p else f" (Holm {_small(verdict.holm)})"
        parts.append(f"p {_small(verdict.p)}{holm}")
    if verdict.effect is not None:
        parts.append(f"d_z {verdict.effect:.2f}")
    return [*parts, f"{len(verdict.seeds)} seed{'s' if len(verdict.seeds) != 1 else ''}"]


def _small(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


RULE = (
    "A claim is tested over seeds: for every seed the right side is subtracted from the left, and a two-sided 95 % t "
    "interval of the mean difference decides. It holds if the interval lies wholly on the claimed side of 0, fails if "
    "it lies wholly on the other side, and is undecided otherwise. p is two-sided; Holm's correction for the number of "
    "claims stands beside it and decides nothing. d_z is the mean difference over the standard deviation of the "
    "differences."
)


def table_note(study: Study) -> str:
    """What the cells of the tables mean."""
    text = "Mean ± standard deviation over seeds, their number in brackets. Bold: the best mean of a column or block."
    if study.search is not None:
        count = len(study.axes[study.search])
        text += f" {study.search} is a search over {count} settings: every cell takes the best of them for each seed."
    return text


def protocol_text(metric: Metric) -> str:
    """How a value was measured, in words."""
    if metric.protocol is None:
        return "logged by the training run itself" if "/" in metric.key else "no protocol was recorded"
    terms = dict(metric.protocol)
    if "extractor" not in terms:
        return ", ".join(f"{key} {_short(value)}" for key, value in terms.items())
    counts = [f"{_count(terms.pop(key, None))} {word}" for key, word in _COUNTED]
    digest = _short(terms.pop("extractor_digest", None))
    size, resize = terms.pop("input_size", 0), terms.pop("resize", None)
    scaled = f" at {size} pixels (resize {resize})" if size else ""
    parts = [
        str(terms.pop("settings", metric.name)),
        f"{counts[0]} against {counts[1]} ({terms.pop('reference', '?')} split, digest "
        f"{_short(terms.pop('reference_digest', None))})",
        f"features: {terms.pop('extractor')}@{digest}{scaled}, images quantised: {terms.pop('quantiser', None)}",
        *(f"{key} {_short(value)}" for key, value in terms.items() if key != "metric"),
        _made_by(metric),
        _floor(metric),
    ]
    return "; ".join(filter(None, parts))


_COUNTED = (("n_generated", "generated images"), ("n_reference", "real images"))


def _made_by(metric: Metric) -> str:
    weights = " or ".join(dict.fromkeys(each for each, _ in metric.made_by))
    samplers = list(dict.fromkeys(each for _, each in metric.made_by))
    drawn = samplers[0] if len(samplers) == 1 else f"{len(samplers)} samplers, see the variants"
    return f"weights {weights}; drawn with {drawn}; noise seed: the seed of the run"


def _floor(metric: Metric) -> str:
    counts = " or ".join(f"{count:,}" for count in metric.floor_images)
    return f"the row of real images: {counts} that were held out" if counts else ""


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "an unknown number of"


def _short(value: object) -> str:
    text = "not recorded" if value is None else str(value)
    return text[:8] if len(text) == 64 else text


def origin_lines(study: Study) -> list[tuple[str, str]]:
    """Where the numbers come from, as pairs of a name and a text; what is not known is left out."""
    origin = study.origin
    commit = str(origin.get("commit") or "not recorded") + (" with changes" if origin.get("dirty") else "")
    versions = ", ".join(f"{name} {version}" for name, version in (origin.get("versions") or {}).items())
    lines = [
        ("command", origin.get("command")),
        ("commit", commit),
        ("hardware", origin.get("hardware")),
        ("threads", _listed(origin.get("threads"))),
        ("scale", study.scale),
        ("seeds", _listed(study.seeds)),
        ("training images", _listed(origin.get("images"))),
        ("training", _spent(origin.get("trainings"), "runs", origin.get("training_seconds"))),
        ("measuring", _spent(origin.get("measurements"), "measurements", origin.get("measuring_seconds"))),
        ("versions", versions),
        ("date", origin.get("date")),
    ]
    return [(name, str(text)) for name, text in lines if text not in (None, "")]


def _listed(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(f"{each:,}" if isinstance(each, int) else str(each) for each in value)
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def _spent(count: int | None, what: str, seconds: float | None) -> str:
    if seconds is None:
        return ""
    took = f"{seconds:,.0f} s" if seconds < 600 else f"{seconds / 60:,.0f} min"
    return took if count is None else f"{count} {what}, {took}"
