"""A study carried out by the pool: a free place gets a newly chosen trial at once, and a bad one is ended early."""

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState

from genexp.config.messages import JobFailed, SweepInterrupted
from genexp.files.ids import new_run_id
from genexp.files.json_records import is_there, read_json
from genexp.files.trees import Tree
from genexp.files.writing import write_atomically
from genexp.pool.queue import Task
from genexp.pool.record import Job
from genexp.pool.shape import StudyRecord
from genexp.sweeps.hydra_batches import length_of
from genexp.sweeps.local_launcher import Launching
from genexp.sweeps.question import Question, question_of
from genexp.sweeps.study.fixed import PLACES, fixed_of
from genexp.sweeps.study.judging import TrialJudge
from genexp.sweeps.study.report import report
from genexp.sweeps.study.samplers import distribution, make_pruner, make_sampler, values_from
from genexp.sweeps.study.space import short
from genexp.sweeps.study.storage import ask, open_storage, open_study, used
from genexp.sweeps.study.study_plan import key_of, make_plan
from genexp.terminal import shown_path

RECORD = "study.json"
DEFAULT_TRIALS = 20
POOL = "hydra_plugins.genexp.PoolLauncher"


def make_search(context: HydraContext, config: DictConfig, settings: Mapping[str, Any]) -> "Search":
    """The search that a configuration asks for.

    Args:
        context: Hydra's loader.
        config: Hydra's configuration of the sweep.
        settings: The keys of `conf/hydra/sweeper/optuna.yaml`.

    Raises:
        ValueError: the jobs would not be run by the pool.
    """
    launcher = {str(key): value for key, value in config.hydra.launcher.items()}
    target = launcher.pop("_target_")
    if target != POOL:
        raise ValueError(f"launcher must be pool for hydra/sweeper=optuna, got {target.rpartition('.')[2]}")
    return Search(Launching(context, config, **launcher), config, settings)


