"""Claims as text, such as `fd[eta=0,steps=10] < fd[eta=1,steps=10]`."""

import re
from collections.abc import Mapping, Sequence

from genexp.ablations.report.study import Claim, Labels, Term
from genexp.config.problems import did_you_mean

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_SIDE = re.compile(rf"(?:(?P<factor>{_NUMBER})\s*\*\s*)?(?P<metric>[A-Za-z_][\w/@.+-]*)\s*(?:\[(?P<where>[^\[\]]*)\])?")


def parse_claim(
    text: str, axes: Mapping[str, Sequence[str]], source: str = "", note: str = "", ours: bool = False
) -> Claim:
    """Read a claim.

    A side is a number, or the name of a value with an optional number in front (`0.9 * recall`) and an optional choice
    of variants behind it (`[eta=0,steps=10]`); axes that the choice leaves out are averaged over.

    Args:
        text: The claim.
        axes: Axis to its values.
        source: Where the paper says it.
        note: How the result is to be read.
        ours: Whether the statement is not the paper's.

    Raises:
        ValueError: the text is no claim, or names an axis or value that does not exist.
    """
    relations = re.findall(r"[<>=!≤≥]+", re.sub(r"\[[^\[\]]*\]", "", text))
    if relations not in (["<"], [">"]):
        got = "none" if not relations else " and ".join(relations)
        raise ValueError(f"a claim must hold one relation, < or >, between two sides, got {got} in '{text}'")
    relation = relations[0]
    left, right = (_term(side.strip(), axes, text) for side in text.split(relation))
    if left.metric is None and right.metric is None:
        raise ValueError(f"a claim must name a value on one side at least, got numbers on both in '{text}'")
    if left == right:
        raise ValueError(f"a claim must have two different sides, got the same twice in '{text}'")
    return Claim(text=text, left=left, relation=relation, right=right, source=source, note=note, ours=ours)


def _term(side: str, axes: Mapping[str, Sequence[str]], text: str) -> Term:
    if re.fullmatch(_NUMBER, side):
        return Term(metric=None, factor=float(side))
    parts = _SIDE.fullmatch(side)
    if parts is None:
        got = f"'{side}'" if side else "nothing"
        raise ValueError(
            f"a side of a claim must be a number or a value such as 0.9 * fd[axis=value], got {got} in '{text}'"
        )
    where = () if parts["where"] is None else _where(parts["where"], axes, text)
    return Term(parts["metric"], where, float(parts["factor"] or 1))


def _where(inside: str, axes: Mapping[str, Sequence[str]], text: str) -> Labels:
    chosen: dict[str, str] = {}
    for part in inside.split(","):
        axis, equals, value = (each.strip() for each in part.partition("="))
        if not (axis and equals and value):
            raise ValueError(f"brackets in a claim must hold axis=value, got '{part.strip()}' in '{text}'")
        if axis not in axes:
            raise ValueError(f"a claim must name axes ({', '.join(axes)}), got {axis} in '{text}'{_meant(axis, axes)}")
        if axis in chosen:
            raise ValueError(f"brackets in a claim must name an axis once, got {axis} twice in '{text}'")
        known = [str(each) for each in axes[axis]]
        if value not in known:
            meant = _meant(value, known)
            raise ValueError(f"a claim must name values of {axis} ({', '.join(known)}), got {value} in '{text}'{meant}")
        chosen[axis] = value
    return tuple((axis, chosen[axis]) for axis in axes if axis in chosen)


def _meant(got: str, known: Sequence[str] | Mapping[str, Sequence[str]]) -> str:
    """A question for the name that was probably meant: an equal number, or a similar word."""
    equal = [each for each in known if _number(each) is not None and _number(each) == _number(got)]
    return f"; did you mean {equal[0]}?" if equal else did_you_mean(got, known, listed=False)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(_NUMBER, text) else None
