"""A sweep whose jobs the pool runs. Imports no torch."""

import sys
from collections.abc import Sequence
from typing import Any

from hydra.types import HydraContext
from omegaconf import DictConfig

from genexp.pool.machine import Machine
from genexp.pool.queue import Task
from genexp.sweeps.hydra_batches import Batches


class Launching(Batches):
    """A sweep on this machine.

    Args:
        context: Hydra's loader.
        config: Hydra's configuration of the sweep.
        resume: Whether the folder `hydra.sweep.dir` holds a sweep to be continued.
        trust: Whether runs in it that another user has begun are continued.
        settings: The arguments of `Machine`.

    Raises:
        ValueError: a setting is wrong, or the machine runs Windows.
    """

    def __init__(self, context: HydraContext, config: DictConfig, resume: bool, trust: bool, **settings: Any) -> None:
        if sys.platform == "win32":
            raise ValueError("hydra/launcher must be basic on Windows, which has no process groups, got pool")
        super().__init__(context, config, resume, trust)
        self.machine = Machine(**settings)

    def connected(self) -> Machine:
        """The machine, ready to start jobs of the sweep; `open` comes first."""
        self.machine.connect(self.sweep.path / "server.log", self.sweep.lock)
        return self.machine

    def carry_out(self, tasks: Sequence[Task], configs: Sequence[DictConfig], others: Sequence[Task]) -> None:
        """Run tasks to their end, see `Batches`."""
        machine = self.connected()
        for task, config in zip(tasks, configs, strict=True):
            task.need = machine.need_of(config)
        machine.pool(self.sweep, [task.need for task in tasks]).run(tasks, others)
