"""A job of a sweep as a cluster calls it, at the start and after every requeue: a single run. Imports no torch."""

import os
import runpy
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from genexp.config.messages import JobFailed
from genexp.pool.record import is_finished
from genexp.ranks import without_ranks
from genexp.runs.run_folder import RunFolder

if TYPE_CHECKING:
    import submitit


@dataclass
class SubmittedJob:
    """What submitit pickles, calls in every task of the job, and calls again after a requeue.

    The command names the run's folder and says `resume=auto`, so that a job which was pre-empted or ran out of time
    goes on in the same folder from its last checkpoint.

    Args:
        folder: The run's folder.
        arguments: The command line after `genexp`.
        requeued: Whether this very process is being ended because the cluster will call it again.
    """

    folder: Path
    arguments: list[str]
    requeued: bool = field(default=False, compare=False)

    def __call__(self) -> None:
        """Run the command as this task's rank.

        Raises:
            JobFailed: the command failed, for a reason that it has printed.
        """
        import submitit

        self.requeued = False
        if is_finished(RunFolder(self.folder)):
            return
        place = submitit.JobEnvironment()
        if place.cluster == "local":
            _replace_environment(local_ranks(place, dict(os.environ)))
        sys.argv = ["genexp", *self.arguments]
        try:
            runpy.run_module("genexp", run_name="__main__")
        except SystemExit as end:
            if end.code == 0:
                return
            if self.requeued or end.code not in (1, 2):
                raise
            told = f"the command ended with status {end.code}: genexp {' '.join(self.arguments)}"
            raise JobFailed(told) from None

    def checkpoint(self) -> "submitit.helpers.DelayedSubmission":
        """What the cluster shall call after a requeue: this job again."""
        import submitit

        self.requeued = True
        return submitit.helpers.DelayedSubmission(SubmittedJob(self.folder, self.arguments))


def local_ranks(place: "submitit.JobEnvironment", environment: dict[str, str]) -> dict[str, str]:
    """The environment of a task that submitit's local executor has started, with its rank as Lightning reads it.

    Args:
        place: submitit's description of the task.
        environment: The environment so far; ranks of others are left out.
    """
    environment = without_ranks(environment)
    if place.num_tasks == 1:
        return environment
    return environment | {
        "LOCAL_RANK": str(place.local_rank),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(place.num_tasks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(15000 + int(place.job_id) % 15000),
    }


def _replace_environment(values: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(values)
