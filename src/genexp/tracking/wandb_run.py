"""Weights & Biases: one run, created on rank zero, on one x-axis, finished with its job."""

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from genexp.figures.samples import Figure, drawn, moments
from genexp.files.json_records import reason_of
from genexp.files.trees import Tree
from genexp.tensors import Grid
from genexp.terminal import typed_path
from genexp.tracking.dispensable import dispensable, hush_log_of, lose
from genexp.tracking.gif import gif_of
from genexp.tracking.past import Past
from genexp.tracking.wandb_files import is_uploaded, is_whole, recorded, set_aside
from genexp.tracking.wandb_pictures import of_gif, of_pixels

if TYPE_CHECKING:
    import wandb

AXIS = "images_seen"


class WandbRun(Logger):
    """The W&B run of one run folder.

    Every value is plotted against `images_seen`. Evaluations (`fd/`, `val/`) also write flat `best/...` keys, the
    smallest value so far, which tables can use by name. The monitored value has one under the name that it is
    monitored by (`best/fd`), whatever its protocol: what a W&B sweep looks at. A resumed run continues the same W&B
    run, and its bests after `remember`.

    Args:
        directory: The run folder; W&B's files go to its `wandb/`.
        run_id: W&B id, the run's own id.
        project: W&B project.
        name: Name shown in the dashboard.
        mode: `offline`, `online` or `disabled`.
        entity: W&B user or team, or None for the account's own.
        group: Runs that belong together: an experiment, a sweep, an ablation.
        job_type: Role of the run in its group.
        tags: Labels to filter by.
        notes: Free text.
        largest: Prefixes of evaluation values for which larger is better.
        monitor: Name of the monitored value, or its part before the first slash; None for none.
    """

    def __init__(
        self,
        directory: str | Path,
        run_id: str,
        project: str = "genexp",
        name: str | None = None,
        mode: Literal["offline", "online", "disabled"] = "offline",
        entity: str | None = None,
        group: str | None = None,
        job_type: str | None = "train",
        tags: list[str] | None = None,
        notes: str | None = None,
        largest: list[str] | None = None,
        monitor: str | None = None,
    ) -> None:
        super().__init__()
        if mode not in ("offline", "online", "disabled"):
            raise ValueError(f"mode must be offline, online or disabled, got {mode!r}")
        self.directory = Path(directory)
        self.largest, self.monitor = tuple(largest or ()), monitor
        self._settings = {
            "id": run_id,
            "project": project,
            "name": name,
            "mode": mode,
            "entity": entity,
            "group": group,
            "job_type": job_type,
            "tags": [tag(each) for each in [*(tags or []), *_environment_tags()]],
            "notes": notes,
        }
        self.is_lost = False
        self._config: Tree = {}
        self._best: dict[str, float] = {}
        self._run: wandb.Run | None = None
        self._past: Past | None = None
        self._rows, self._sent = 0, 0
        self._states_steps = False
        self._superseded: list[Path] = []

    @property
    def place(self) -> str:
        """Where its files are."""
        return str(self.directory / "wandb")

    @property
    def name(self) -> str:
        """The project."""
        return self._settings["project"]

    @property
    def version(self) -> str:
        """The run id."""
        return self._settings["id"]

    @property
    @rank_zero_experiment
    def experiment(self) -> "wandb.Run":
        """The live W&B run, created at first use on rank zero alone."""
        if self._run is None:
            import wandb

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._run = wandb.init(
                    **self._settings,
                    dir=str(self.directory),
                    config=self._config,
                    resume="allow",
                    settings=wandb.Settings(console="off", silent=True, x_disable_stats=_stats_off()),
                )
            hush_log_of("wandb")
            self._run.define_metric(AXIS, hidden=True)
            self._run.define_metric("*", step_metric=AXIS)
            past, self._past = self._past, None
            if past is not None:
                self._catch_up(past)
        return self._run

    @rank_zero_only
    @dispensable
    def log_hyperparams(self, params: Mapping[str, Any], *_: object, **__: object) -> None:
        """Store the configuration and whatever describes the run."""
        self._config |= dict(params)
        self.experiment.config.update(dict(params), allow_val_change=True)

    @rank_zero_only
    @dispensable
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log one row at `step` images seen."""
        row = {name: float(value) for name, value in metrics.items()}
        self._log({AXIS: step, **row, **self._update_best(row)})

    @rank_zero_only
    @dispensable
    def log_picture(self, key: str, grid: Grid | Figure, step: int, caption: str) -> None:
        """Log one grid under its fixed key, and of videos one that moves."""
        pixels, moving = drawn(grid).movedim(0, -1).contiguous().numpy(), moments(grid)
        self._log(_picture(key, pixels, step, caption, gif_of(moving) if moving else None))

    def _log(self, row: Tree) -> None:
        """Send one row, unless W&B has it already."""
        run = self.experiment
        number, self._rows = self._rows, self._rows + 1
        if number >= self._sent:
            run.log(row, step=number if self._states_steps else None, commit=True)

    def remember(self, past: Past) -> None:
        """Go on where a resumed run was: with its bests, and with no row twice or lost."""
        self._past = past

    def _catch_up(self, past: Past) -> None:
        """Bring what W&B has of the run to what lies behind the checkpoint.

        Offline, the new file is given all of it, and takes the place of earlier ones when it is closed. Online, and
        where an earlier file has been uploaded, the server has it. It may also have rows beyond the checkpoint: these
        come again if nothing was changed, and are then not sent again.
        """
        bests = [(images_seen, values, self._update_best(values)) for images_seen, values in past.values()]
        earlier = [each for each in recorded(self.directory, self.version) if each != Path(self._run.dir).parent]
        behind = len(past.rows) + len(past.pictures)
        if self._settings["mode"] == "online":
            self._rows, self._sent = behind, self._run.starting_step if past.repeats else 0
        elif any(is_uploaded(each) for each in earlier):
            self._rows, self._states_steps = behind, True  # W&B would begin the new file's steps at 0
        else:
            self._superseded = earlier
            for images_seen, values, best in bests:
                self._log({AXIS: images_seen, **values, **best})
            for each, pixels, caption in past.drawings():
                self._log(_picture(each.key, pixels, each.images_seen, caption, each.moving()))

    def _update_best(self, row: dict[str, float]) -> dict[str, float]:
        improved = {}
        for name, value in row.items():
            if name.startswith("train/") or "floor" in name or value != value:
                continue
            known = self._best.get(name)
            larger = bool(self.largest) and name.startswith(self.largest)
            if known is None or (value > known if larger else value < known):
                self._best[name] = improved[f"best/{name}"] = value
        monitored = next((name for name in sorted(row) if name.split("/")[0] == self.monitor), None)
        if f"best/{monitored}" in improved:
            improved[f"best/{self.monitor}"] = improved[f"best/{monitored}"]
        return improved

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Leave the run open: `close` ends it once the closing values are in."""

    @rank_zero_only
    def close(self, summary: Mapping[str, Any], exit_code: int = 0) -> None:
        """Write the summary and finish the run; of an offline one that is not whole, earlier files stay beside it."""
        if self._run is None:
            return
        run, self._run = self._run, None
        try:
            run.summary.update(dict(summary))
            run.finish(exit_code=exit_code)
        except OSError as error:
            if not self.is_lost:
                lose(self, reason_of(error))
        folder = Path(run.dir).parent
        if self._settings["mode"] == "offline" and not self.is_lost and not is_whole(folder):
            lose(self, "its file ends before the run")
        if not self.is_lost:
            set_aside(self._superseded)
        self._superseded = []

    def sync_command(self) -> str | None:
        """The command that uploads this run, when it was recorded offline."""
        if self._settings["mode"] != "offline":
            return None
        there = [each for each in recorded(self.directory, self.version) if not is_uploaded(each)]
        return f"wandb sync {' '.join(typed_path(path) for path in there)}" if there else None


def _picture(key: str, pixels: np.ndarray, images_seen: int, caption: str, gif: bytes | None) -> Tree:
    """The row of one picture, of 8 bits, with the GIF of one that moves."""
    moving = {} if gif is None else {f"videos/{key}": of_gif(gif, caption)}
    return {AXIS: images_seen, f"pictures/{key}": of_pixels(pixels, caption), **moving}


def tag(text: str) -> str:
    """A W&B tag: at most 64 characters, none of them a control character."""
    return re.sub(r"[\x00-\x1f]", " ", text)[:64]


def _environment_tags() -> list[str]:
    """What W&B's own variable asks for, beside the tags of the run."""
    return [each.strip() for each in os.environ.get("WANDB_TAGS", "").split(",") if each.strip()]


def _stats_off() -> bool:
    return os.environ.get("GENEXP_NO_SYSTEM_STATS", "") not in ("", "0")
