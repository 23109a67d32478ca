"""How long an ablation will take: what its finished parts took, and short trials of those that have not begun."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from genexp.ablations.measurement_sweep import MeasurementFolder
from genexp.ablations.plan import Plan, PlannedDrawing, Training
from genexp.ablations.running import Workers
from genexp.config.compose import compose
from genexp.config.keys import deciding
from genexp.files.json_records import is_there, read_json
from genexp.files.writing import write_atomically
from genexp.pool.queue import Task
from genexp.pool.record import Job, SweepFolder
from genexp.pool.slots import Need
from genexp.runs.record_types import Measured
from genexp.terminal import shown_path

TIMES = "calibration.json"
"""File in an ablation's folder with the times of its trials."""
_TRIALS, _BATCHES = 3, 24


@dataclass(frozen=True)
class CostEstimate:
    """Expected work that is left.

    Args:
        trainings: Models to train.
        training_seconds: What they take together, one after the other.
        drawings: Sets to measure.
        drawing_seconds: What they take together, one after the other; None while no model can be tried.
    """

    trainings: int
    training_seconds: float
    drawings: int
    drawing_seconds: float | None

    def wall(self, places: int) -> float:
        """Seconds on so many places that work side by side, of what is known."""
        found = 0.0
        for count, seconds in ((self.trainings, self.training_seconds), (self.drawings, self.drawing_seconds)):
            found += seconds / max(1, min(places, count)) if count and seconds is not None else 0.0
        return found


