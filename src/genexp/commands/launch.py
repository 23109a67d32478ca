"""Hydra behind a command: composes the configuration, then calls the command with it. Imports no torch."""

import functools
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from omegaconf import DictConfig

from genexp.commands.typed_arguments import overrides_of
from genexp.config.compose import conf_dir
from genexp.config.messages import told
from genexp.config.origins import Origins, take_as_written
from genexp.pool import environment
from genexp.runs.run_folder import new_run_id


def launch(name: str, command: Callable[[DictConfig], object], arguments: list[str]) -> None:
    """Run a command on the configuration that `arguments` ask for.

    Lightning's process launcher repeats the whole command line for every further rank, so `sys.argv` is the full one
    whenever the command itself runs; only Hydra sees it without the command's name. Until then Hydra is also asked for
    full errors, by which it raises what does not compose instead of printing it.
    """
    from hydra.errors import HydraException

    typed, traced = list(sys.argv), os.environ.get(environment.TRACE, "0")
    environment.typed_trace = traced
    os.environ[_SWEEP_ID] = new_run_id()

    @functools.wraps(command)
    def task(config: DictConfig) -> object:
        sys.argv, os.environ[environment.TRACE] = typed, traced
        try:
            take_as_written(config, Origins.of_running_hydra)
            return command(config)
        except Exception as error:
            line = None if _one_of_many() or traced not in ("", "0") else _line(error, overrides)
            if line is None:
                raise
            _say_and_exit(name, line)
        finally:
            if _one_of_many():
                os.environ[environment.TRACE] = "1"

    overrides = arguments
    try:
        overrides = overrides_of(name, arguments)
        sys.argv, os.environ[environment.TRACE] = [typed[0], *overrides], "1"
        _composed_by_hydra(name, task)
    except Exception as error:  # from Hydra, or the launcher of a sweep; a run has already said its own
        from genexp.config.composition_errors import is_of_null_group, refusal

        composing = isinstance(error, HydraException) or is_of_null_group(error)
        if composing:
            _discard_unopened_sweep()
        line = refusal(error, overrides) if composing else told(error)
        if line is None or traced not in ("", "0"):
            raise
        _say_and_exit(name, line)
    finally:
        sys.argv, os.environ[environment.TRACE] = typed, traced
        os.environ.pop(_SWEEP_ID, None)


def _composed_by_hydra(name: str, task: Callable[[DictConfig], object]) -> None:
    import hydra

    from genexp.config.composed_once import compose_once
    from genexp.config.shipped_files import keep_shipped_files

    keep_shipped_files(conf_dir())
    compose_once()
    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=name)(task)()


_SWEEP_ID = "GENEXP_SWEEP_ID"


def _line(error: Exception, overrides: list[str]) -> str | None:
    """What a person is told of an error; None where a programmer needs the traceback."""
    from genexp.config.problems import InvalidConfig

    if isinstance(error, InvalidConfig):
        from genexp.config.composition_errors import conflict

        other = conflict(error.problems, overrides)
        return str(other or error)
    return told(error)


def _say_and_exit(name: str, line: str) -> NoReturn:
    print(f"genexp {name}: {line}", file=sys.stderr)
    sys.exit(1)


def _discard_unopened_sweep() -> None:
    """Leave nothing of a sweep whose jobs do not compose: before it tries, Hydra writes down what is to be swept."""
    batches = sys.modules.get("genexp.sweeps.hydra_batches")  # there once a launcher of ours has been set up
    folder = batches.Batches.asked if batches else None
    if folder is not None and folder.is_dir() and [each.name for each in folder.iterdir()] == ["multirun.yaml"]:
        (folder / "multirun.yaml").unlink()
        folder.rmdir()


def _one_of_many() -> bool:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
