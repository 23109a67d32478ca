"""An ablation's report: tables, claims, plots, samples and one page, written into a folder and published from there."""

import json
import math
from dataclasses import asdict
from pathlib import Path

from genexp.ablations.report.claims_file import CLAIMS, read_claims
from genexp.ablations.report.files import safe_name
from genexp.ablations.report.latex_csv import as_csv, as_latex
from genexp.ablations.report.markdown import as_markdown
from genexp.ablations.report.page import page_text
from genexp.ablations.report.plots import write_plots
from genexp.ablations.report.sample_grids import gallery_columns, smaller, write_pictures
from genexp.ablations.report.study import Study
from genexp.ablations.report.values import check_study, label_text, missing_values, variants
from genexp.ablations.report.verdicts import LEVEL, UNDECIDED, Verdict, judge_all
from genexp.ablations.report.wording import counts_of, counts_text, number, p_text
from genexp.figures.plot_style import VECTORS
from genexp.files.trees import Tree
from genexp.files.writing import write_atomically
from genexp.runs.markup import markdown_code, markdown_text

TABLE, VALUES, PAGE = "table.md", "table.csv", "index.html"
DEFAULT_SCALE = "cpu"
"""The scale of a table that is published under its ablation's own name; those of other scales stand below it."""
PUBLISHED = 400_000
"""Bytes that one published ablation may take."""