def estimate(plan: Plan, workers: Workers, jobs: Mapping[Training, Job]) -> CostEstimate:
    """Estimate the work that is left.

    At most three configurations that no run has finished are tried for a few batches, and one of these models is
    measured once; trials are kept, so asking again costs nothing. Configurations without a trial or a finished run are
    taken to cost the mean of the others an image; so are those that need a model that is not trained yet.

    Args:
        plan: What is to be done.
        workers: Where it is done.
        jobs: The job of every training.
    """
    runs = workers.finished(jobs)
    known = {each.typical: jobs[each].seconds for each in runs if jobs[each].seconds}
    tryable = [each for each in jobs if each not in runs and each.needs_only(runs)]
    unknown = list({each.typical: each for each in reversed(tryable) if each.typical not in known}.values())[::-1]
    tried = unknown[:: -(-len(unknown) // _TRIALS)] if unknown else []
    trials = _Trials(workers, runs)
    try:
        return _estimated(plan, workers, jobs, trials, known, tried)
    finally:
        trials.close()


def _estimated(
    plan: Plan,
    workers: Workers,
    jobs: Mapping[Training, Job],
    trials: "_Trials",
    known: dict[tuple[str, ...], float],
    tried: list[Training],
) -> CostEstimate:
    left = [each for each in jobs if each not in trials.runs]
    seconds = known | {each.typical: trials.training_seconds(each) for each in tried}
    typical = {each.typical: each for each in jobs if each.typical in seconds} | {each.typical: each for each in left}
    lengths = {key: compose("train", each.composable({})).training.max_images for key, each in typical.items()}
    per_image = fmean(seconds[each] / lengths[each] for each in seconds) if seconds else 0.0
    training = sum(seconds.get(each.typical, per_image * lengths[each.typical]) for each in left)
    drawings = [] if plan.ablation.evaluate is None else _unmeasured(plan, workers, jobs)
    each_drawing: float | None = 0.0
    if drawings:
        measured = [job.seconds for job in workers.measurements.jobs if job.state == "finished" and job.seconds]
        each_drawing = fmean(measured) if measured else trials.drawing_seconds(plan, jobs, drawings)
    drawing = None if each_drawing is None else each_drawing * len(drawings)
    return CostEstimate(len(left), training, len(drawings), drawing)


def _unmeasured(plan: Plan, workers: Workers, jobs: Mapping[Training, Job]) -> list[PlannedDrawing]:
    """Drawings without values; the record is asked without claiming its jobs."""
    valued = [job for job in workers.measurements.jobs if workers.measurements.finished(job)]
    measured = plan.measured(valued, {each: workers.run_of(job).path.resolve() for each, job in jobs.items()})
    return [each for each in plan.drawings if each not in measured]


class _Trials:
    """Short runs whose time says how long the real ones take; their times are kept, the runs are not."""

    def __init__(self, workers: Workers, runs: Mapping[Training, Path]) -> None:
        self.workers, self.runs = workers, runs
        self.folder, self.record = workers.folder / "calibration", workers.folder / TIMES
        self.seconds: dict[str, float] = read_json(self.record, dict[str, Measured]) if is_there(self.record) else {}
        self._sweep: SweepFolder | None = None
        self._failed = False

    def training_seconds(self, training: Training) -> float:
        """Seconds of a training: the trial's fixed cost, and the rest at its speed."""
        key = " ".join(deciding(training.typical))
        if key not in self.seconds:
            job = self._trained(training)
            metrics = self._sweep.run_folder(job).metrics
            speed = metrics.get("images_per_second") or metrics["images_seen"] / job.seconds
            fixed = max(0.0, job.seconds - metrics["images_seen"] / speed)
            self._keep(key, fixed + compose("train", training.composable({})).training.max_images / speed)
        return self.seconds[key]

    def drawing_seconds(self, plan: Plan, jobs: Mapping[Training, Job], drawings: list[PlannedDrawing]) -> float | None:
        """Seconds of one measurement, from a finished run or, without one, from the model of a trial.

        Guided rows are taken to last as long as others; where all are guided, as what their run itself draws with.
        None where every model needs another that is not trained yet.
        """
        alone = [each for each in drawings if not each.guides] or [each.without_guides for each in drawings]
        trained = [each for each in alone if each.training in self.runs]
        startable = [each for each in alone if each.training.needs_only(self.runs)]
        if not (trained or startable):
            return None
        drawing = (trained or startable)[0]
        key = " ".join(drawing.overrides(plan.ablation, {drawing.training: Path("run")}))
        if key not in self.seconds:
            if trained:
                run = self.workers.runs.path / jobs[drawing.training].folder
            else:
                job = self._trained(drawing.training)
                run = self._sweep.path / job.folder
            sweep = MeasurementFolder(self.folder / "measurements", resume=None)
            overrides = drawing.overrides(plan.ablation, {drawing.training: run.resolve()})
            self._keep(key, self._done(sweep, overrides, "measurement").seconds)
            sweep.release()
        return self.seconds[key]

    def close(self) -> None:
        """Remove the trials, unless one has failed: its log is there to be read."""
        if self._sweep is not None:
            self._sweep.release()
        if self._failed:
            return
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, key: str, seconds: float) -> None:
        self.seconds[key] = round(seconds, 2)
        write_atomically(self.record, json.dumps(self.seconds, indent=1) + "\n")

    def _trained(self, training: Training) -> Job:
        if self._sweep is None:
            self._sweep = SweepFolder(self.folder, resume=None)
        typical = training.composable(self.runs)
        config = compose("train", typical)
        images = min(config.training.max_images, _BATCHES * config.data.get("batch_size", 1))
        kept = [each for each in deciding(typical) if not each.startswith("training.max_images=")]
        return self._done(self._sweep, [*kept, f"training.max_images={images}", "logger=none"], "training")

    def _done(self, sweep: SweepFolder, overrides: list[str], title: str) -> Job:
        """The finished trial, run now unless it was already."""
        known = [job for job in sweep.jobs if sorted(job.overrides) == sorted(overrides)]
        job = known[0] if known else sweep.job_for(overrides)
        if not sweep.finished(job):
            self.workers.carry_out(sweep, [Task(job, f"trial {title}", Need("cpu", 1))])
        if not sweep.finished(job):
            self._failed = True
            log = shown_path(sweep.log(job))
            raise ValueError(
                f"a trial {title} must succeed before an ablation starts, and {log} says why it did not; "
                "calibrate=false starts without trials"
            )
        return job
