"""A run in Comet, by Lightning's logger: values, settings and pictures of training in an archive to be uploaded."""

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from lightning.pytorch.loggers import CometLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from genexp.extras import require_extra
from genexp.figures.samples import Figure, drawn
from genexp.files.trees import Tree
from genexp.tensors import Grid
from genexp.tracking.dispensable import dispensable
from genexp.tracking.journal import BesideJournal

if TYPE_CHECKING:
    from comet_ml import OfflineExperiment

_NOTHING_ELSE = ("log_code", "log_graph", "log_git_metadata", "log_git_patch", "log_env_details", "parse_args")
_NOTHING_ELSE += ("auto_param_logging", "auto_metric_logging", "auto_output_logging")
"""What Comet would gather by itself: the run's folder has it, and nothing is sent that nobody asked for."""


class Comet(BesideJournal, CometLogger):
    """Lightning's Comet logger, with pictures, into `comet/<key>.zip` of the run's folder when training ends.

    `comet upload` sends the archive. Where a run is resumed, all up to the checkpoint is logged again from the journal,
    and the archive is written anew under its key: nothing is there twice.

    Args:
        save_dir: The run folder.
        run_id: The run's id, which Comet keeps as `genexp.run`; the experiment's key is made from it.
        name: Name of the experiment in Comet.
        project: Comet's word for a group of runs.
        workspace: Whose project it is; None for that of who uploads.

    Raises:
        ValueError: comet-ml is not installed.
    """

    def __init__(
        self, save_dir: str, run_id: str, name: str, project: str = "genexp", workspace: str | None = None
    ) -> None:
        require_extra("comet_ml", "logger=comet", extra="comet")
        os.environ.setdefault("COMET_ERROR_TRACKING_ENABLE", "false")  # errors of this process are nobody's else
        self._folder, self._genexp_id, self._title = Path(save_dir) / "comet", run_id, name
        key = hashlib.sha256(run_id.encode()).hexdigest()[:32]
        super().__init__(workspace=workspace, project=project, experiment_key=key, online=False)
        logging.getLogger("comet_ml").setLevel(logging.ERROR)

    def _create_experiment(self) -> None:
        """Nothing yet, though Lightning asks for it: a resumed run may still be refused. And its own stays empty."""

    @property
    def place(self) -> str:
        """The archive."""
        return str(self._folder / f"{self._experiment_key}.zip")

    @property
    @rank_zero_experiment
    def experiment(self) -> "OfflineExperiment":
        """Comet's experiment, begun at first use."""
        if self._experiment is None:
            self._begin()
        return self._experiment

    def _begin(self) -> None:
        from comet_ml import OfflineExperiment

        past = self._behind()
        self._folder.mkdir(exist_ok=True)
        Path(self.place).unlink(missing_ok=True)
        self._experiment = OfflineExperiment(
            project_name=self._project_name,
            workspace=self._workspace,
            offline_directory=str(self._folder),
            experiment_key=self._experiment_key,
            display_summary_level=0,
            **dict.fromkeys(_NOTHING_ELSE, False),
        )
        self._experiment.set_name(self._title)
        self._experiment.log_other("genexp.run", self._genexp_id)
        if past is not None:
            past.log_again(self.log_metrics, self._log_pixels)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values; `step` is the number of images seen."""
        super().log_metrics(dict(metrics), step)

    @rank_zero_only
    def log_hyperparams(self, params: Tree) -> None:
        """Log the configuration."""
        super().log_hyperparams(params)

    @rank_zero_only
    @dispensable
    def log_picture(self, key: str, grid: Grid | Figure, step: int, caption: str) -> None:
        """Keep one picture, as `<key>_<images seen>.png`."""
        self._log_pixels(key, np.moveaxis(drawn(grid).cpu().numpy(), 0, -1), step)

    def _log_pixels(self, key: str, pixels: np.ndarray, step: int) -> None:
        from PIL import Image

        picture = Image.fromarray(np.ascontiguousarray(pixels))
        self.experiment.log_image(picture, name=f"{key}_{step:010d}.png", step=step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the archive.

        Raises:
            OSError: it cannot be written there.
        """
        if self._experiment is None:
            return
        self._experiment.end()
        self._experiment = None
        if not Path(self.place).is_file():
            raise OSError(5, "Comet's archive was not written")
