"""An ablation's tables as files for other programs: table.tex and table.csv."""

import hashlib
import json

from genexp.ablations.report.study import Labels, Study
from genexp.ablations.report.table_blocks import Entry, TableBlock, blocks_of
from genexp.files.trees import Tree
from genexp.reports.formatting import NumberFormat
from genexp.runs.directions import metric_name
from genexp.runs.markup import csv_text, latex_number, latex_text
from genexp.runs.measurements import FREE, MADE_BY
from genexp.terminal import plain

_TEX_ARROWS = {"↓": r"$\downarrow$", "↑": r"$\uparrow$", "→": r"$\rightarrow$"}


def as_latex(study: Study) -> str:
    """One `tabular` for the booktabs package for every block, each under a comment that says what it is."""
    return "\n".join(_latex_block(block) for block in blocks_of(study))


def _latex_block(block: TableBlock) -> str:
    span = len(block.heads)
    title = _latex(f"Reported: {block.heading}" if block.reported else block.heading or "Measured")
    lines = [f"% {plain(line)}" for line in ("reported" if block.reported else "measured", block.remark) if line]
    lines += [rf"\begin{{tabular}}{{{'l' * len(block.stub)}{'r' * span}}}", r"\toprule"]
    first = len(block.stub) + 1
    lines += [" & " * len(block.stub) + rf"\multicolumn{{{span}}}{{c}}{{{title}}} \\"]
    lines += [rf"\cmidrule(lr){{{first}-{first + span - 1}}}"]
    lines += [" & ".join(map(_latex, [*block.stub, *block.heads])) + r" \\", r"\midrule"]
    for r, (names, entries) in enumerate(zip(block.rows, block.entries, strict=True)):
        texts = [
            _latex_entry(entry, written, (r, c) in block.best, block.seeds is None)
            for c, (entry, written) in enumerate(zip(entries, block.formats, strict=True))
        ]
        lines.append(" & ".join([*map(_latex, names), *texts]) + r" \\")
    if block.floors is not None:
        blanks = [""] * (len(block.stub) - 1)
        lines += [r"\midrule", " & ".join([_latex(block.floor_name), *blanks, *map(_latex, block.floors)]) + r" \\"]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex(text: str) -> str:
    return "".join(_TEX_ARROWS.get(each, each) for each in latex_text(text))


def _latex_entry(entry: Entry | None, written: NumberFormat, best: bool, with_count: bool) -> str:
    if entry is None:
        return "--"
    if entry.n == 0:
        return f"diverged ({entry.diverged})"
    text = written(entry.mean) + ("" if entry.spread is None else rf" \pm {written(entry.spread)}")
    text = latex_number(text)
    text = rf"\mathbf{{{text}}}" if best else text
    diverged = f", {entry.diverged} diverged" if entry.diverged else ""
    return f"${text}$" + (f" ({entry.n}{diverged})" if with_count and entry.n is not None else "")


_FIELDS = (
    *("metric", "key", "seed", "value", "error", "spread", "better", "real_images"),
    *("protocol", "protocol_weights", "protocol_sampler", "source"),
)


def as_csv(study: Study) -> str:
    """Every number in long form: a row for each variant, seed and key, then the reported numbers with their source."""
    lines: list[list[object]] = [["kind", *study.axes, *_FIELDS]]
    for each in study.values:
        record = each.protocol or {}
        row = {"metric": metric_name(each.key), "key": each.key, "seed": each.seed, "value": each.value}
        row |= {"error": each.error, "better": each.better, "real_images": each.floor}
        row |= {"protocol": protocol_digest(record)}
        row |= {f"protocol_{name}": record.get(name) for name in MADE_BY}
        lines.append(_csv_row(study, "measured", each.labels, row))
    for reported in study.reported:
        for labels, value in reported.values.items():
            row = {"metric": reported.name, "value": value, "spread": reported.spreads.get(labels)}
            row |= {"protocol": reported.protocol, "source": reported.source}
            lines.append(_csv_row(study, "reported", labels, row))
    return csv_text(lines)


def _csv_row(study: Study, kind: str, labels: Labels, row: Tree) -> list[object]:
    places = [dict(labels).get(axis, "") for axis in study.axes]
    return [kind, *places, *("" if row.get(name) is None else row[name] for name in _FIELDS)]


def protocol_digest(record: Tree) -> str:
    """Eight digits that are equal for values that may share a column; empty for a value without protocol."""
    if not record:
        return ""
    terms = {k: v for k, v in record.items() if k not in FREE}
    return hashlib.sha256(json.dumps(terms, sort_keys=True, default=str).encode()).hexdigest()[:8]