def write_report(study: Study, folder: Path) -> list[Path]:
    """Write the whole report: table.md, table.tex, table.csv, claims.json, plots/, samples/ and index.html.

    Args:
        study: What was measured; values may be missing, which the report then says.
        folder: Where the files go.

    Raises:
        ValueError: the study has no values at all, or one that belongs to no variant.
        MixedProtocols: a column or a claim would mix values that were measured in different ways.
    """
    check_study(study)
    verdicts = judge_all(study)
    texts = {
        TABLE: as_markdown(study, verdicts),
        "table.tex": as_latex(study),
        VALUES: as_csv(study),
        CLAIMS: json.dumps(claims_record(study, verdicts), indent=2) + "\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    plots = write_plots(study, folder / "plots")
    pictures = write_pictures(study, folder / "samples")
    lines = [path.with_suffix(ending) for path in plots.values() for ending in VECTORS]
    _remove_others(folder / "plots", {*plots.values(), *lines})
    _remove_others(folder / "samples", set(pictures.values()))
    texts[PAGE] = page_text(study, verdicts, plots, pictures)
    for name, text in texts.items():
        write_atomically(folder / name, text)
    return [*(folder / name for name in texts), *plots.values(), *lines, *pictures.values()]


def _remove_others(folder: Path, kept: set[Path]) -> None:
    """Take away pictures of an earlier report that this one does not have."""
    for path in folder.glob("*"):
        if path.suffix in (".png", *VECTORS) and path not in kept:
            path.unlink()


def claims_record(study: Study, verdicts: list[Verdict]) -> Tree:
    """What claims.json holds: the study in short, and every claim with its verdict and numbers."""
    return {
        "name": study.name,
        "title": study.title,
        "question": study.question,
        "paper": None if study.paper is None else asdict(study.paper),
        "scale": study.scale,
        "seeds": study.seeds,
        "counts": counts_of([each.verdict for each in verdicts]),
        "claims": [_claim_record(each) for each in verdicts],
        "missing": [*study.notes, *missing_values(study)],
        "commit": study.origin.get("commit"),
        "date": study.origin.get("date"),
        "command": study.origin.get("command"),
    }


def _claim_record(verdict: Verdict) -> Tree:
    record = {key: value for key, value in asdict(verdict).items() if key != "claim"}
    claim = verdict.claim
    said = {"claim": claim.text, "source": claim.source, "note": claim.note, "ours": claim.ours}
    return said | {key: _plain(value) for key, value in record.items()}


def _plain(value: object) -> object:
    """JSON knows no infinities: they, and what is no number, become text."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def publish(folder: Path, target: Path, study: Study) -> list[Path]:
    """Copy what a reader on a code host needs into `<target>/<name>/`: tables, claims.json, plots and sample grids.

    A table of another scale than `DEFAULT_SCALE` goes beside that one, into `<target>/<name>/<scale>/`. table.md there
    ends with the plots and samples; table.csv has every value of every seed, from which plots can be drawn anew. Sample
    grids lose tiles until all files together stay within `PUBLISHED` bytes.

    Args:
        folder: Where `write_report` wrote.
        target: Folder of all published ablations.
        study: The study of that report.

    Raises:
        FileNotFoundError: the report is not there.
    """
    home = target / safe_name(study.name)
    home = home if study.scale == DEFAULT_SCALE else home / safe_name(study.scale)
    files = {name: (folder / name).read_bytes() for name in (TABLE, VALUES, CLAIMS)}
    files |= {f"plots/{path.name}": path.read_bytes() for path in sorted((folder / "plots").glob("*.png"))}
    names = [f"samples/{safe_name(label_text(labels))}.png" for labels in variants(study, with_search=True)]
    grids = [name for name in names if (folder / name).is_file()]
    files[TABLE] += _gallery([*files, *grids], study).encode()
    room = PUBLISHED - sum(map(len, files.values()))
    files |= dict(zip(grids, smaller([(folder / name).read_bytes() for name in grids], room), strict=True))
    for name, content in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(home / name, content)
    for kind in ("plots", "samples"):
        _remove_others(home / kind, {home / name for name in files})
    return [home / name for name in files]


def _gallery(names: list[str], study: Study) -> str:
    """Markdown that shows plots, then samples in the order of the variants as a table of pictures."""
    plots = [f"![{Path(name).stem}]({name})\n" for name in names if name.startswith("plots/")]
    files = {labels: f"samples/{safe_name(label_text(labels))}.png" for labels in study.pictures}
    shown = [labels for labels in variants(study, with_search=True) if files.get(labels) in names]
    lines = ["", "## Plots", "", *plots] if plots else []
    if shown:
        columns = gallery_columns(study, shown)
        lines += ["## Samples", "", "|" + " |" * columns, "|" + " :-: |" * columns]
        for start in range(0, len(shown), columns):
            row = shown[start : start + columns]
            cells = [f"{markdown_text(label_text(labels, ', '))} ![samples]({files[labels]})" for labels in row]
            lines.append("| " + " | ".join([*cells, *[""] * (columns - len(row))]) + " |")
        lines += ["", "One run of every variant: the first seed that has a picture.", ""]
    return "\n".join(lines)


def write_index(target: Path) -> Path:
    """Write `<target>/README.md` from the claims.json of every published ablation below it."""
    found = sorted(path.relative_to(target).parent for path in target.rglob(CLAIMS))
    records = [(place.as_posix(), read_claims(target / place / CLAIMS)) for place in found]
    lines = ["# Ablations", "", f"Written by `genexp reproduce`; a row for every `{CLAIMS}` here.", ""]
    lines += [
        "| ablation | paper | scale | seeds | hold | fail | undecided |",
        "| :-- | :-- | :-- | --: | --: | --: | --: |",
    ]
    lines += [_index_row(name, record) for name, record in records]
    lines += ["", _total([claim for _, record in records for claim in record["claims"]]), "", "## Claims"]
    for name, record in records:
        lines += [
            "",
            f"### [{markdown_text(record['title'])}]({name}/{TABLE}){_at_scale(record)}",
            "",
            *map(_index_claim, record["claims"]),
        ]
    path = target / "README.md"
    target.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "\n".join(lines) + "\n")
    return path


def _total(claims: list[Tree]) -> str:
    """All claims of all ablations: those of papers, our own, and what Holm's correction would leave open."""
    parts = []
    for ours, whose in ((False, "statements from the literature"), (True, "statements of our own")):
        verdicts = [each["verdict"] for each in claims if each.get("ours", False) is ours]
        parts += [f"{len(verdicts)} {whose}: {counts_text(counts_of(verdicts))}."] if verdicts else []
    decided = [each for each in claims if each["verdict"] != UNDECIDED]
    weak = sum(each["holm"] is None or each["holm"] >= LEVEL for each in decided)
    parts.append(
        f"Every claim is tested by itself; with Holm's correction for the claims of its ablation {weak} of the "
        f"{len(decided)} decided ones would stay undecided. Fails means that the runs here, at this scale, show the "
        "opposite; the notes below each table say what differs from the paper."
    )
    return "\n".join(parts)


def _index_row(name: str, record: Tree) -> str:
    paper = record["paper"]
    said = "our own question" if paper is None else f"{paper['authors']} ({paper['year']}), {paper['table']}"
    counts = " | ".join(str(count) for count in record["counts"].values())
    link = f"[{markdown_text(record['title'])}]({name}/{TABLE})"
    return f"| {link} | {markdown_text(said)} | {markdown_text(record['scale'])} | {len(record['seeds'])} | {counts} |"


def _at_scale(record: Tree) -> str:
    return "" if record["scale"] == DEFAULT_SCALE else f", scale {markdown_text(record['scale'])}"


def _index_claim(claim: Tree) -> str:
    text = f"- {markdown_code(claim['claim'])}{' (our own)' if claim.get('ours') else ''} **{claim['verdict']}**"
    if isinstance(claim["left"], float | int):
        text += f": {number(claim['left'])} against {number(claim['right'])}"
    elif claim["reason"]:
        text += f": {markdown_text(claim['reason'])}"
    return text + (f", {p_text(claim['p'], claim['holm'])}" if claim["p"] is not None else "")
