"""Hydra behind a command: composes the configuration, then calls the command with it. Imports no torch."""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genexp.runs.config import conf_dir, load_config
from genexp.runs.folder import OVERRIDES, RunFolder


def launch(name: str, command: Callable[[DictConfig], Any], arguments: list[str]) -> None:
    """Run a command on the configuration that `arguments` ask for.

    Lightning's process launcher repeats the whole command line for every further rank, so `sys.argv` is the full one
    whenever the command itself runs; only Hydra sees it without the command's name.
    """
    import hydra

    typed = list(sys.argv)
    overrides = _source(name, arguments)

    @functools.wraps(command)
    def task(config: DictConfig) -> Any:
        sys.argv = typed
        try:
            return command(config)
        except _FOR_THE_USER as error:
            if _one_of_many() or os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0"):
                raise
            print(f"genexp {name}: {error}", file=sys.stderr)
            sys.exit(1)

    sys.argv = [typed[0], *overrides]
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=name)(task)()
    finally:
        sys.argv = typed


_CHOICES = ("experiment", "model", "data", "resume")
"""Any of these says what to train; without one, `genexp train` is `experiment=quickstart`."""

_FOR_THE_USER = (ValueError, FileExistsError, FileNotFoundError, ConnectionError, FloatingPointError)
"""Errors whose message says all that a person needs; HYDRA_FULL_ERROR=1 shows where they were raised."""


def _one_of_many() -> bool:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def _source(name: str, arguments: list[str]) -> list[str]:
    """The overrides that the command runs with: those typed, and what they stand for."""
    if name == "sample" and not any(a.startswith("sampler=") for a in arguments):
        return [f"++{a}" if a.startswith("sampler.") else a for a in arguments]  # change the run's own sampler
    if name != "train":
        return arguments
    resume = [a.split("=", 1)[1] for a in arguments if a.startswith("resume=")]
    if resume and resume[-1] not in ("auto", "null"):
        return [*_started_with(RunFolder.open(resume[-1])), *arguments]
    if not any(a.split("=")[0] in _CHOICES for a in arguments):
        return ["experiment=quickstart", *arguments]
    return arguments


def _started_with(folder: RunFolder) -> list[str]:
    """The overrides of a run, and what was settled for it by the machine that it started on."""
    saved = load_config(folder.config_path)
    typed = [str(a) for a in OmegaConf.load(folder.path / OVERRIDES) if not str(a).startswith(("resume=", "run_dir="))]
    outputs = str(saved.paths.outputs).replace("'", "\\'")
    return [*typed, f"trainer.precision={saved.trainer.precision}", f"paths.outputs='{outputs}'"]
