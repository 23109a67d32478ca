"""A composed configuration made into a live experiment: data, model, sampler, callbacks, loggers, trainer."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from lightning import Callback, LightningDataModule, Trainer, seed_everything
from omegaconf import DictConfig, OmegaConf, open_dict

from genexp.callbacks.continuation import Continuation, ResumePoint
from genexp.families.base import Family
from genexp.runs.build import build, build_dict, quiet_lightning
from genexp.runs.folder import RunFolder
from genexp.runs.hardware import precision_of
from genexp.runs.loggers import Journal
from genexp.runs.monitor import value_directions
from genexp.runs.past import tell
from genexp.runs.provenance import chosen_threads

_PLAIN_DDP = ("ddp", "ddp_fork", "ddp_notebook")


@dataclass
class Experiment:
    """The live objects of one run."""

    data: LightningDataModule
    model: Family
    callbacks: dict[str, Callback]
    loggers: dict[str, Any]
    trainer: Trainer


def settle_hardware(config: DictConfig) -> None:
    """Replace every `auto` that depends on the machine, so that the saved configuration says what was used."""
    config.threads = chosen_threads(config.threads)
    trainer = config.trainer
    gpu = torch.cuda.is_available() and trainer.accelerator in ("auto", "gpu", "cuda")
    with open_dict(trainer):
        if trainer.get("precision") == "auto":
            trainer.precision = precision_of(gpu)
        if trainer.get("accelerator") == "auto":
            mps = torch.backends.mps.is_available()
            trainer.accelerator = "gpu" if gpu else "mps" if mps else "cpu"


def assemble(
    config: DictConfig, folder: RunFolder, point: ResumePoint | None = None, repeats: bool = True
) -> Experiment:
    """Build everything a run needs, seeded; nothing is trained yet.

    Args:
        config: The resolved training configuration.
        folder: The run's folder.
        point: Where the checkpoint stands that training continues from; None for a new run.
        repeats: Whether a continued run goes on as it was.

    Raises:
        DamagedRun: a resumed run's journal is damaged.
    """
    torch.set_num_threads(config.threads)
    with quiet_lightning():
        seed_everything(config.seed, verbose=False)
    data = build(config.data)
    model = build(config.model)
    model.seed = config.seed
    callbacks = build_dict(_with_paths(config.callbacks, folder))
    journal = Journal(folder.path)
    callbacks["continuation"] = Continuation(journal, point)
    loggers = {"journal": journal, **build_dict(logger_nodes(config, folder))}
    if point is not None:
        tell(loggers, journal.past(point, repeats))
    trainer = _trainer(config, folder, model, list(callbacks.values()), list(loggers.values()))
    return Experiment(data, model, callbacks, loggers, trainer)


def _with_paths(callbacks: DictConfig, folder: RunFolder) -> DictConfig:
    callbacks = callbacks.copy()
    if callbacks.get("checkpoints") is not None:
        callbacks.checkpoints.directory = str(folder.path / callbacks.checkpoints.directory)
    return callbacks


def logger_nodes(config: DictConfig, folder: RunFolder) -> DictConfig:
    """The loggers of a configuration, with the folder, id and name of the run filled in."""
    nodes = (config.get("logger") or OmegaConf.create({})).copy()
    largest = [name for name, better in value_directions(config.get("metrics")).items() if better == "higher"]
    for node in nodes.values():
        if "largest" in node:
            node.largest = [*node.largest, *largest]
        for key, value in _told_by(folder).items():
            if key in node and node[key] is None:
                node[key] = value
        if "monitor" in node and node.monitor is None:
            node.monitor = config.training.monitor
        if "run_id" in node and node.get("name") is None:
            node.name = f"{folder.record['name']}-{folder.record['id']}"
    return nodes


def _told_by(folder: RunFolder) -> dict[str, str | None]:
    place, record = str(folder.path), folder.record
    return {"directory": place, "save_dir": place, "run_id": record["id"], "group": record.get("group")}


def _trainer(
    config: DictConfig, folder: RunFolder, model: Family, callbacks: list[Callback], loggers: list[Any]
) -> Trainer:
    node = config.trainer.copy()
    if node.get("val_check_interval") is None:
        node.val_check_interval = max(1, math.ceil(config.training.evaluate_every / config.data.batch_size))
    profiler = node.get("profiler")
    if OmegaConf.is_dict(profiler) and profiler.get("dirpath") is None:
        profiler.dirpath = str(folder.path)
    require_safe_strategy(node.get("strategy", "auto"), node.devices)
    node.strategy = strategy_for(model, node)
    if node.get("deterministic") is False and not torch.are_deterministic_algorithms_enabled():
        node.deterministic = None  # torch imports its compiler to switch off what is off
    with quiet_lightning():
        return build(
            node,
            callbacks=callbacks,
            logger=loggers,
            default_root_dir=str(folder.path),
            enable_checkpointing=any(type(c).__name__ == "Checkpoints" for c in callbacks),
        )


def strategy_for(model: Family, trainer: DictConfig) -> Any:
    """The strategy for a family: networks that take turns leave parameters without a gradient, which DDP must expect.

    With one network it need not look for these in every batch, of which PyTorch would warn.
    """
    strategy = trainer.get("strategy", "auto")
    if len(model.updates) == 1:
        return strategy
    if strategy == "auto" and not (trainer.devices == 1 and trainer.get("num_nodes", 1) == 1):
        strategy = "ddp"  # as Lightning chooses
    return f"{strategy}_find_unused_parameters_true" if strategy in _PLAIN_DDP else strategy


def require_safe_strategy(strategy: Any, devices: Any) -> None:
    """Refuse a strategy that cannot start a run's processes, and several processes a run where jobs share one.

    Raises:
        ValueError: it is one of these.
    """
    if str(strategy).startswith("ddp_spawn"):
        raise ValueError(
            f"strategy must be ddp or ddp_fork, got {strategy}: processes that are spawned are sent all parts of a "
            "run, which no file can hold"
        )
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    alone = str(devices) == "1" and str(strategy) in ("auto", "single_device")
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN and not alone:
        launcher = str(HydraConfig.get().launcher.get("_target_"))
        raise ValueError(
            f"several processes a run in a sweep must use launcher=pool or launcher=slurm, got "
            f"{launcher.rpartition('.')[2]} with strategy={strategy} and devices={devices}: one process for all jobs "
            "keeps the ranks of the first for the next, and its ranks repeat the whole sweep"
        )
