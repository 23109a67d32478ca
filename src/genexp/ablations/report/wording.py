"""An ablation in words: verdicts, protocols, and where the numbers come from."""

from collections import Counter
from collections.abc import Sequence

from genexp.ablations.report.study import Claim, Paper, Study
from genexp.ablations.report.values import metric_of
from genexp.ablations.report.verdicts import VERDICTS, Verdict


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


def claim_texts(claim: Claim) -> list[str]:
    """Where a claim stands, and how the result is to be read."""
    return [text for text in (claim.source, claim.note) if text]


def claims_summary(verdicts: Sequence[Verdict]) -> str:
    """How many claims hold, fail and are undecided; those that are not the paper's apart."""
    ours = [each.verdict for each in verdicts if each.claim.ours]
    theirs = [each.verdict for each in verdicts if not each.claim.ours]
    parts = [f"{len(theirs)} from the literature: {counts_text(counts_of(theirs))}" if theirs else ""]
    parts += [f"{len(ours)} of our own: {counts_text(counts_of(ours))}" if ours else ""]
    return f"{'; '.join(filter(None, parts))}."


def verdict_parts(verdict: Verdict) -> list[str]:
    """Means, difference, interval, p value, effect and seeds of a verdict; nothing without values."""
    if verdict.difference is None:
        return []
    parts = [f"{number(verdict.left)} against {number(verdict.right)}", f"difference {number(verdict.difference)}"]
    if verdict.interval is not None:
        parts.append("95 % interval {} to {}".format(*map(number, verdict.interval)))
        parts[-1] += f" for all {verdict.choices:,} choices of settings at once" if verdict.choices > 1 else ""
    if verdict.p is not None:
        parts.append(p_text(verdict.p, verdict.holm))
    if verdict.effect is not None:
        parts.append(f"d_z {verdict.effect:.2f}")
    return [*parts, f"{len(verdict.seeds)} seed{'s' if len(verdict.seeds) != 1 else ''}"]


def p_text(p: float, holm: float | None) -> str:
    """A p value with the one after Holm's correction, such as `p 0.021 (Holm 0.063)`."""
    return f"p {_small(p)}" + ("" if holm is None else f" (Holm {_small(holm)})")


def _small(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def rule_text(study: Study) -> str:
    """How claims are decided."""
    return RULE + ("" if study.search is None else f" {SEARCHED}")


SEARCHED = (
    "Where a search chose the settings of a claim, it did so by the seeds that test it: with m ways to choose, the "
    "interval is that of 1 - 0.05 / m and p is multiplied by m (Bonferroni), so that a claim without an effect is "
    "decided in at most 5 of 100 cases whichever settings are shown."
)

RULE = (
    "A side of a claim is the mean of all cells that it selects, times its factor; axes that it does not name are "
    "averaged over. A claim is tested over seeds: for every seed the right side is subtracted from the left, and a "
    "two-sided 95 % t interval of the mean difference decides. It holds if the interval lies wholly on the claimed "
    "side of 0, fails if it lies wholly on the other side, and is undecided otherwise. Fails means that these runs, at "
    "this scale, show the opposite; not that the paper is wrong. p is two-sided; Holm's correction for the number of "
    "tested claims stands beside it and decides nothing. d_z is the mean difference over the standard deviation of "
    "the differences. The interval knows no bounds of a value, such as 0 and 1."
)


def table_note(study: Study) -> str:
    """What the cells of the tables mean."""
    text = (
        "Mean ± standard deviation over seeds, their number in brackets where it differs. Bold: the best mean of a "
        "column or block, and all that print as it does; bold is no test."
    )
    if study.search is not None:
        count = len(study.axes[study.search])
        text += (
            f" {study.search} is a search over {count} settings: every row shows the one whose {study.metrics[0]} is "
            "best on average over the seeds, and all its values. The best of several noisy settings looks better than "
            "it is."
        )
    return text + _fewer_real(study)


def _fewer_real(study: Study) -> str:
    """A warning where the row of real data was taken from another number of images than the others."""
    for metric in filter(None, (metric_of(study, name) for name in study.metrics)):
        drawn = (metric.protocol or {}).get("n_generated")
        if metric.floor_images and drawn and metric.floor_images != [drawn]:
            return (
                f" The values of real {metric.things} are of {' or '.join(f'{n:,}' for n in metric.floor_images)} that "
                f"were held out, all others of {drawn:,} that were generated: distances, recall and coverage depend on "
                "the number."
            )
    return ""


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
        ("data", origin.get("data")),
        ("seeds", _listed(study.seeds)),
        (f"training {_things(study)}", _listed(origin.get("images"))),
        ("training", _spent(origin.get("trainings"), "runs", origin.get("training_seconds"))),
        ("measuring", _spent(origin.get("measurements"), "measurements", origin.get("measuring_seconds"))),
        ("versions", versions),
        ("date", origin.get("date")),
    ]
    return [(name, str(text)) for name, text in lines if text not in (None, "")]


def _things(study: Study) -> str:
    found = [metric.things for metric in (metric_of(study, name) for name in study.metrics) if metric is not None]
    return found[0] if found else "images"


def _listed(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(f"{each:,}" if isinstance(each, int) else str(each) for each in value)
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def _spent(count: int | None, what: str, seconds: float | None) -> str:
    if seconds is None:
        return ""
    took = f"{seconds:,.0f} s" if seconds < 600 else f"{seconds / 60:,.0f} min"
    return took if count is None else f"{count} {what}, {took}"
