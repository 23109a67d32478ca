"""Hydra behind a command: composes the configuration, then calls the command with it. Imports no torch."""

import functools
import os
import re
import sys
from collections.abc import Callable
from typing import NoReturn

from omegaconf import DictConfig

from genexp.commands.typed_arguments import overrides_of
from genexp.config.compose import conf_dir
from genexp.config.hints import hint_of_absent
from genexp.config.messages import told
from genexp.config.origins import Origins, take_as_written


def launch(name: str, command: Callable[[DictConfig], object], arguments: list[str]) -> None:
    """Run a command on the configuration that `arguments` ask for.

    Hydra is given its words; `sys.argv` stays as it was typed, for Lightning's process launcher repeats it for every
    further rank. `HYDRA_FULL_ERROR=1` shows where an error was raised, in the place of one line.
    """
    from hydra.errors import HydraException

    traced = os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")

    @functools.wraps(command)
    def task(config: DictConfig) -> object:
        try:
            take_as_written(config, Origins.of_running_hydra)
            return command(config)
        except Exception as error:
            line = None if _one_of_many() or traced else _line(error, overrides)
            if line is None:
                raise
            _say_and_exit(name, line)

    overrides = arguments
    try:
        overrides = overrides_of(name, arguments)
        _composed_by_hydra(name, task, overrides)
    except Exception as error:  # from Hydra, or the launcher of a sweep; a run has already said its own
        from genexp.config.check import problems_of, refusals
        from genexp.config.composition_errors import is_of_null_group

        composing = isinstance(error, HydraException) or is_of_null_group(error)
        if composing:
            _discard_unopened_sweep()
        lines = refusals(error, overrides, functools.partial(problems_of, name)) if composing else [told(error)]
        if None in lines or traced:
            raise
        _say_and_exit(name, "\n".join(lines))


def _composed_by_hydra(name: str, task: Callable[[DictConfig], object], overrides: list[str]) -> None:
    """What `hydra.main` does with the words of a command line, for these words, and with errors raised."""
    from hydra import version
    from hydra._internal import utils

    from genexp.config.composed_once import compose_once
    from genexp.config.shipped_files import keep_shipped_files

    keep_shipped_files(conf_dir())
    compose_once()
    version.setbase("1.3")
    utils.run_and_report = _called  # Hydra's own prints what is raised, and leaves
    parser = utils.get_args_parser()
    parser.error = functools.partial(_refuse_words, name)
    words = parser.parse_args(overrides)
    if words.experimental_rerun is not None:
        parser.error("--experimental-rerun reads a pickle, which may run anything; resume=<run> goes on with a run")
    utils._run_hydra(words, parser, task, config_path=str(conf_dir()), config_name=name)


def _called(act: Callable[[], object]) -> object:
    return act()


def _refuse_words(name: str, message: str) -> NoReturn:
    """Say in one line, without the usage of all flags, what argparse does not take."""
    flags = re.findall(r"(?<!\S)--?([\w./]+=\S*)", message)
    hint = f"; keys have no dashes before them: {' '.join(flags)}" if flags else "; values are given as key=value"
    hint += "".join(hint_of_absent(each.partition("=")[0]) for each in flags[:1])
    _say_and_exit(name, message + (hint if message.startswith("unrecognized") else ""))


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
