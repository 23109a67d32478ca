"""How a job is judged: its values, or why it has none that count."""

import math
import re
from collections.abc import Sequence

import optuna
from optuna.trial import TrialState

from genexp.pool.job_progress import tail
from genexp.pool.record import Job, SweepFolder
from genexp.sweeps.study.job_values import JobValues, reported
from genexp.sweeps.study.study_plan import SearchPlan

_REASON = re.compile(r"^(?:genexp train: |\w*(?:Error|Exception)\b[:(]).*$", re.MULTILINE)


def reason(log: str) -> str:
    """The newest line of a log that names an error, or nothing."""
    found = _REASON.findall(log)
    return found[-1].removeprefix("genexp train: ")[:200] if found else ""


class TrialJudge:
    """Reads what jobs have measured.

    Args:
        plan: What is asked.
        study: Where earlier trials are.
        sweep: Where the jobs are.
        every: Images between two evaluations, or None.
    """

    def __init__(self, plan: SearchPlan, study: optuna.Study, sweep: SweepFolder, every: float | None) -> None:
        self.plan, self.study, self.sweep, self.every = plan, study, sweep, every
        self._found: dict[int, list[JobValues]] = {}

    def measured(self, job: Job) -> list[JobValues]:
        """The evaluations of a job, one for each metric."""
        folder = self.sweep.path / job.folder
        found = self._found.get(job.number)
        if found is None or found[0].folder != folder:
            found = [JobValues(folder, metric, self.every) for metric in self.plan.question.metrics]
            self._found[job.number] = found
        return found

    def outcome(self, job: Job) -> tuple[str, list[float]]:
        """What is said of a job whose state is settled, and its values; a job without all of them has failed.

        Raises:
            ValueError: no job has ever measured a metric, or its name fits several values.
        """
        metrics, directions = self.plan.question.metrics, self.plan.question.directions
        if job.state == "pruned":
            step, value = self.measured(job)[0].values()[-1]
            return f"{metrics[0]} {value:.4g} at {step:,} images", []
        if job.state != "finished":
            return reason(tail(self.sweep.log(job), 40)) if job.state == "failed" else "", []
        measured = self.measured(job)
        values = [each.value(self.plan.at, direction) for each, direction in zip(measured, directions, strict=True)]
        for name, value in zip(metrics, values, strict=True):
            if value is None:
                self._require_known(name, job)
            if value is None or math.isnan(value):
                job.state = "failed"
                return f"{name} was {'not measured' if value is None else 'not a number'}", []
        other = self._measured_otherwise(measured)
        if other:
            job.state = "failed"
            return other, []
        return "  ".join(f"{name} {value:.4g}" for name, value in zip(metrics, values, strict=True)), values

    def _measured_otherwise(self, measured: Sequence[JobValues]) -> str:
        """How values of this job differ in kind from those of an earlier trial, which they cannot be compared with."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            for mine, theirs in zip(measured, trial.user_attrs.get("measured", ()), strict=False):
                if mine.name.split("@")[0] != theirs.split("@")[0]:
                    return f"{mine.name} cannot be compared with {theirs} of trial {trial.number}"
        return ""

    def _require_known(self, metric: str, job: Job) -> None:
        """Stop at the first job that ends without a value which no job has ever had."""
        if any(each.state == TrialState.COMPLETE for each in self.study.get_trials(deepcopy=False)):
            return
        known = ", ".join(reported(self.sweep.path / job.folder)) or "nothing"
        raise ValueError(f"sweep.metric must be a value that jobs measure ({known}), got {metric!r}")
