"""genexp reproduce: a paper's ablation from its file to a table with error bars and tested claims. Imports no torch."""

import dataclasses
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, ListConfig, OmegaConf

from genexp.config.messages import JobFailed, SweepInterrupted
from genexp.files.json_records import is_there, read_text, reason_of
from genexp.files.writing import lacking, remove_empty, write_atomically

if TYPE_CHECKING:
    from genexp.ablations.plan import Plan, Training
    from genexp.ablations.report.study import Study
    from genexp.ablations.running import Workers
    from genexp.ablations.spec import Ablation
    from genexp.pool.record import Job

_SOURCE = ".source"
"""File in an ablation's folder that says which file its results are of."""


def reproduce(config: DictConfig) -> None:
    """Run what is missing of the ablations that `config` names, and write their reports.

    Raises:
        FileNotFoundError: there is no such ablation.
        ValueError: an ablation's file, an option or an override is wrong.
        JobFailed: some jobs failed; the reports say what is missing.
    """
    from genexp.ablations.finding import named
    from genexp.config.validation import require_options

    if OmegaConf.is_missing(config, "ablations"):
        raise ValueError("ablation must be given: a name in conf/ablation, glob(<pattern>) or a YAML file, got none")
    require_options(config, "reproduce")
    found = ablations_of(config)
    if config.status:
        _print_status(config, [ablation for _, ablation in found])
        return
    failed = []
    for path, ablation in found:
        source = named(path.resolve())
        _require_own(folder := _folder(config, ablation), source)
        new = lacking(folder)
        failed += _reproduced(config, ablation, source)
        if config.plan:
            _forget(folder, new)
    if failed:
        raise JobFailed(
            f"{len(failed)} parts are missing: {'; '.join(failed[:8])}{'; ...' if len(failed) > 8 else ''}. Each job "
            "has its job.log in its folder; the same command runs what is missing, and nothing else"
        )


def ablations_of(config: DictConfig) -> "list[tuple[Path, Ablation]]":
    """The ablations that are named, each behind its file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: a file is wrong.
    """
    from genexp.ablations.finding import ablation_files
    from genexp.ablations.spec import read_ablation, scales_of

    typed, scale = str(config.ablations), str(config.scale)
    files = ablation_files(typed)
    if typed.startswith("glob("):  # a pattern stands for those of its files that have the scale
        scales = {path: scales_of(path) for path in files}
        files = [path for path in files if scale in scales[path]]
        if not files:
            known = ", ".join(dict.fromkeys(name for names in scales.values() for name in names))
            raise ValueError(f"scale must be one that an ablation of {typed} has ({known}), got {scale}")
    return [(path, _with_seeds(read_ablation(path, scale), config.seeds)) for path in files]


def _with_seeds(ablation: "Ablation", seeds: object) -> "Ablation":
    """The ablation with other seeds than its file's, if there are any."""
    from genexp.ablations.checks import seeds_of

    if seeds is None:
        return ablation
    given = seeds_of(list(seeds) if isinstance(seeds, ListConfig) else seeds)
    asked = f"{ablation.asked} seeds=[{','.join(map(str, given))}]"
    return dataclasses.replace(ablation, seeds=given, asked=asked)


def _require_own(folder: Path, source: str) -> None:
    """Refuse a folder that holds the results of another ablation of the same name.

    Raises:
        ValueError: it does.
    """
    record = folder / _SOURCE
    known = source
    if is_there(record):
        try:
            known = read_text(record, 4096).strip()
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{record} must say which file the results beside it are of: {reason_of(error)}"
            ) from error
    if known != source:
        raise ValueError(f"out must be another folder than {folder}, which holds the results of {known}, got {source}")


def _forget(folder: Path, new: list[Path]) -> None:
    """Leave nothing of a plan in a folder that it has made, unless that keeps the times of trials."""
    from genexp.ablations.calibration import TIMES

    if folder in new and not is_there(folder / TIMES):
        shutil.rmtree(folder)
        remove_empty(new)


def _folder(config: DictConfig, ablation: "Ablation") -> Path:
    return Path(config.out).expanduser().resolve() / ablation.name / ablation.scale


