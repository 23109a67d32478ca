"""Which folder a training run writes to: a new one of its own, or the one it continues. Imports no torch."""

import contextlib
import os
import sys
import time
from pathlib import Path

from omegaconf import OmegaConf

from genexp.config.compose import config_digest
from genexp.files.ids import new_run_id
from genexp.files.trees import Tree
from genexp.files.writing import write_atomically
from genexp.ranks import is_further_rank
from genexp.runs.provenance import command_line, provenance
from genexp.runs.records import require_readable
from genexp.runs.run_folder import OVERRIDES, RECORD, RunFolder, newest_unfinished, run_path
from genexp.runs.trust import seal
from genexp.training.machines import require_machines
from genexp.training.same_run import is_of, with_new_keys
from genexp.training.tags import id_from_agent
from genexp.training.taking_up import ClaimedRun, typed_overrides


def claim_folder(plain: Tree) -> ClaimedRun:
    """The folder of this run, and the checkpoint to continue from if there is one.

    A run that is continued stays as it is until `Claim.take_up`.

    Rank zero holds the folder from here on, and so keeps every other process out of it; `release` ends that.

    Args:
        plain: The resolved configuration.

    Raises:
        FileNotFoundError: `resume` names no run, or a run without a checkpoint.
        FileExistsError: `run_dir` already holds a run, and `resume` is not auto.
        ValueError: `run_dir` holds a run of another configuration, another process still trains the run, further
            ranks do not know its folder, or further machines would not find each other.
    """
    require_machines(plain)
    if is_further_rank():
        folder = _folder_of_rank_zero(plain)
        return ClaimedRun(folder, _checkpoint_of(folder, plain["resume"]), is_further=True)
    outputs = Path(plain["paths"]["outputs"]).expanduser().resolve()
    folder = _to_continue(plain, outputs)
    if folder is None:
        return ClaimedRun(_new_folder(plain, outputs))
    try:
        return _continued(folder, plain)
    except BaseException:
        folder.release()
        raise


def _folder_of_rank_zero(plain: Tree, patience: float = 600.0) -> RunFolder:
    """The folder that rank zero has claimed; `run_dir` names it where Lightning does not start the ranks."""
    given = os.environ.get("GENEXP_RUN_DIR") or plain["run_dir"]
    if given is None:
        raise ValueError("run_dir must name the run's folder where the ranks are started from outside, got null")
    folder = RunFolder(Path(given).expanduser().resolve())
    deadline = time.monotonic() + patience
    while not folder.begun:
        if time.monotonic() > deadline:
            raise FileNotFoundError(f"run_dir must be claimed by rank zero, got {folder.path} without a run")
        time.sleep(0.1)
    return folder


def _to_continue(plain: Tree, outputs: Path) -> RunFolder | None:
    """The run that `resume` means, held by this process, or None to begin a new one."""
    resume = plain["resume"]
    if resume is None:
        return None
    if resume != "auto":
        folder = RunFolder.open(resume, "resume")
        if not folder.hold():
            raise ValueError(f"resume must name a run that has ended, got {resume}, which is still running")
        return folder
    if plain["run_dir"] is not None:
        return _unfinished(RunFolder(Path(plain["run_dir"]).expanduser().resolve()), plain)
    while (folder := newest_unfinished(outputs, lambda each: is_of(each, plain))) is not None:
        if folder.hold():
            return folder
    return None


PATIENCE = 120.0
"""Seconds that a run which is called again waits for its former process: a file server notices late that one died."""


def _unfinished(folder: RunFolder, plain: Tree) -> RunFolder | None:
    """The run in `run_dir`, which a cluster calls again; None where none was begun.

    One that was killed before it had written its configuration has nothing to be continued, so its record goes.
    """
    if not (folder.path / RECORD).is_file():
        return None
    if folder.is_running:
        print(f"waiting     for the process that still trains {folder.path}", file=sys.stderr, flush=True)
    if not folder.hold(PATIENCE):
        raise ValueError(f"run_dir must hold a run that has ended, got {folder.path}, which is still running")
    try:
        if not folder.begun and not any(folder.checkpoints.glob("*.ckpt")):
            (folder.path / RECORD).unlink(missing_ok=True)
            folder.release()
            return None
        if not is_of(folder, plain):
            raise ValueError(f"run_dir must hold a run of this configuration, got {folder.path}: another one is there")
    except BaseException:
        folder.release()
        raise
    return folder


