"""A run in MLflow, by Lightning's logger: values, settings and the pictures of training."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from genexp.extras import require_extra
from genexp.figures.samples import Figure, drawn
from genexp.files.trees import Tree
from genexp.tensors import Grid
from genexp.tracking.dispensable import dispensable
from genexp.tracking.journal import BesideJournal

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_NOWHERE = "http://127.0.0.1:9"
"""An address that Lightning's own constructor may be given: nothing is asked there."""


class MLflow(BesideJournal, MLFlowLogger):
    """Lightning's MLflow logger, with pictures; by default into a data base in the run's own folder.

    Where a run is resumed, what MLflow had of it is put into its trash, and all up to the checkpoint is logged again
    from the journal: nothing is there twice.

    Args:
        save_dir: The run folder.
        run_id: The run's id, which MLflow keeps as the tag `genexp.run`.
        name: Name of the run in MLflow.
        experiment_name: MLflow's word for a group of runs.
        tracking_uri: A server or data base of MLflow; None for the run's own.

    Raises:
        ValueError: mlflow is not installed.
    """

    def __init__(
        self,
        save_dir: str,
        run_id: str,
        name: str,
        experiment_name: str = "genexp",
        tracking_uri: str | None = None,
    ) -> None:
        require_extra("mlflow", "logger=mlflow", extra="mlflow")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing is sent that nobody asked for
        self._folder = None if tracking_uri else Path(save_dir) / "mlflow"
        self._genexp_id = run_id
        super().__init__(
            experiment_name,
            run_name=name,
            tracking_uri=_NOWHERE,  # Lightning opens a data base at once, and a resumed run may still be refused
            tags={"genexp.run": run_id},
            artifact_location=None if self._folder is None else str(self._folder / "artifacts"),
        )
        self._tracking_uri = tracking_uri or f"sqlite:///{self._folder / 'mlflow.db'}"

    @property
    def place(self) -> str:
        """Where it is."""
        return self._tracking_uri

    @property
    @rank_zero_experiment
    def experiment(self) -> "MlflowClient":
        """MLflow's client, with the run begun at first use."""
        if not self._initialized:
            with _in_words():
                self._begin()
        return super().experiment

    def _begin(self) -> None:
        from mlflow.tracking import MlflowClient

        past = self._behind()
        if self._folder is not None:
            self._folder.mkdir(exist_ok=True)
        self._mlflow_client = MlflowClient(self._tracking_uri)
        if past is not None:
            self._put_away()
        _ = super().experiment
        if past is not None:
            past.log_again(self.log_metrics, self._log_pixels)

    def _put_away(self) -> None:
        found = self._mlflow_client.get_experiment_by_name(self._experiment_name)
        mine = f"tags.`genexp.run` = '{self._genexp_id}'"
        for each in self._mlflow_client.search_runs([found.experiment_id], mine) if found is not None else ():
            self._mlflow_client.delete_run(each.info.run_id)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values; `@` of names, which MLflow does not take, becomes `.`."""
        with _in_words():
            _ = self.experiment  # what is logged again comes first
            super().log_metrics({name.replace("@", "."): value for name, value in metrics.items()}, step)

    @rank_zero_only
    def log_hyperparams(self, params: Tree) -> None:
        """Log the configuration."""
        with _in_words():
            super().log_hyperparams(params)

    @rank_zero_only
    @dispensable
    def log_picture(self, key: str, grid: Grid | Figure, step: int, caption: str) -> None:
        """Keep one picture among the run's artifacts, as `samples/<key>_<images seen>.png`."""
        with _in_words():
            self._log_pixels(key, np.moveaxis(drawn(grid).cpu().numpy(), 0, -1), step)

    def _log_pixels(self, key: str, pixels: np.ndarray, step: int) -> None:
        self.experiment.log_image(self.run_id, pixels, f"samples/{key}_{step:010d}.png")


@contextmanager
def _in_words() -> Iterator[None]:
    """What MLflow cannot write as an error of the operating system, by which a run goes on without it."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise OSError(5, str(error).splitlines()[0]) from error
