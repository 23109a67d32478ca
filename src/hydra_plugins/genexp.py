"""What genexp gives to Hydra, which accepts launchers and sweepers from this namespace only. Imports almost nothing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from genexp.sweeps.local_launcher import Launching
    from genexp.sweeps.slurm_launcher import Submitting
    from genexp.sweeps.study.search import Search


class Projects(SearchPathPlugin):
    """The configuration of projects lies behind that of genexp, whose names stay its own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folder conf/ of every project."""
        from genexp.config.projects import conf_dirs

        for folder in conf_dirs():
            search_path.append("genexp.projects", f"file://{folder}")


class PoolLauncher(Launcher):
    """Runs every job of a sweep as a single run in a process of its own, on GPUs or shares of the CPU.

    Args:
        settings: The keys of `conf/hydra/launcher/pool.yaml`.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.launching: Launching | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Prepare for the batches of one sweep."""
        from genexp.config.validation import require_settings
        from genexp.sweeps.local_launcher import Launching

        require_settings(self.settings, "hydra.launcher")
        self.launching = Launching(hydra_context, config, **self.settings)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run one batch of jobs to its end; numbers come from the sweep's own record."""
        return self.launching.launch(job_overrides)


class SubmititLauncher(Launcher):
    """Hands every job of a sweep to SLURM, or to processes of this machine that stand for it.

    Args:
        settings: The keys of `conf/hydra/launcher/slurm.yaml`.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.launching: Submitting | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Prepare for the batches of one sweep."""
        from genexp.config.validation import require_settings
        from genexp.sweeps.slurm_launcher import Submitting

        require_settings(self.settings, "hydra.launcher")
        self.launching = Submitting(hydra_context, config, **self.settings)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Hand in one batch of jobs and wait for it; numbers come from the sweep's own record."""
        return self.launching.launch(job_overrides)


class OptunaSweeper(Sweeper):
    """Chooses the values of a sweep's jobs with Optuna, and runs them in the pool.

    Args:
        settings: The keys of `conf/hydra/sweeper/optuna.yaml`.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.search: Search | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Prepare the study."""
        from genexp.config.validation import require_settings
        from genexp.sweeps.study.search import make_search

        require_settings(self.settings, "hydra.sweeper")
        self.search = make_search(hydra_context, config, self.settings)

    def sweep(self, arguments: list[str]) -> Any:
        """Run the study to its total number of trials."""
        return self.search.run(arguments)
