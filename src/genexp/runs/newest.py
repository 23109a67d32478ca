"""Which run a person may have meant who named none: the newest finished one. Imports no torch."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from omegaconf import OmegaConf

from genexp.config.compose import conf_dir
from genexp.runs.run_folder import DamagedRun, RunFolder, runs_under
from genexp.terminal import typed_path


def outputs_folder() -> Path:
    """Where runs are, unless a command is told otherwise."""
    return Path(OmegaConf.load(conf_dir() / "paths" / "default.yaml").outputs).expanduser().resolve()


def finished_runs(outputs: Path, model: str | None = None) -> Iterator[RunFolder]:
    """The finished runs below a folder, newest first; damaged ones are passed over.

    Args:
        outputs: The folder.
        model: Only runs of this choice of model.
    """
    for folder in runs_under(outputs) if outputs.is_dir() else ():
        try:
            record = folder.record
        except DamagedRun:
            continue
        choices = record.get("choices")
        of_model = model is None or (isinstance(choices, dict) and choices.get("model") == model)
        if record.get("state") == "finished" and of_model:
            yield folder


def newest_hint(command: str, outputs: Path | None = None, model: str | None = None) -> str:
    """What to type instead, with the newest finished run; where there is none, how one is made.

    Args:
        command: What goes before the run, as `genexp sample`.
        outputs: Where runs are; by default as every command has it.
        model: The choice of model that a run must be of.
    """
    outputs = outputs or outputs_folder()
    for folder in itertools.islice(finished_runs(outputs, model), 1):
        return f"the newest finished one is  {command} run={typed_path(folder.path)}"
    made = f"genexp train model={model}" if model else "genexp train"
    return f"there is no finished one below {typed_path(outputs)}; {made} makes one"