class Search:
    """Runs one question to its total number of trials.

    Args:
        launching: The pool's side: folder, slots, processes.
        config: Hydra's configuration of the sweep.
        settings: The keys of `conf/hydra/sweeper/optuna.yaml`.
    """

    def __init__(self, launching: Launching, config: DictConfig, settings: Mapping[str, Any]) -> None:
        self.launching, self.config = launching, config
        self.settings = {k: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for k, v in settings.items()}
        self.tasks: dict[int, optuna.Trial] = {}
        self.told: dict[int, set[int]] = {}
        self.failures: list[str] = []
        self.done = False

    def run(self, arguments: Sequence[str]) -> list[Tree]:
        """Run trials until the study has its total; returns the best.

        Args:
            arguments: Overrides as typed.

        Raises:
            ValueError: the question or a setting is none that can be asked.
            JobFailed: jobs of this command failed; all others were run.
            SweepInterrupted: SIGINT or SIGTERM came.
        """
        settings = self.settings
        self.plan = make_plan(chosen_question(self.config), arguments, settings["at"])
        typical = self._require_composable()
        self.every, self.images = _interval(typical), length_of(typical)
        kind, sampler = make_sampler(settings["sampler"], settings["seed"], self.plan)
        pruner = make_pruner(settings["pruner"], self.plan, self.every, self.images)
        grid = self.plan.grid() if kind == "grid" else []
        self.total = _total(settings["n_trials"], len(grid))
        self.prunes = pruner is not None
        own = settings["storage"] is None
        self.sweep = self.launching.open() if own else None
        storage, self.address = open_storage(settings["storage"], self.sweep.path if own else None)
        name = settings["study_name"] or self.plan.question.name
        self.study = open_study(storage, name, self.plan, sampler, pruner, grid, fixed_of(typical))
        self.sweep = self.sweep or self.launching.open()  # a study that refuses leaves no folder behind
        self.distributions = {key: distribution(each) for key, each in self.plan.space.items()}
        self.judge = TrialJudge(self.plan, self.study, self.sweep, self.every)
        self.owner = self._owner()
        self._announce()
        try:
            self._carry_out(typical)
        except SweepInterrupted:
            report(self.study, self.plan, self.sweep.path)
            self.launching.say_how_to_go_on()
            raise
        best = report(self.study, self.plan, self.sweep.path)
        if self.failures:
            raise JobFailed(f"{len(self.failures)} trials failed: {'; '.join(self.failures)}. The others went on")
        return best

    def _require_composable(self) -> DictConfig:
        """Compose jobs with every choice before any is started; returns the first."""
        for key in self.plan.space:
            if key_of(key) in PLACES:
                raise ValueError(f"space must have no key that says where jobs run, got {key}")
        examples = self.plan.examples()
        for each in examples:
            self.launching.composed(each)
        return self.launching.compose(examples[0])

    def _owner(self) -> str:
        """What trials of this folder are marked with, so that they are found again when the sweep is continued."""
        path = self.sweep.path / RECORD
        record = read_json(path, StudyRecord, f" of the sweep {self.sweep.path}") if is_there(path) else None
        if record is None and self.launching.resume and self.sweep.jobs:
            raise ValueError(f"sweep.resume must name a sweep of hydra/sweeper=optuna, got {self.sweep.path}")
        if record is None:
            record = {"owner": new_run_id(), "study": self.study.study_name, "storage": self.address}
            write_atomically(path, json.dumps(record | {"plan": self.plan.record()}, indent=1) + "\n")
        numbers = {each.number for each in self.study.get_trials(deepcopy=False)}
        if any(job.number not in numbers for job in self.sweep.jobs):
            raise ValueError(f"hydra.sweeper.storage must hold the study that the sweep began, got {self.address}")
        return record["owner"]

    def _announce(self) -> None:
        trials = used(self.study.get_trials(deepcopy=False))
        kept = shown_path(Path(self.address)) if "://" not in self.address else self.address
        print(f"study     {self.study.study_name} in {kept}", file=sys.stderr)
        print(f"trials    {len(trials)} of {self.total} so far", file=sys.stderr, flush=True)

    def _carry_out(self, typical: DictConfig) -> None:
        unfinished = self._unfinished()
        if not unfinished and len(used(self.study.get_trials(deepcopy=False))) >= self.total:
            return
        machine = self.launching.connected()
        self.need = machine.need_of(typical)
        waiting, finished = [], []
        for trial in unfinished:
            task = self._task(trial.number, optuna.trial.Trial(self.study, trial._trial_id), trial.params)
            self.told[trial.number] = set(trial.intermediate_values)
            if self.sweep.finished(task.job):
                task.job.state = "finished"
                self.ended(task)
                finished.append(task)
            else:
                waiting.append(task)
        self.sweep.save()
        machine.pool(self.sweep, [self.need] * self.total).run(waiting, finished, self)

    def _unfinished(self) -> list[FrozenTrial]:
        """Trials that an earlier command of this folder has begun and not ended."""
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [each for each in trials if each.user_attrs.get("owner") == self.owner]

    def next_task(self) -> Task | None:
        """A new trial, or None when the study has its total."""
        if self.done:
            return None
        trial = ask(self.study, self.distributions, self.total)
        if trial is None:
            self.done = True
            return None
        trial.set_user_attr("owner", self.owner)
        trial.set_user_attr("host", platform.node())
        return self._task(trial.number, trial, trial.params)

    def _task(self, number: int, trial: optuna.Trial, params: Mapping[str, Any]) -> Task:
        values = values_from(self.plan, params)
        found = [job for job in self.sweep.jobs if job.number == number]
        job = found[0] if found else Job(number, self.plan.job(values), f"{number:03d}")
        if not found:
            self.sweep.jobs.append(job)
        self.launching.composed(job.overrides)
        self.tasks[number] = trial
        named = " ".join(f"{key}={short(value)}" for key, value in values.items())
        return Task(job, f"{number} {named}", self.need, self.images)

    def observe(self, task: Task) -> bool:
        """Tell the study what a running job has measured; True when its pruner gives the trial up before its end."""
        if len(self.plan.question.metrics) > 1:
            return False
        trial, told = self.tasks[task.job.number], self.told.setdefault(task.job.number, set())
        new = [(step, value) for step, value in self.judge.measured(task.job)[0].values() if step not in told]
        for step, value in new:
            trial.report(value, step)
            told.add(step)
        ends = self.images is not None and bool(new) and new[-1][0] >= self.images
        return bool(new) and self.prunes and not ends and trial.should_prune()

    def ended(self, task: Task) -> str:
        """Tell the study how a job ended; returns the values, or the reason."""
        job, trial = task.job, self.tasks[task.job.number]
        if job.state == "interrupted":
            return "goes on when the sweep is continued"
        self.observe(task)
        note, values = self.judge.outcome(job)
        trial.set_user_attr("folder", str((self.sweep.path / job.folder).resolve()))
        trial.set_user_attr("seconds", job.seconds)
        if job.state == "finished":
            trial.set_user_attr("measured", [each.name for each in self.judge.measured(job)])
            job.value = values[0] if len(values) == 1 else None
            self.study.tell(trial, values)
        elif job.state == "pruned":
            self.study.tell(trial, state=TrialState.PRUNED)
            self.sweep.run_folder(job).update_record(state="pruned")
        else:
            trial.set_user_attr("reason", note or job.state)
            self.study.tell(trial, state=TrialState.FAIL)
            self.failures.append(f"trial {job.number} ({note or job.state}, see {shown_path(self.sweep.log(job))})")
        return note


def chosen_question(config: DictConfig) -> Question:
    """The question that `sweep=<name>` has chosen.

    Raises:
        ValueError: none was chosen, or it is not in order.
    """
    if config.get("sweep") is None:
        raise ValueError("sweep must be a question of conf/sweep for hydra/sweeper=optuna, got null")
    name = config.hydra.runtime.choices.get("sweep")
    return question_of(str(name), OmegaConf.to_container(config.sweep, resolve=False))


def _interval(config: DictConfig) -> float | None:
    training = config.get("training")
    return training.get("evaluate_every") if training else None


def _total(given: object, cells: int) -> int:
    if given is None:
        return cells or DEFAULT_TRIALS
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise ValueError(f"hydra.sweeper.n_trials must be null or a number from 1, got {given!r}")
    return min(given, cells) if cells else given
