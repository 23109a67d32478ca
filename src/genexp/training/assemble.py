"""A composed configuration made into a live experiment: data, model, sampler, callbacks, loggers, trainer."""

import math
from dataclasses import dataclass, field

import torch
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from genexp.callbacks.known_codes import known_codes
from genexp.callbacks.resume_point import ResumePoint, Resumption
from genexp.config.fields import SWITCHES
from genexp.config.instantiate import build, build_dict
from genexp.config.strategy import require_safe_strategy
from genexp.contracts.codecs import codec_of
from genexp.data.datamodule import ImageData
from genexp.families.base import Family
from genexp.hardware import look_for_no_gpus
from genexp.runs.run_folder import RunFolder
from genexp.tracking.journal import Journal
from genexp.tracking.logger_nodes import logger_nodes
from genexp.tracking.past import tell
from genexp.training.hooks import NoProfile, skip_empty_hooks
from genexp.training.quiet import quiet_lightning

SHARDING = "fsdp"
"""The strategy that shares out the weights, by `genexp.training.sharding`; Lightning's own of this name wants CUDA."""
_PLAIN_DDP = ("ddp", "ddp_fork", "ddp_notebook")


@dataclass
class Experiment:
    """The live objects of one run."""

    data: ImageData
    model: Family
    callbacks: dict[str, Callback]
    loggers: dict[str, Logger]
    trainer: Trainer
    notes: dict[str, str] = field(default_factory=dict)
    """What a person is told of how the model begins, by a word."""


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
    model.arrange(**{name: config.training[name] for name in SWITCHES if name in config.training})
    notes = _begun(model, config, point is None)
    callbacks = build_dict(_with_paths(config.callbacks, folder))
    if (codes := known_codes(codec_of(model), data)) is not None:
        callbacks["known_codes"] = codes
    journal = Journal(folder.path)
    callbacks["continuation"] = Resumption(journal, point)
    loggers = {"journal": journal, **build_dict(logger_nodes(config, folder))}
    if point is not None:
        tell(loggers, journal.past(point, repeats))
    skip_empty_hooks(callbacks.values())
    trainer = _trainer(config, folder, model, list(callbacks.values()), list(loggers.values()))
    return Experiment(data, model, callbacks, loggers, trainer, notes)


def _begun(model: Family, config: DictConfig, new: bool) -> dict[str, str]:
    """Give a new model the weights that it begins with, settle what of it learns how fast; what there is to tell."""
    notes, still = {}, []
    if new and config.get("initial") is not None:
        notes["initial"] = build(config.initial).give(model)
    if config.get("adapters") is not None:
        adapters = build(config.adapters)
        still = adapters.adapt(model)
        notes["adapters"] = adapters.note(model)
    model.freeze(config.training.get("freeze") or [], still)
    model.set_rates(config.training.get("rate_factors") or {})
    settled = {"frozen": model.frozen_layers.note(), "rates": model.rate_factors.note()}
    return notes | {word: note for word, note in settled.items() if note is not None}


def _with_paths(callbacks: DictConfig, folder: RunFolder) -> DictConfig:
    callbacks = callbacks.copy()
    if callbacks.get("checkpoints") is not None:
        callbacks.checkpoints.directory = str(folder.path / callbacks.checkpoints.directory)
    return callbacks


def _trainer(
    config: DictConfig, folder: RunFolder, model: Family, callbacks: list[Callback], loggers: list[Logger]
) -> Trainer:
    node = config.trainer.copy()
    if node.get("val_check_interval") is None:
        node.val_check_interval = max(1, math.ceil(config.training.evaluate_every / config.data.batch_size))
    profiler = node.get("profiler")
    if OmegaConf.is_dict(profiler) and profiler.get("dirpath") is None:
        profiler.dirpath = str(folder.path)
    unwatched = {"profiler": NoProfile()} if profiler is None else {}
    require_safe_strategy(node.get("strategy", "auto"), node.devices)
    node.strategy = strategy_for(model, node)
    chosen: dict[str, object] = {}
    if node.strategy == SHARDING:
        from genexp.training.sharding import GatheredWeights, Sharding

        model.require_shardable(str(node.precision))
        chosen["strategy"], callbacks = Sharding(), [GatheredWeights(), *callbacks]
    if node.get("deterministic") is False and not torch.are_deterministic_algorithms_enabled():
        node.deterministic = None  # torch imports its compiler to switch off what is off
    look_for_no_gpus()
    with quiet_lightning():
        return build(
            node,
            **chosen,
            callbacks=callbacks,
            logger=loggers,
            default_root_dir=str(folder.path),
            enable_checkpointing=any(type(c).__name__ == "Checkpoints" for c in callbacks),
            **unwatched,
        )


def strategy_for(model: Family, trainer: DictConfig) -> str:
    """The strategy for a family: networks that take turns leave parameters without a gradient, which DDP must expect.

    With one network it need not look for these in every batch, of which PyTorch would warn.
    """
    strategy = trainer.get("strategy", "auto")
    if len(model.updates) == 1:
        return strategy
    if strategy == "auto" and not (trainer.devices == 1 and trainer.get("num_nodes", 1) == 1):
        strategy = "ddp"  # as Lightning chooses
    return f"{strategy}_find_unused_parameters_true" if strategy in _PLAIN_DDP else strategy
