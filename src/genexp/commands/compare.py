"""genexp compare: what differs between runs and what came of it, as a table, files and a page. Imports no torch."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from genexp.config.compose import several

if TYPE_CHECKING:
    from genexp.reports.table import Comparison
    from genexp.runs.stored import StoredRun


def compare(config: DictConfig) -> None:
    """Compare the runs that `config` names; print the table and write the files.

    Raises:
        ValueError: an option is out of range or names what no run has, or `protocols=refuse` and values of different
            protocols would share a column.
        FileNotFoundError: there are no such folders, or no runs in them.
    """
    from genexp.config.validation import require_options
    from genexp.reports.comparison import compare_runs
    from genexp.reports.exports import write_tables
    from genexp.reports.selection import without_debug_and_failed
    from genexp.runs.find import find_run_folders
    from genexp.runs.stored import read_runs

    begun = time.monotonic()
    require_options(config, "compare")
    patterns = patterns_of(config)
    folders = find_run_folders(patterns)
    runs, damaged = read_runs(folders)
    if not runs:
        reasons = "; ".join(f"{each.path}: {each.reason}" for each in damaged[:4])
        found = f"{len(damaged)} that cannot be read: {reasons}" if damaged else ", ".join(patterns)
        raise FileNotFoundError(f"runs must lead to at least one run, got {found}")
    runs = _labelled(runs, config.group, several(config.tags))
    named = [Path(each).expanduser().resolve() for each in patterns]
    runs, left_out = without_debug_and_failed(runs, several(config.include), named)
    comparison = compare_runs(
        runs,
        damaged,
        metrics=None if config["values"] is None else several(config["values"]),
        by=several(config.by),
        sort=config.sort,
        settings=None if config.settings is None else several(config.settings),
        source=config.source,
        split=config.protocols == "split",
    )
    comparison.notes[:0] = [left_out] if left_out else []
    out = Path(config.out)
    paths = write_tables(comparison, out)
    if config.page:
        from genexp.reports.comparison_page import write_page

        paths.append(write_page(comparison, out / "compare.html", round(config.pictures * 1_000_000)))
    _report(comparison, paths, time.monotonic() - begun)
    if config.wandb:
        _show_in_wandb(comparison, config)


def patterns_of(config: DictConfig) -> list[str]:
    """What leads to the runs that are compared.

    Raises:
        FileNotFoundError: there are no results of the ablation.
    """
    return several(config.runs) if config.ablations is None else [_runs_of_ablation(config)]


def _labelled(runs: "list[StoredRun]", group: str | None, tags: list[str]) -> "list[StoredRun]":
    """The runs that carry a group and all of the tags.

    Raises:
        ValueError: none carries one of them.
    """
    for key, wanted in (("group", [] if group is None else [group]), ("tags", tags)):
        for each in wanted:
            left = [run for run in runs if each in _labels(run.record.get(key))]
            if not left:
                known = dict.fromkeys(label for run in runs for label in _labels(run.record.get(key)))
                raise ValueError(f"{key} must name some of these runs ({', '.join(known) or 'none'}), got {each}")
            runs = left
    return runs


def _labels(recorded: object) -> list[str]:
    return [str(each) for each in (recorded if isinstance(recorded, list) else [recorded]) if each is not None]


def _runs_of_ablation(config: DictConfig) -> str:
    """The folders of the runs of an ablation, at one scale as in `ddim_table1/cpu` or at all.

    Raises:
        FileNotFoundError: there are no results of such an ablation.
    """
    name, _, scale = str(config.ablations).partition("/")
    home = Path(config.paths.outputs).expanduser() / "ablations"
    if not any((home / name).glob(f"{scale or '*'}/runs")):
        known = ", ".join(sorted(f"{each.parts[-3]}/{each.parts[-2]}" for each in home.glob("*/*/runs"))) or "none"
        raise FileNotFoundError(f"ablation must be one with runs in {home} ({known}), got {config.ablations}")
    return f"{home}/{name}/{scale or '*'}/runs/**"


def _show_in_wandb(comparison: "Comparison", config: DictConfig) -> None:
    from genexp.terminal import print_table
    from genexp.tracking.wandb_panels import Place
    from genexp.tracking.wandb_workspace import show_in_wandb

    place = None if config.project is None else Place(config.project, config.entity)
    print_table(show_in_wandb(comparison, Path(config.out), config.title, config.question, place))


_ROWS, _SETTINGS = 60, 6
"""Rows that the terminal shows, and settings that have a column there beside those in the names of the rows."""


def _report(comparison: "Comparison", paths: list[Path], seconds: float) -> None:
    from genexp.reports.formatting import ON_SCREEN, text_table
    from genexp.terminal import counted, print_columns, print_table, shown_path

    headers, rows, left = text_table(comparison, most=_SETTINGS, longest=ON_SCREEN)
    if comparison.runs:
        print_columns(headers, rows[:_ROWS])
    if len(rows) > _ROWS:
        print(f"and {len(rows) - _ROWS} more rows in the files")
    if left:
        some = ", ".join(left[:6]) + (", ..." if len(left) > 6 else "")
        print(f"{counted(len(left), 'more setting')} that differ are in the files: {some} (settings=[...] chooses)")
    for each in comparison.settings:
        if each.followers:
            some = ", ".join(each.followers[:3]) + (", ..." if len(each.followers) > 3 else "")
            print(f"{len(each.followers)} more settings change with {each.key}: {some}")
    for note in comparison.notes:
        print(f"note: {note}")
    if not comparison.columns:
        print("note: these runs have no measured values; metrics='val/*' shows what they logged")
    for each in comparison.damaged:
        print(f"damaged: {shown_path(each.path)}: {each.reason}")
    states = [run.state for run in comparison.runs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    damaged = f", {len(comparison.damaged)} damaged" if comparison.damaged else ""
    found = counted(len(comparison.rows), "row")
    print_table(
        [
            ("runs", f"{len(states)} in {found} ({counts}{damaged}), compared in {seconds:.1f} s"),
            ("best", "marked by *, among finished runs; ± is the standard deviation over seeds"),
            *((path.suffix[1:], shown_path(path.resolve())) for path in paths),
        ]
    )
    sys.stdout.flush()