def _reproduced(config: DictConfig, ablation: "Ablation", source: str) -> list[str]:
    """Plan, run and report one ablation; returns what is missing."""
    from genexp.ablations.collecting import collect, missing
    from genexp.ablations.plan import make_plan
    from genexp.ablations.running import Workers, require_composable
    from genexp.pool.machine import Machine
    from genexp.terminal import shown_path

    plan = make_plan(ablation, [str(each) for each in config.train])
    folder = _folder(config, ablation)
    places = {f"GENEXP_{name.upper()}": str(Path(config.paths[name]).expanduser()) for name in ("data", "cache")}
    machine = Machine(config.slots, config.threads, config.timeout, config.grace, variables=places)
    workers = Workers(folder, machine)
    try:
        jobs = workers.jobs_of(plan)
        trained = workers.finished(jobs)
        require_composable(plan, [each for each in jobs if each not in trained], trained)
        write_atomically(folder / _SOURCE, f"{source}\n")  # not before its configurations were found to be sound
        _print_plan(config, plan, workers, jobs)
        if config.plan:
            return []
        workers.train(jobs)
        measured = {} if ablation.evaluate is None else workers.measure(plan, jobs)
        study = collect(plan, workers, jobs, measured)
        undone = missing(plan, workers, jobs, measured)
    except SweepInterrupted:
        print(f"the same command goes on from here: {shown_path(folder)}", file=sys.stderr)
        raise
    finally:
        workers.close()
    _report(config, study, folder)
    return undone


def _print_plan(config: DictConfig, plan: "Plan", workers: "Workers", jobs: "dict[Training, Job]") -> None:
    from genexp.ablations.calibration import estimate
    from genexp.terminal import duration, shown_path

    ablation = plan.ablation
    done = sum(workers.runs.finished(job) for job in jobs.values())
    lines = [
        ("ablation", f"{ablation.name}: {ablation.title}"),
        ("scale", f"{ablation.scale}, {len(plan.variants)} variants, seeds {', '.join(map(str, ablation.seeds))}"),
        ("trainings", f"{len(jobs)}, {done} done"),
        *(("order", text) for text in _order(plan)),
        ("folder", shown_path(workers.folder)),
    ]
    for name, text in lines:
        print(f"{name:<10}{text}", file=sys.stderr, flush=True)
    if config.calibrate:
        left = estimate(plan, workers, jobs)
        places = workers.machine.places
        trainings = f"{left.trainings} trainings ({duration(left.training_seconds)})"
        known = left.drawing_seconds is not None
        took = duration(left.drawing_seconds) if known else "time not known before their models are trained"
        drawings = f"{left.drawings} measurements ({took})"
        wall = duration(left.wall(places))
        wall += f" on {places} places" + ("" if known else " without these")
        print(f"left      {trainings} and {drawings}: about {wall}", file=sys.stderr, flush=True)


def _order(plan: "Plan") -> list[str]:
    """Which trainings wait for which, a line for each step; nothing where none does."""
    waves = plan.waves()
    lines = []
    for number, wave in enumerate(waves, 1):
        first = {each.typical: each for each in reversed(wave)}
        told = []
        for each in reversed(first.values()):
            title = each.title.removesuffix(f"seed={each.seed}").strip() or "the model"
            told.append(" ".join([title, *(f"(needs {name})" for name, _ in each.guides)]))
        lines.append(f"{number}. {', '.join(told)}")
    return lines if len(waves) > 1 else []


def _report(config: DictConfig, study: "Study", folder: Path) -> None:
    from genexp.ablations.report.verdicts import judge
    from genexp.ablations.report.write import publish, write_index, write_report
    from genexp.terminal import print_columns, print_table, shown_path

    if not study.values:
        return
    paths = write_report(study, folder)
    print((folder / "table.md").read_text())
    if study.claims:
        verdicts = [judge(claim, study) for claim in study.claims]
        print_columns(("claim", "verdict"), [(each.claim.text, each.verdict) for each in verdicts])
    if config.publish:
        target = Path(config.publish)
        publish(folder, target, study)
        write_index(target)
    print_table([(path.name, shown_path(path)) for path in paths if path.suffix in (".md", ".html", ".csv", ".json")])
    sys.stdout.flush()


def _print_status(config: DictConfig, ablations: "list[tuple[Path, Ablation]]") -> None:
    from genexp.ablations.plan import make_plan
    from genexp.ablations.status import status_of
    from genexp.terminal import print_columns

    rows = []
    for ablation in ablations:
        plan = make_plan(ablation, [str(each) for each in config.train])
        rows.append(status_of(plan, _folder(config, ablation)).cells())
    print_columns(("ablation", "scale", "trainings", "measurements", "time", "claims"), rows)
