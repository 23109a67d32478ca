"""The places of this machine, and the process that starts jobs on them. Imports no torch."""

import atexit
import functools
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from genexp.hardware import idle_cores, threads_of_environment
from genexp.pool.connection import Connection
from genexp.pool.queue import Pool
from genexp.pool.record import SweepFolder
from genexp.pool.slots import Need, make_slots, need_of, visible_gpus


@functools.cache
def _idle_at_start() -> int:
    """The cores that were idle when this was first asked; later the jobs of this command keep them busy."""
    return idle_cores()


class Machine:
    """Where the jobs of sweeps and ablations run, one sweep after the other.

    Args:
        slots: Places to run on, see `make_slots`.
        threads: CPU threads of a job, see `make_slots`; for `auto` OMP_NUM_THREADS, if set, is the number.
        timeout: Seconds a job may take, or None.
        grace: Seconds between asking a job to end and killing it.
        preload: `auto`, true or false: whether jobs are forks of a process that has imported everything.
        variables: What the environment of jobs has beyond that of this command.

    Raises:
        ValueError: `timeout` or `preload` is none of these.
    """

    def __init__(
        self,
        slots: int | str,
        threads: int | str,
        timeout: float | None,
        grace: float,
        preload: bool | str = "auto",
        variables: Mapping[str, str] | None = None,
    ) -> None:
        if preload not in ("auto", True, False):
            raise ValueError(f"hydra.launcher.preload must be auto, true or false, got {preload!r}")
        if timeout is not None and not timeout > 0:
            raise ValueError(f"hydra.launcher.timeout must be null or seconds above 0, got {timeout}")
        self.slots = OmegaConf.to_container(slots) if OmegaConf.is_config(slots) else slots
        self.threads = threads_of_environment() or threads if threads == "auto" else threads
        self.timeout, self.grace, self.idle = timeout, grace, _idle_at_start()
        self.preload = sys.platform.startswith("linux") if preload == "auto" else preload
        self.variables = dict(variables or {})
        self.gpus: list[str] = []
        self._connection: Connection | None = None

    def connect(self, log: Path, lock: int) -> None:
        """Start the process that starts jobs, once; from then on the GPUs are known.

        Args:
            log: What that process itself prints.
            lock: Descriptor of a sweep's lock, which that process and the jobs hold too.
        """
        if self._connection is not None:
            return
        if self.preload:
            print("loading   once for all jobs", file=sys.stderr, flush=True)
        self._connection = Connection(log, self.preload, self.grace, lock, {**os.environ, **self.variables})
        atexit.register(self.close)
        self.gpus = visible_gpus(self._connection.ready()["gpus"])

    def close(self) -> None:
        """End that process, and every job that still runs."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def need_of(self, config: DictConfig) -> Need:
        """What a job of this configuration runs on."""
        return need_of(config, len(self.gpus))

    @property
    def need(self) -> Need:
        """One GPU if there is any, else one process."""
        return Need("gpu" if self.gpus else "cpu", 1)

    @property
    def places(self) -> int:
        """Jobs that run side by side, each on `need`."""
        slots = make_slots(self.slots, self.threads, [self.need] * 1024, self.gpus, self.idle)
        return len(slots.gpus) or slots.cpus

    def pool(self, sweep: SweepFolder, needs: Sequence[Need]) -> Pool:
        """A pool with room for jobs of these needs; `connect` comes first.

        Raises:
            ValueError: one asks for more GPUs than there are.
        """
        slots = make_slots(self.slots, self.threads, needs, self.gpus, self.idle)
        for need in needs:
            slots.require_room(need)
        return Pool(sweep, self._connection, slots, self.timeout, self.grace)
