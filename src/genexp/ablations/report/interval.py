"""A verdict as a small SVG picture: the interval of the mean difference, every seed, and the claimed side of 0."""

from genexp.ablations.report.verdicts import Verdict
from genexp.ablations.report.wording import number

_WIDTH, _HEIGHT, _MARGIN = 320, 54, 12


def interval_bar(verdict: Verdict) -> str:
    """The picture, with its content in words for readers that see none; empty where there are no differences."""
    ends = [*verdict.differences, *(verdict.interval or ())]
    if not ends or not all(abs(each) < float("inf") for each in ends):
        return ""
    largest = max(abs(each) for each in ends) or 1.0
    middle = _WIDTH / 2

    def place(value: float) -> float:
        return middle + value / largest * (middle - _MARGIN)

    left = 0 if verdict.claim.relation == "<" else middle
    parts = [
        f'<rect class="side" x="{left:g}" y="4" width="{middle:g}" height="28" rx="3"/>',
        f'<line class="zero" x1="{middle:g}" x2="{middle:g}" y1="2" y2="36"/>',
    ]
    if verdict.interval is not None:
        low, high = (place(each) for each in verdict.interval)
        parts.append(f'<line class="span {verdict.verdict}" x1="{low:.1f}" x2="{high:.1f}" y1="14" y2="14"/>')
    parts.append(f'<circle class="mean {verdict.verdict}" cx="{place(verdict.difference):.1f}" cy="14" r="4.5"/>')
    parts += [f'<circle class="seed" cx="{place(each):.1f}" cy="26" r="2.5"/>' for each in verdict.differences]
    scale = number(largest)
    parts += [
        f'<text x="{_MARGIN}" y="48">-{scale}</text>',
        f'<text x="{middle:g}" y="48" text-anchor="middle">0</text>',
        f'<text x="{_WIDTH - _MARGIN}" y="48" text-anchor="end">{scale}</text>',
    ]
    words = f"left minus right: mean {number(verdict.difference)}"
    if verdict.interval is not None:
        words += ", interval {} to {}".format(*map(number, verdict.interval))
    return (
        f'<svg class="interval" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{words}">{"".join(parts)}</svg>'
    )
