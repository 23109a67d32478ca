"""Carries out a plan: trainings, then measurements, each in a process of its own, and only what is missing."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig

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

    def jobs_of(self, plan: Plan) -> dict[Training, Job]:
        """The job of every training in the record, new or begun earlier; ask once."""
        jobs: dict[Training, Job] = {}
        for each in plan.trainings:
            jobs[each] = self.runs.job_for(each.command(self._places(each, jobs)))
        return jobs

    def train(self, jobs: Mapping[Training, Job]) -> None:
        """Train what is not trained yet, each as soon as the models that it needs are there; without them it waits."""
        left = {each: job for each, job in jobs.items() if not (self._done(self.runs, job) or self.diverged(job))}
        while ready := {each: job for each, job in left.items() if each.needs_only(self.finished(jobs))}:
            for training, job in ready.items():
                if training.guides:  # one that could not begin at first has begun in another folder
                    job.overrides = training.command(self._places(training, jobs))
            self._train(ready)
            left = {each: job for each, job in left.items() if each not in ready}

    def _train(self, ready: Mapping[Training, Job]) -> None:
        self._connect()
        configs: dict[tuple[str, ...], DictConfig] = {}
        tasks = []
        for training, job in ready.items():
            if training.typical not in configs:
                configs[training.typical] = compose("train", training.composable({}))
            config = configs[training.typical]
            need, images = self.machine.need_of(config), config.training.max_images
            tasks.append(Task(job, f"{job.number} {training.title}", need, images))
        self.carry_out(self.runs, tasks)

    def finished(self, jobs: Mapping[Training, Job]) -> dict[Training, Path]:
        """The run folders of the trainings that are done."""
        return {each: self.run_of(job).path.resolve() for each, job in jobs.items() if self.runs.finished(job)}

    def _places(self, training: Training, jobs: Mapping[Training, Job]) -> dict[Training, Path]:
        return {guide: self.run_of(jobs[guide]).path.resolve() for _, guide in training.guides}

    def measure(self, plan: Plan, jobs: Mapping[Training, Job]) -> dict[PlannedDrawing, Job]:
        """Draw and measure what is not measured yet, of the models that are trained; returns the job of each."""
        runs = self.finished(jobs)
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


def require_composable(plan: Plan, trainings: Iterable[Training], runs: Mapping[Training, Path]) -> None:
    """Check the configuration of all trainings, and of what is measured, before any is started.

    Files and devices are looked at only of trainings whose needed models are there.

    Args:
        plan: What is to be done.
        trainings: Those that are to be started.
        runs: The run folders of what is trained already.

    Raises:
        ValueError: an override names what there is not.
    """
    from genexp.config.check import problems_of

    for training in {each.typical: each for each in trainings}.values():
        typical = training.composable(runs)
        if problems := problems_of("train", typical, here=training.needs_only(runs)):
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
    if problems := problems_of("train", [*training.composable({}), *composed]):
        raise ValueError(f"{plan.ablation.name}: {'; '.join(problems)}, in {variant.name} ({' '.join(chosen)})")


_OF_THE_RUN = "Interpolation key 'data."
"""What a measurement takes from the configuration of its run cannot be known before."""
