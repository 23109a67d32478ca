"""Which values of runs may share a column: those of one protocol."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from genexp.files.trees import Tree
from genexp.runs.directions import metric_name
from genexp.runs.evaluations import EVALUATE, TRAINING
from genexp.runs.markup import digest_text
from genexp.runs.measurements import Measurement, measurements
from genexp.runs.stored import StoredRun
from genexp.terminal import counted


class MixedProtocols(ValueError):
    """Values of different protocols were about to share a column."""


@dataclass
class Column:
    """Values that may be compared.

    Args:
        name: What heads the column.
        key: The values' key.
        source: `training` or `evaluate`.
        protocol: What all its values share, or None.
        values: Run number to its measurements.
    """

    name: str
    key: str
    source: str
    protocol: Tree | None
    values: dict[int, list[Measurement]] = field(default_factory=dict)

    @property
    def all(self) -> list[Measurement]:
        """Its values in the order of the runs."""
        return [each for found in self.values.values() for each in found]


def columns(runs: Sequence[StoredRun], source: str = "auto", split: bool = True) -> tuple[list[Column], list[str]]:
    """Columns of values that share a protocol, and notes on what was left out.

    Args:
        runs: The runs.
        source: `training`, `evaluate`, or `auto`: for every key what `genexp evaluate` measured if it measured all
            finished runs or only it knows the key, else what the runs measured themselves.
        split: Give every protocol of a key its own column, with a note, instead of refusing.

    Raises:
        MixedProtocols: values under one key were measured differently and `split` is off.
    """
    taken = {i: measurements(run) for i, run in enumerate(runs)}
    keys = dict.fromkeys(each.key for found in taken.values() for each in found)
    made, notes = [], []
    for key in keys:
        from_where = _source(key, runs, taken) if source == "auto" else source
        mine = {
            i: [each for each in found if each.key == key and each.source == from_where] for i, found in taken.items()
        }
        with_protocol = any(each.protocol for found in mine.values() for each in found)
        bare = sum(1 for found in mine.values() for each in found if with_protocol and not each.protocol)
        if bare:
            notes.append(f"{key}: left out without a recorded protocol: {bare} (a run records it when it ends)")
        kept = {i: [each for each in found if each.protocol or not with_protocol] for i, found in mine.items()}
        kept = {i: found for i, found in kept.items() if found}
        if kept:
            parts = _divided(key, from_where, kept, runs, split)
            made += parts
            notes += [_division(key, parts)] if len(parts) > 1 else []
        others = sum(1 for found in taken.values() if any(e.key == key and e.source == EVALUATE for e in found))
        if source == "auto" and from_where == TRAINING and others:
            notes.append(f"{key}: {others} of {len(runs)} runs also have values of genexp evaluate (source=evaluate)")
    return made, notes


def _source(key: str, runs: Sequence[StoredRun], taken: dict[int, list[Measurement]]) -> str:
    has = {s: {i for i, found in taken.items() if any(e.key == key and e.source == s for e in found)} for s in _SOURCES}
    finished = {i for i, run in enumerate(runs) if run.finished}
    measured_all = bool(finished) and finished <= has[EVALUATE]
    return EVALUATE if measured_all or not has[TRAINING] else TRAINING


_SOURCES = (TRAINING, EVALUATE)


def _divided(
    key: str, source: str, values: dict[int, list[Measurement]], runs: Sequence[StoredRun], split: bool
) -> list[Column]:
    by_terms: dict[tuple, dict[int, list[Measurement]]] = {}
    for i, found in values.items():
        for each in found:
            by_terms.setdefault(each.terms, {}).setdefault(i, []).append(each)
    if len(by_terms) == 1:
        (terms, inside), *_ = by_terms.items()
        return [Column(key, key, source, dict(terms) or None, inside)]
    names = sorted({name for terms in by_terms for name, _ in terms})
    differ = [name for name in names if len({dict(terms).get(name) for terms in by_terms}) > 1]
    if not split:
        (one, first), (other, second), *_ = by_terms.items()
        name = next(each for each in differ if dict(one).get(each) != dict(other).get(each))
        ours, theirs = (digest_text(dict(terms).get(name)) for terms in (one, other))
        raise MixedProtocols(
            f"values in one column must share a protocol: under {key}, {name} is {ours} for "
            f"{_label(runs[min(first)])} and {theirs} for {_label(runs[min(second)])}; "
            "protocols=split shows them in columns of their own"
        )
    named = _telling(differ, [dict(terms) for terms in by_terms])
    parts = [
        Column(
            f"{key} [{', '.join(f'{name}={digest_text(dict(terms).get(name))}' for name in named)}]",
            key,
            source,
            dict(terms),
            inside,
        )
        for terms, inside in by_terms.items()
    ]
    return sorted(parts, key=lambda each: sum(not runs[i].finished for i in each.values) - len(each.values))


def _telling(differ: list[str], records: list[Tree]) -> list[str]:
    """The fewest of the fields that differ, from the front, by which every record is told from the others."""
    named: list[str] = []
    for name in sorted(differ, key=lambda name: -len({repr(each.get(name)) for each in records})):
        before, after = (
            len({tuple(repr(each.get(field)) for field in fields) for each in records})
            for fields in (named, [*named, name])
        )
        named += [name] if after > before else []
    return named


def _division(key: str, parts: list[Column]) -> str:
    """How one value was measured in several ways, and how many runs in each."""
    ways = [f"{each.name.removeprefix(key).strip(' []')} ({counted(len(each.values), 'run')})" for each in parts]
    return f"{key}: measured in {len(parts)} ways, a column each, not to be compared: {'; '.join(ways)}"


def _label(run: StoredRun) -> str:
    return f"{run.name}/{run.id}"


def measured_by_default(column: Column, monitored: set[str]) -> bool:
    """Whether a column is shown when no metrics are asked for: it has a protocol or is what runs monitor."""
    return column.protocol is not None or column.key in monitored or metric_name(column.key) in monitored
