"""Which folder a training run writes to: a new one of its own, or the one it continues. Imports no torch."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from genexp.runs.config import VOLATILE, config_digest, flat, load_config
from genexp.runs.folder import OVERRIDES, RunFolder, new_run_id, newest_unfinished, run_path, write_atomically
from genexp.runs.provenance import command_line, provenance


def claim_folder(plain: dict[str, Any]) -> tuple[RunFolder, Path | None]:
    """The folder of this run, and the checkpoint to continue from if there is one.

    Args:
        plain: The resolved configuration.

    Raises:
        FileNotFoundError: `resume` names no run, or a run without a checkpoint.
        FileExistsError: `run_dir` already holds a run.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":  # a further rank of a run that rank zero has claimed
        folder = RunFolder(Path(os.environ["GENEXP_RUN_DIR"]))
        return folder, _checkpoint_of(folder, plain["resume"])
    resume = plain["resume"]
    outputs = Path(plain["paths"]["outputs"]).expanduser().resolve()
    if resume is None:
        return _new_folder(plain, outputs), None
    folder = newest_unfinished(outputs, config_digest(plain)) if resume == "auto" else RunFolder.open(resume)
    if folder is None:
        return _new_folder(plain, outputs), None
    checkpoint = _checkpoint_of(folder, resume)
    if checkpoint is None and resume != "auto":
        raise FileNotFoundError(f"resume must name a run with a checkpoint, got {resume} ({folder.last} is missing)")
    _take_up(folder, plain)
    return folder, checkpoint


def _take_up(folder: RunFolder, plain: dict[str, Any]) -> None:
    """Record that a run is continued, and with which values other than before."""
    plain["threads"] = load_config(folder.config_path).threads  # as before, and so the same rounding
    before = flat(OmegaConf.to_container(load_config(folder.config_path)))
    now = flat(plain)
    changed = {
        key: [before.get(key), now.get(key)]
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and key.split(".")[0] not in VOLATILE
    }
    for key, (old, new) in changed.items():
        print(f"changed     {key}: {old} -> {new}", file=sys.stderr)
    folder.update_record(state="running", resumed=folder.record.get("resumed", 0) + 1, changed=changed)
    write_atomically(folder.config_path, OmegaConf.to_yaml(OmegaConf.create(plain)))
    if _overrides():
        write_atomically(folder.path / OVERRIDES, OmegaConf.to_yaml(OmegaConf.create(_overrides())))


def _checkpoint_of(folder: RunFolder, resume: str | None) -> Path | None:
    if resume is None:
        return None
    given = Path(resume).expanduser()
    if given.suffix == ".ckpt":
        return given.resolve() if given.is_file() else None
    return folder.last if folder.last.is_file() else None


def _new_folder(plain: dict[str, Any], outputs: Path) -> RunFolder:
    run_id, choices = new_run_id(), _choices()
    name = plain["name"] or _default_name(choices)
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
        **provenance(),
    }
    folder = RunFolder.claim(_place(plain, outputs, name, run_id), record)
    write_atomically(folder.config_path, OmegaConf.to_yaml(OmegaConf.create(plain)))
    write_atomically(folder.path / OVERRIDES, OmegaConf.to_yaml(OmegaConf.create(_overrides())))
    return folder


def _place(plain: dict[str, Any], outputs: Path, name: str, run_id: str) -> Path:
    if plain["run_dir"]:
        return Path(plain["run_dir"]).expanduser().resolve()
    sweep = _sweep_folder()
    return run_path(outputs, name, run_id) if sweep is None else sweep.with_name(f"{sweep.name}_{run_id}")


def _choices() -> dict[str, str]:
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return {}
    chosen = HydraConfig.get().runtime.choices
    return {str(key): str(value) for key, value in chosen.items() if value and not str(key).startswith("hydra/")}


def _overrides() -> list[str]:
    from hydra.core.hydra_config import HydraConfig

    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def _default_name(choices: dict[str, str]) -> str:
    if "experiment" in choices:
        return choices["experiment"].replace("/", "_")
    return "_".join(choices[key] for key in ("model", "data") if key in choices) or "run"


def _sweep_folder() -> Path | None:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return Path(HydraConfig.get().sweep.dir).resolve() / str(HydraConfig.get().job.num)
