"""An ablation as text: table.md."""

from genexp.ablations.report.budget import budget_curves
from genexp.ablations.report.protocols import protocol_text
from genexp.ablations.report.study import Study
from genexp.ablations.report.table_blocks import TableBlock, blocks_of
from genexp.ablations.report.values import label_text, metric_of, missing_values
from genexp.ablations.report.verdicts import Verdict
from genexp.ablations.report.wording import (
    claim_texts,
    claims_summary,
    origin_lines,
    paper_text,
    rule_text,
    table_note,
    verdict_parts,
)
from genexp.reports.formatting import NumberFormat
from genexp.runs.markup import markdown_code, markdown_prose, markdown_row, markdown_text, web_link


def as_markdown(study: Study, verdicts: list[Verdict]) -> str:
    """The whole report as text: question, tables, claims, protocols, remarks, origin."""
    paper = markdown_text(paper_text(study.paper))
    link = web_link(study.paper.link) if study.paper is not None else None
    paper += f". <{link}>" if link else ""
    parts = [f"# {markdown_text(study.title)}", markdown_prose(study.question), paper]
    blocks = blocks_of(study)
    parts += ["## Measured", *(_markdown_block(each) for each in blocks if not each.reported)]
    parts += [markdown_text(table_note(study)), *_markdown_budget(study)]
    reported = [_markdown_block(each) for each in blocks if each.reported]
    parts += ["## Reported", *reported] if reported else []
    parts += _markdown_claims(study, verdicts)
    parts += ["## How it was measured", _markdown_list(protocol_lines(study))]
    missing = [*study.notes, *missing_values(study)]
    if missing:
        parts += ["## What is missing", _markdown_list(missing)]
    if study.remarks:
        parts += ["## Remarks", markdown_prose(study.remarks)]
    parts += ["## Origin", _markdown_list([f"{name}: {text}" for name, text in origin_lines(study)])]
    return "\n\n".join(part for part in parts if part) + "\n"


def protocol_lines(study: Study) -> list[str]:
    """Every value that has a column or is claimed about, with its protocol; then every reported column with its own."""
    claimed = [term.metric for claim in study.claims for term in (claim.left, claim.right) if term.metric]
    lines = []
    for name in dict.fromkeys([*study.metrics, *claimed]):
        metric = metric_of(study, name)
        if metric is not None:
            lines.append(f"{name}: {protocol_text(metric)}")
    return lines + [f"{each.name}, reported: {each.source}. {each.protocol}" for each in study.reported]


def _markdown_list(lines: list[str]) -> str:
    return "\n".join(f"- {markdown_text(line)}" for line in lines)


def _markdown_block(block: TableBlock) -> str:
    note = markdown_text(block.remark)
    aligned = [":--"] * len(block.stub) + ["--:"] * len(block.heads)
    opening = [
        line for text in (block.heading and f"### {markdown_text(block.heading)}", note) if text for line in (text, "")
    ]
    lines = [*opening, markdown_row([*block.stub, *block.heads]), markdown_row(aligned)]
    for r, names in enumerate(block.rows):
        texts = [block.text(r, c) for c in range(len(block.heads))]
        texts = [f"**{text}**" if (r, c) in block.best else text for c, text in enumerate(texts)]
        lines.append(markdown_row([*names, *texts]))
    if block.floors is not None:
        lines.append(markdown_row([block.floor_name, *[""] * (len(block.stub) - 1), *block.floors]))
    return "\n".join(lines)


def budget_rows(study: Study) -> tuple[str, list[str], list[list[str]]] | None:
    """Heading, head and rows of the expected best of k settings for the first value that has a direction."""
    for name in study.metrics if study.search else []:
        metric = metric_of(study, name)
        curves = budget_curves(study, metric) if metric is not None else []
        if curves:
            written = NumberFormat([mean for curve in curves for mean in curve.means if mean is not None], name)
            ks = _few(len(curves[0].means))
            rows = [[label_text(curve.labels), *(written(curve.means[k - 1]) for k in ks)] for curve in curves]
            return f"Expected best {name} of k settings of {study.search}", ["k", *map(str, ks)], rows
    return None


def _few(count: int) -> list[int]:
    """1, 2, 4, ... and the count itself; all where there are few."""
    return list(range(1, count + 1)) if count <= 8 else [*(k for k in (1, 2, 4, 8, 16, 32, 64) if k < count), count]


def _markdown_budget(study: Study) -> list[str]:
    found = budget_rows(study)
    if found is None:
        return []
    heading, head, rows = found
    lines = [
        markdown_row(head),
        markdown_row([":--"] + ["--:"] * (len(head) - 1)),
        *(markdown_row(row) for row in rows),
    ]
    text = "Mean over seeds; exact, from the order of all settings."
    if any("–" in row for row in rows):
        text += " A dash: every one of k settings may have diverged."
    return [f"### {markdown_text(heading)}", "\n".join(lines), text]


def _markdown_claims(study: Study, verdicts: list[Verdict]) -> list[str]:
    if not verdicts:
        return []
    lines = []
    for each in verdicts:
        numbers = ", ".join(verdict_parts(each))
        reason = f". {markdown_text(each.reason[0].upper() + each.reason[1:])}" if each.reason else ""
        below = "".join(f"\n  {markdown_prose(text)}" for text in claim_texts(each.claim))
        ours = " (our own)" if each.claim.ours else ""
        lines.append(
            f"- {markdown_code(each.claim.text)}{ours} **{each.verdict}**{numbers and f': {numbers}'}{reason}.{below}"
        )
    return ["## Claims", claims_summary(verdicts), "\n".join(lines), rule_text(study)]