def _continued(folder: RunFolder, plain: Tree) -> ClaimedRun:
    """What is continued in a folder that this process holds; without a checkpoint it begins anew. Nothing is written.

    Raises:
        DamagedRun: a record of the run cannot be read.
        FileNotFoundError: the run has no checkpoint.
        ValueError: `run_dir` names another folder.
    """
    resume = plain["resume"]
    checkpoint = _checkpoint_of(folder, resume)
    if checkpoint is None and resume != "auto":
        raise FileNotFoundError(
            f"resume must name a run with a checkpoint, got {resume} ({folder.last} is missing): it ended before its "
            "first, so there is nothing to go on from; the same command without resume begins anew"
        )
    if plain["run_dir"] is not None and Path(plain["run_dir"]).expanduser().resolve() != folder.path:
        raise ValueError(f"run_dir must be null or the run that is resumed, {folder.path}, got {plain['run_dir']}")
    require_readable(folder.path)
    stored = with_new_keys(folder.config, plain) if resume == "auto" else folder.config
    for key in ("name", "threads"):  # as before: the same folder, and the same rounding
        if not any(each.startswith(f"{key}=") for each in typed_overrides()):
            plain[key] = stored[key]
    plain["group"] = plain["group"] or folder.record.get("group")
    return ClaimedRun(folder, checkpoint, stored, resumed=folder.record.get("resumed", 0))


def _checkpoint_of(folder: RunFolder, resume: str | None) -> Path | None:
    if resume is None:
        return None
    given = Path(resume).expanduser()
    if given.suffix == ".ckpt":
        return given.resolve() if given.is_file() else None
    return folder.last if folder.last.is_file() else None


def _new_folder(plain: Tree, outputs: Path) -> RunFolder:
    run_id, choices = id_from_agent() or new_run_id(), _choices()
    name, config = plain["name"] or _default_name(choices), OmegaConf.to_yaml(OmegaConf.create(plain))
    record = {
        "id": run_id,
        "name": name,
        "state": "running",
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": command_line(),
        "group": plain["group"],
        "tags": plain["tags"],
        "choices": choices,
        "config_digest": config_digest(plain),
        "seal": seal(run_id, typed_overrides(), config=config),
        **provenance(),
    }
    folder = RunFolder(_place(plain, outputs, name, run_id))
    folder.path.mkdir(parents=True, exist_ok=True)
    if not folder.hold():
        raise FileExistsError(f"run_dir must be a folder without a run, got {folder.path}: a process trains there")
    try:
        RunFolder.claim(folder.path, record)
        write_atomically(folder.path / OVERRIDES, OmegaConf.to_yaml(OmegaConf.create(typed_overrides())))
        write_atomically(folder.config_path, config)
    except BaseException as error:
        folder.release()
        if isinstance(error, OSError) and not isinstance(error, FileExistsError):
            _abandon(folder)
        raise
    return folder


def _abandon(folder: RunFolder) -> None:
    """Leave nothing of a run that could not write its records, such as on a full disk."""
    with contextlib.suppress(OSError):
        for name in (RECORD, OVERRIDES, folder.config_path.name, ".running"):
            (folder.path / name).unlink(missing_ok=True)
        for each in (folder.samples, folder.checkpoints, folder.path):
            each.rmdir()


def _place(plain: Tree, outputs: Path, name: str, run_id: str) -> Path:
    if plain["run_dir"]:
        return Path(plain["run_dir"]).expanduser().resolve()
    sweep = _sweep_folder()
    return run_path(outputs, name, run_id) if sweep is None else sweep.with_name(f"{sweep.name}_{run_id}")


def _choices() -> dict[str, str]:
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return {}
    chosen = HydraConfig.get().runtime.choices
    kept = {str(key): str(value) for key, value in chosen.items() if value and key != "launcher"}
    return {key: value for key, value in kept.items() if not key.startswith("hydra/")}


def _default_name(choices: dict[str, str]) -> str:
    return "_".join(choices[key] for key in ("model", "data") if key in choices) or "run"


def _sweep_folder() -> Path | None:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return Path(HydraConfig.get().sweep.dir).resolve() / str(HydraConfig.get().job.num)
