"""Carries out a plan: trainings, then measurements, each in a process of its own, and only what is missing."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from genexp.ablations.measurement_sweep import MeasurementFolder
from genexp.ablations.plan import Plan, PlannedDrawing, Training
from genexp.ablations.variants import Variant, with_every_value
from genexp.config.compose import compose
from genexp.config.keys import of_the_own
from genexp.config.weights_choice import WORDS, is_choice
from genexp.pool.machine import Machine
from genexp.pool.queue import Task
from genexp.pool.record import Job, SweepFolder
from genexp.runs.run_folder import DamagedRun, RunFolder


class Workers:
    """The processes that carry out an ablation.

    Args:
        folder: The ablation's folder; `runs/` and `measurements/` in it are sweeps that can be continued.
        machine: Where they run.
    """

    def __init__(self, folder: Path, machine: Machine) -> None:
        self.folder, self.machine = folder, machine
        self.runs = SweepFolder(folder / "runs", resume=None)
        self.measurements = MeasurementFolder(folder / "measurements", resume=None)

    def close(self) -> None:
        """End the processes and let another command continue the ablation."""
        self.machine.close()
        for sweep in (self.runs, self.measurements):
            sweep.release()

    def job_of(self, training: Training) -> Job:
        """The job of a training in the record, new or begun earlier; ask once for each."""
        return self.runs.job_for(list(training.overrides))

    def train(self, jobs: dict[Training, Job]) -> None:
        """Train what is not trained yet."""
        missing = {each: job for each, job in jobs.items() if not (self._done(self.runs, job) or self.diverged(job))}
        if missing:
            self._connect()
        configs = {typical: compose("train", list(typical)) for typical in {each.typical for each in missing}}
        tasks = []
        for training, job in missing.items():
            config = configs[training.typical]
            need, images = self.machine.need_of(config), config.training.max_images
            tasks.append(Task(job, f"{job.number} {training.title}", need, images))
        self.carry_out(self.runs, tasks)

    def measure(self, plan: Plan, jobs: dict[Training, Job]) -> dict[PlannedDrawing, Job]:
        """Draw and measure what is not measured yet, of the models that are trained; returns the job of each."""
        runs = {each: (self.runs.path / job.folder).resolve() for each, job in jobs.items() if self.runs.finished(job)}
        found = {}
        for drawing in plan.drawings:
            if set(drawing.trainings) <= set(runs):
                found[drawing] = self.measurements.job_for(drawing.overrides(plan.ablation, runs))
        missing = [each for each, job in found.items() if not self._done(self.measurements, job)]
        if missing:
            self._connect()
        named = {each: f"{found[each].number} {each.title}" for each in missing}
        tasks = [Task(found[each], name, self.machine.need) for each, name in named.items()]
        self.carry_out(self.measurements, tasks)
        return found

    def diverged(self, job: Job) -> bool:
        """Whether a training ended because its loss was no longer a number, as it would again."""
        try:
            record = self.run_of(job).record
        except DamagedRun:
            return False
        return record.get("state") == "failed" and str(record.get("error")).startswith("NonFiniteLoss")

    def run_of(self, job: Job) -> RunFolder:
        """The run folder of a training."""
        return self.runs.run_folder(job)

    def _done(self, sweep: SweepFolder, job: Job) -> bool:
        if not sweep.finished(job):
            return False
        job.state = "finished"
        return True

    def carry_out(self, sweep: SweepFolder, tasks: Sequence[Task]) -> None:
        """Run tasks of a sweep to their end, side by side on the places there are."""
        sweep.save()
        if tasks:
            self._connect()
            self.machine.pool(sweep, [task.need for task in tasks]).run(tasks)

    def _connect(self) -> None:
        self.machine.connect(self.folder / "server.log", self.runs.lock)


def require_composable(plan: Plan, trainings: Iterable[Training]) -> None:
    """Check the configuration of all trainings, and of what is measured, before any is started.

    Raises:
        ValueError: an override names what there is not.
    """
    from genexp.config.check import problems_of

    for typical in dict.fromkeys(each.typical for each in trainings):
        if problems := problems_of("train", list(typical), here=True):
            raise ValueError(f"{plan.ablation.name}: {'; '.join(problems)}, in genexp train {' '.join(typical)}")
    if plan.ablation.evaluate is None:
        return
    guided = {each.variant for each in plan.drawings if each.guides}  # their guides are not there yet
    alone = [each for each in with_every_value(plan.variants) if each not in guided]
    for drawing in dict.fromkeys(each.drawing for each in alone):
        typed = [*plan.ablation.evaluate, *drawing]
        composed = ["run=one", *of_the_own(typed)]
        problems = [each for each in problems_of("evaluate", composed) if _OF_THE_RUN not in each]
        weights = [each.partition("=")[2] for each in typed if each.startswith("weights=")]
        if problems or not all(map(is_choice, weights)):
            problems += [f"weights must be {WORDS}, got {each}" for each in weights if not is_choice(each)]
            raise ValueError(f"{plan.ablation.name}: {'; '.join(problems)}, in genexp evaluate {' '.join(typed)}")
    for variant in alone:
        _require_sampler(plan, variant)


def _require_sampler(plan: Plan, variant: Variant) -> None:
    """Check how a variant is drawn against the model that it is drawn from, as if it were drawn so in training.

    Raises:
        ValueError: the sampler has no such setting, or does not fit the model.
    """
    from genexp.config.check import problems_of

    chosen = [each for each in (*(plan.ablation.evaluate or ()), *variant.drawing) if each.startswith("sampler")]
    training = next((each.training for each in plan.drawings if each.variant == variant), None)
    if not chosen or training is None:
        return
    composed = [f"++{each}" if each.startswith("sampler.") else each for each in chosen]
    if problems := problems_of("train", [*training.typical, *composed]):
        raise ValueError(f"{plan.ablation.name}: {'; '.join(problems)}, in {variant.name} ({' '.join(chosen)})")


_OF_THE_RUN = "Interpolation key 'data."
"""What a measurement takes from the configuration of its run cannot be known before."""
