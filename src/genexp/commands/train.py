"""genexp train: fit one model and leave a run folder that says everything about it."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genexp.runs.claim import claim_folder, is_further_rank
from genexp.terminal import counted, shown_path


def train(config: DictConfig) -> float | None:
    """Train, evaluate and keep the model that `config` describes.

    Returns:
        The best monitored value, for sweeps; None when nothing is monitored.
    """
    from genexp.runs.config import resolved
    from genexp.runs.experiment import settle_hardware
    from genexp.runs.labels import settle_labels
    from genexp.runs.monitor import settle_monitor
    from genexp.runs.places import with_absolute_places
    from genexp.runs.validation import require_valid

    require_valid(config)
    settle_hardware(config)
    settle_monitor(config)
    settle_labels(config)
    plain = with_absolute_places(resolved(config))
    folder, checkpoint = claim_folder(plain)
    os.environ["GENEXP_RUN_DIR"] = str(folder.path)
    try:
        return _fit(OmegaConf.create(plain), folder, checkpoint)
    finally:
        del os.environ["GENEXP_RUN_DIR"]
        folder.release()


def _fit(config: DictConfig, folder: Any, checkpoint: Path | None) -> float | None:
    from genexp.callbacks.checkpoint import load_checkpoint
    from genexp.commands.closing import close_run, report_failure
    from genexp.runs.build import quiet_lightning
    from genexp.runs.experiment import assemble

    resume_at = load_checkpoint(checkpoint)["counters"]["images_seen"] if checkpoint else 0
    try:
        experiment = assemble(config, folder, resume_at)
    except BaseException:
        if checkpoint is None and not is_further_rank():
            folder.discard_empty()
        raise
    trainer = experiment.trainer
    begun = time.monotonic()
    try:
        if trainer.is_global_zero:
            _announce(config, folder, experiment, resume_at)
        with quiet_lightning():
            trainer.fit(experiment.model, datamodule=experiment.data, ckpt_path=checkpoint, weights_only=True)
    except BaseException as error:
        if trainer.is_global_zero:
            report_failure(folder, experiment, error)
        raise
    return close_run(folder, experiment, time.monotonic() - begun) if trainer.is_global_zero else None


def _parameter_counts(model: Any) -> dict[str, int]:
    """Trainable and frozen parameters of every network and of what stands beside the networks; none twice."""
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        part = name.split(".")[0]
        counts[part] = counts.get(part, 0) + parameter.numel()
    return counts


def _announce(config: DictConfig, folder: Any, experiment: Any, resume_at: int) -> None:
    """Say what is about to happen and give the loggers everything they should keep."""
    counts = _parameter_counts(experiment.model)
    digest = experiment.data.digest("train")
    folder.update_record(parameters=counts, data_digest=digest, precision=config.trainer.precision)
    described = OmegaConf.to_container(config) | {"run": folder.record, "parameters": counts, "data_digest": digest}
    for logger in experiment.loggers.values():
        logger.log_hyperparams(described)
        _ = logger.experiment  # opened here, in the parent of processes that a strategy may fork
    sizes = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    print(f"run         {shown_path(folder.path)}", file=sys.stderr)
    for number, line in enumerate(experiment.data.described()):
        print(f"{'            ' if number else 'data        '}{line}", file=sys.stderr)
    print(f"parameters  {sizes}", file=sys.stderr)
    threads = f", {counted(config.threads, 'thread')}" if config.trainer.accelerator == "cpu" else ""
    print(f"hardware    {config.trainer.accelerator}, {config.trainer.precision}{threads}", file=sys.stderr)
    if resume_at:
        print(f"resuming    after {resume_at:,} images", file=sys.stderr)
