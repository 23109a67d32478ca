"""index.html: an ablation on one page that opens from disk, without JavaScript and without the network."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from genexp.ablations.report.interval import interval_bar
from genexp.ablations.report.markdown import budget_rows, protocol_lines
from genexp.ablations.report.sample_grids import gallery_columns
from genexp.ablations.report.study import Labels, Study
from genexp.ablations.report.table_blocks import TableBlock, blocks_of, entry_of, entry_text, floor_name
from genexp.ablations.report.values import label_text, metric_of, missing_values, variants
from genexp.ablations.report.verdicts import Verdict
from genexp.ablations.report.wording import (
    claim_texts,
    claims_summary,
    counts_of,
    origin_lines,
    paper_text,
    rule_text,
    table_note,
    verdict_parts,
)
from genexp.reports.comparison_page import STYLE
from genexp.reports.formatting import NumberFormat, floor_text, heading
from genexp.runs.markup import web_link

_STYLES = (STYLE, Path(__file__).parent / "page.css")


def page_text(study: Study, verdicts: list[Verdict], plots: dict[str, Path], pictures: dict[Labels, Path]) -> str:
    """The page.

    Args:
        study: What is shown.
        verdicts: Of its claims.
        plots: What each plot shows, with its PNG file.
        pictures: Variant to its grid of samples.
    """
    sections = [
        ("tables", "Tables", _tables(study)),
        ("claims", "Claims", _claims(study, verdicts)),
        ("plots", "Plots", _plots(plots)),
        ("samples", "Samples", _samples(pictures, study)),
        ("seeds", "Values of every seed", _seeds(study)),
        ("method", "How it was measured", _list(protocol_lines(study)) + _remarks(study)),
        ("missing", "What is missing", _list([*study.notes, *missing_values(study)], "plain missing")),
        ("origin", "Origin", _origin(study)),
    ]
    shown = [each for each in sections if each[2]]
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title, _ in shown)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>{inside}</section>\n'
        for key, title, inside in shown
    )
    style = "\n".join(path.read_text() for path in _STYLES)
    header = f'<div><h1>{escape(study.title)}</h1><p class="paper">{_paper(study)}</p></div>'
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<title>{escape(study.title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>{style}</style>\n</head>\n<body>\n"
        f'<header>{header}<nav aria-label="Sections">{links}</nav></header>\n'
        f"<main>\n{_opening(study, verdicts)}{body}</main>\n</body>\n</html>\n"
    )


def _paper(study: Study) -> str:
    text = escape(paper_text(study.paper))
    link = None if study.paper is None else web_link(study.paper.link)
    return f'<a href="{escape(link)}">{text}</a>' if link else text


def _opening(study: Study, verdicts: list[Verdict]) -> str:
    words = {"holds": "hold", "fails": "fail", "undecided": "undecided"}
    counts = counts_of([each.verdict for each in verdicts])
    items = "".join(f'<li class="{key}"><b>{count}</b>{words[key]}</li>' for key, count in counts.items())
    summary = f'<ul class="counts" aria-label="Verdicts of the claims">{items}</ul>' if verdicts else ""
    seeds = f"Scale {escape(study.scale)}, seeds {', '.join(map(str, study.seeds))}."
    return (
        '<section id="question" aria-label="Question">'
        f'<p class="question">{escape(study.question)}</p><p class="hint">{seeds}</p>{summary}</section>\n'
    )


def _tables(study: Study) -> str:
    blocks = blocks_of(study)
    measured = "".join(_block(each) for each in blocks if not each.reported)
    budget = budget_rows(study)
    if budget is not None:
        heading, head, rows = budget
        measured += _framed(heading, "", _rows(head, [[(text, "") for text in row] for row in rows], 1))
    note = f'<p class="hint">{escape(table_note(study))}</p>'
    reported = "".join(_block(each) for each in blocks if each.reported)
    below = f'<h3 class="group">Reported</h3><div class="blocks">{reported}</div>' if reported else ""
    return f'<h3 class="group">Measured</h3><div class="blocks">{measured}</div>{note}{below}'


def _block(block: TableBlock) -> str:
    rows = []
    for r, names in enumerate(block.rows):
        cells = [(block.text(r, c), "best" if (r, c) in block.best else "") for c in range(len(block.heads))]
        rows.append([*((name, "") for name in names), *cells])
    foot = [] if block.floors is None else [block.floor_name, *[""] * (len(block.stub) - 1), *block.floors]
    table = _rows([*block.stub, *block.heads], rows, len(block.stub), foot)
    return _framed(block.heading, block.remark, table, "block reported" if block.reported else "block")


def _framed(heading: str, note: str, table: str, kind: str = "block") -> str:
    hint = f'<p class="hint">{escape(note)}</p>' if note else ""
    title = f"<h4>{escape(heading)}</h4>" if heading else ""
    label = escape(heading or "all values")
    box = f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">{table}</div>'
    return f'<div class="{kind}">{title}{box}{hint}</div>'


def _rows(head: list[str], rows: list[list[tuple[str, str]]], stub: int, foot: Sequence[str] = ()) -> str:
    """A table; texts of the body come with a class, and the first `stub` columns name the row."""
    top = "".join(f'<th scope="col"{_right(n, stub)}>{escape(text)}</th>' for n, text in enumerate(head))
    body = "".join(f"<tr>{''.join(_cell(n < stub, *each) for n, each in enumerate(row))}</tr>" for row in rows)
    tail = "".join(f"<td{_right(n, stub)}>{escape(text)}</td>" for n, text in enumerate(foot))
    foot_row = f"<tfoot><tr>{tail}</tr></tfoot>" if foot else ""
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody>{foot_row}</table>"


def _cell(names: bool, text: str, kind: str) -> str:
    if names:
        return f'<th scope="row">{escape(text)}</th>'
    if kind == "best":
        return f'<td class="number best"><strong>{escape(text)}<span class="hidden"> best</span></strong></td>'
    return f'<td class="number">{escape(text)}</td>'


def _right(number: int, stub: int) -> str:
    return "" if number < stub else ' class="number"'


def _claims(study: Study, verdicts: list[Verdict]) -> str:
    items = "".join(_claim(each) for each in verdicts)
    summary = f"<p>{escape(claims_summary(verdicts))}</p>"
    return f'{summary}<ul class="claims">{items}</ul><p class="hint">{escape(rule_text(study))}</p>' if items else ""


def _claim(each: Verdict) -> str:
    ours = ' <span class="soft">our own</span>' if each.claim.ours else ""
    lines = [f"<code>{escape(each.claim.text)}</code>{ours}"]
    lines += [f'<p class="soft">{escape(text)}</p>' for text in claim_texts(each.claim)]
    if each.difference is not None:
        parts = ", ".join(f'<span class="whole">{escape(part)}</span>' for part in verdict_parts(each))
        lines.append(f"<p>{parts}</p>")
    if each.reason:
        lines.append(f'<p class="soft">{escape(each.reason[0].upper() + each.reason[1:])}.</p>')
    badge = f'<span class="badge {each.verdict}">{each.verdict}</span>'
    return f"<li><div>{badge}</div><div>{''.join(lines)}</div><div>{interval_bar(each)}</div></li>"


def _plots(plots: dict[str, Path]) -> str:
    figures = "".join(_figure(path, escape(what)) for what, path in plots.items())
    return f'<div class="plots">{figures}</div>' if figures else ""


def _samples(pictures: dict[Labels, Path], study: Study) -> str:
    """Grids side by side; with two axes a line for every value of the first, where the window is wide enough."""
    figures = "".join(_figure(path, escape(label_text(labels, ", "))) for labels, path in pictures.items())
    columns = gallery_columns(study, list(pictures))
    hint = '<p class="hint">One run of every variant: the first seed that has a picture.</p>'
    return f'<div class="samples" style="--columns: {columns}">{figures}</div>{hint}' if figures else ""


def _figure(path: Path, caption: str) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    picture = f'<img alt="{caption}" src="data:image/png;base64,{content}">'
    return f"<figure>{picture}<figcaption>{caption}</figcaption></figure>"


def _seeds(study: Study) -> str:
    """A table for every value that has a column, with each seed in a column of its own; settings of a search each."""
    axes, tables = list(study.axes), ""
    for name in study.metrics:
        metric = metric_of(study, name)
        if metric is None:
            continue
        seeds = sorted({*study.seeds, *(seed for each in metric.values.values() for seed in each)})
        numbers = NumberFormat([value for each in metric.values.values() for value in each.values()], metric.name)
        rows = []
        for labels in variants(study, with_search=True):
            held = metric.values.get(labels, {})
            row = [*(value for _, value in labels), *(numbers(held.get(seed)) for seed in seeds)]
            rows.append([(text, "") for text in [*row, entry_text(entry_of(held), numbers)]])
        heads = [*axes, *(f"seed {seed}" for seed in seeds), "mean ± std (n)"]
        note = "" if metric.floors is None else f"{floor_name([metric]).capitalize()}: {floor_text(metric, numbers)}"
        tables += _framed(heading(metric, numbers), note, _rows(heads, rows, len(axes)))
    return f'<details><summary>Show the numbers</summary><div class="blocks">{tables}</div></details>' if tables else ""


def _list(lines: list[str], kind: str = "plain") -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul class="{kind}">{items}</ul>' if items else ""


def _remarks(study: Study) -> str:
    return f'<p class="hint">{escape(study.remarks.strip())}</p>' if study.remarks else ""


def _origin(study: Study) -> str:
    items = "".join(f"<dt>{escape(name)}</dt><dd>{_code(name, text)}</dd>" for name, text in origin_lines(study))
    return f"<dl>{items}</dl>"


def _code(name: str, text: str) -> str:
    return f"<code>{escape(text)}</code>" if name in ("command", "commit") else escape(text)
