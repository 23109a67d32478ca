"""Everything that an ablation has measured so far, read back from its folder for the reports. Imports no torch."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from genexp.ablations.measurement_sweep import read_values
from genexp.ablations.plan import Plan, PlannedDrawing, Training
from genexp.ablations.report.study import Labels, Study, StudyValue
from genexp.ablations.running import Workers
from genexp.ablations.spec import Ablation
from genexp.files.trees import Tree
from genexp.pool.record import Job
from genexp.runs.directions import direction, metric_name
from genexp.runs.evaluations import EVALUATE, read_evaluations
from genexp.runs.measurements import Measurement, own_measurements
from genexp.runs.provenance import git_state, versions
from genexp.runs.run_folder import DamagedRun, RunFolder


def collect(
    plan: Plan, workers: Workers, trained: Mapping[Training, Job], measured: Mapping[PlannedDrawing, Job]
) -> Study:
    """The study as far as it has come.

    Args:
        plan: What was to be done.
        workers: The folders.
        trained: The job of every training.
        measured: The job of every drawing that has one.
    """
    ablation = plan.ablation
    values, pictures = _gathered(plan, workers, trained, measured)
    diverged = [each for each in plan.drawings if workers.diverged(trained[each.training])]
    values += [value for each in diverged for value in _diverged_values(each, values, ablation)]
    notes = [*missing(plan, workers, trained, measured), *(f"{each.title}: training diverged" for each in diverged)]
    known = {metric_name(each.key) for each in values}
    notes += [f"{name}: no run has this value" for name in ablation.metrics if values and name not in known]
    return Study(
        name=ablation.name,
        title=ablation.title,
        question=ablation.question,
        paper=ablation.paper,
        scale=ablation.scale,
        axes={axis: list(names) for axis, names in ablation.axes.items()},
        search=ablation.search,
        seeds=ablation.seeds,
        metrics=ablation.metrics,
        reported=ablation.reported,
        claims=ablation.claims,
        values=values,
        pictures=pictures,
        notes=notes,
        origin=_origin(plan, workers, trained, measured),
        remarks=ablation.remarks,
        words=ablation.words,
    )


def _gathered(
    plan: Plan, workers: Workers, trained: Mapping[Training, Job], measured: Mapping[PlannedDrawing, Job]
) -> tuple[list[StudyValue], dict[Labels, list[Path]]]:
    """Values of the runs that have finished and of what was drawn from them, and their pictures by variant."""
    values: list[StudyValue] = []
    pictures: dict[Labels, list[Path]] = {}
    for drawing in plan.drawings:
        job = trained[drawing.training]
        if not workers.runs.finished(job):
            continue
        values += _own_values(drawing, workers, job, plan.ablation)
        file = workers.measurements.values_of(measured[drawing]) if drawing in measured else None
        if file is not None:
            values += _measured_values(drawing, file)
        found = _newest_picture(workers.run_of(job).samples) if file is None else file.with_name("samples.png")
        if found is not None and found.is_file():
            pictures.setdefault(drawing.variant.labels, []).append(found)
    return values, pictures


def missing(
    plan: Plan, workers: Workers, trained: Mapping[Training, Job], measured: Mapping[PlannedDrawing, Job]
) -> list[str]:
    """What was to be done and is not, in words; a training that diverged is a result."""
    found = []
    for drawing in plan.drawings:
        job = trained[drawing.training]
        if not workers.runs.finished(job):
            waited = [name for name, each in drawing.training.guides if not workers.runs.finished(trained[each])]
            why = f"it needs {waited[0]}, which is not" if waited else job.state
            found += [] if workers.diverged(job) else [f"{drawing.title}: not trained ({why})"]
        elif undone := [each for each in drawing.trainings[1:] if not workers.runs.finished(trained[each])]:
            found.append(f"{drawing.title}: guide not trained ({trained[undone[0]].state})")
        elif drawing in measured and workers.measurements.values_of(measured[drawing]) is None:
            found.append(f"{drawing.title}: not measured ({measured[drawing].state})")
    return found


def _diverged_values(drawing: PlannedDrawing, values: list[StudyValue], ablation: Ablation) -> list[StudyValue]:
    """Values that are no numbers, under the keys and protocols of the trainings that did not diverge."""
    alike = {each.key: each for each in values if metric_name(each.key) in ablation.metrics}
    return [
        replace(each, labels=drawing.variant.labels, seed=drawing.training.seed, value=math.nan, error=None)
        for each in alike.values()
    ]


def _own_values(drawing: PlannedDrawing, workers: Workers, job: Job, ablation: Ablation) -> list[StudyValue]:
    """Closing values of the run itself that have a column; only held-out terms where images are drawn later."""
    try:
        folder = workers.run_of(job)
        found = own_measurements(folder.metrics, read_evaluations(folder))
    except DamagedRun:
        return []
    drawn_later = ablation.evaluate is not None
    return [
        _value(drawing, each)
        for each in found
        if metric_name(each.key) in ablation.metrics and not (drawn_later and each.key.split("/", 1)[0] not in _TERMS)
    ]


_TERMS = ("val", "test")


def _measured_values(drawing: PlannedDrawing, file: Path) -> list[StudyValue]:
    """The values of one measurement, and how long an image took to draw if any was drawn anew."""
    content = read_values(file)
    records = dict(content["values"])
    if speed := content.get("sampling"):
        protocol = {key: each for key, each in speed.items() if key not in ("sampling_seconds", "images")}
        records["sampling_seconds"] = {"value": speed["sampling_seconds"], "protocol": protocol}
    return [_value(drawing, Measurement.of_record(key, each, EVALUATE)) for key, each in records.items()]


def _value(drawing: PlannedDrawing, found: Measurement) -> StudyValue:
    known = vars(found) | {"better": direction(found.key, found.better, {})}
    return StudyValue(labels=drawing.variant.labels, seed=drawing.training.seed, **known)


def _newest_picture(folder: Path) -> Path | None:
    return max(folder.glob("*.png"), key=lambda path: path.name, default=None)


def _origin(
    plan: Plan, workers: Workers, trained: Mapping[Training, Job], measured: Mapping[PlannedDrawing, Job]
) -> Tree:
    finished = [job for job in trained.values() if workers.runs.finished(job)]
    records = [workers.run_of(job).record for job in finished]
    commits = sorted({str((each.get("git") or {}).get("commit")) for each in records} - {"None"})
    changed = any((each.get("git") or {}).get("changed_files") for each in records)
    state = git_state()
    images = sorted({int(workers.run_of(job).metrics["images_seen"]) for job in finished})
    return {
        "command": plan.command,
        "commit": ", ".join(commits) or (state or {}).get("commit"),
        "dirty": changed,
        "hardware": "; ".join(dict.fromkeys(_machine(each["hardware"]) for each in records)),
        "threads": sorted({workers.run_of(job).config["threads"] for job in finished}),
        "versions": versions(),
        "training_seconds": round(sum(job.seconds for job in trained.values()), 1),
        "measuring_seconds": round(sum(job.seconds for job in measured.values()), 1),
        "trainings": len(trained),
        "measurements": len(measured),
        "date": max((str(each.get("finished") or "") for each in records), default="")[:10],
        "images": images,
        "data": "; ".join(dict.fromkeys(_data(workers.run_of(job)) for job in finished)),
    }


def _data(run: RunFolder) -> str:
    """The data of a run and the shape of an example, as in `mnist, 1 x 28 x 28`."""
    named = (run.record.get("choices") or {}).get("data") or "data of its own"
    return f"{named}, {' x '.join(map(str, run.config['data']['shape']))}"


def _machine(hardware: Mapping[str, Any]) -> str:
    """The machine of a run record: its GPUs, processor, cores and system."""
    cpu, gpus = hardware["cpu"], Counter(each["name"] for each in hardware["gpus"])
    named = [f"{count} {name}" for name, count in gpus.items()]
    cores = f"{cpu['cores']} core{'s' if cpu['cores'] != 1 else ''}"
    return ", ".join([*named, cpu["name"], cores, hardware["system"].split("-")[0]])
