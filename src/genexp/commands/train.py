"""genexp train: fit one model and leave a run folder that says everything about it."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from genexp.config.messages import told
from genexp.files.json_records import is_there
from genexp.files.trees import Tree
from genexp.terminal import counted, shown_path
from genexp.training.claim import claim_folder
from genexp.training.runs_beside import neighbours_of
from genexp.training.taking_up import ClaimedRun

if TYPE_CHECKING:
    from genexp.callbacks.resume_point import ResumePoint
    from genexp.families.base import Family
    from genexp.runs.run_folder import RunFolder
    from genexp.training.assemble import Experiment


def train(config: DictConfig) -> float | None:
    """Train, evaluate and keep the model that `config` describes.

    Returns:
        The best monitored value, for sweeps; None when nothing is monitored.
    """
    from genexp.config.validation import require_valid

    require_valid(config)

    from genexp.training.settle import settled

    plain = settled(config)
    neighbours = neighbours_of(plain)
    with neighbours.joined(plain, config.threads == "auto"):
        claim = claim_folder(plain)
        os.environ["GENEXP_RUN_DIR"] = str(claim.folder.path)
        try:
            if claim.has_nothing_left(plain):
                from genexp.training.closing import say_finished

                return say_finished(claim.folder)
            neighbours.settle(plain["threads"])
            return _fit(OmegaConf.create(plain), claim)
        finally:
            del os.environ["GENEXP_RUN_DIR"]
            claim.folder.release()


def _fit(config: DictConfig, claim: ClaimedRun) -> float | None:
    from genexp.training.closing import close_loggers, close_run, last_values, report_failure, seconds_before
    from genexp.training.processes import Ranks, launched
    from genexp.training.quiet import quiet_lightning
    from genexp.training.start import Start

    folder = claim.folder
    try:
        experiment, point = _prepared(config, claim)
    except BaseException:
        if claim.is_new:
            folder.discard_empty()
        raise
    trainer = experiment.trainer
    start = Start(
        lambda: _announce(config, claim, experiment, point),
        lambda well: close_loggers(experiment.loggers, last_values(folder) if well else {}, exit_code=0 if well else 1),
        trainer.loggers,
    )
    start.wait(trainer)
    if claim.is_new:
        start.announce()
    trainer.callbacks.append(Ranks())
    begun = time.monotonic() - (seconds_before(folder, point.images_seen) if point else 0.0)
    try:
        with quiet_lightning(), launched(trainer, lambda error: _give_up(folder, experiment, error)):
            checkpoint = claim.checkpoint
            trainer.fit(experiment.model, datamodule=experiment.data, ckpt_path=checkpoint, weights_only=True)
    except BaseException as error:
        if trainer.is_global_zero and claim.taken_up:
            report_failure(folder, experiment, error)
        if isinstance(error, SystemExit) and error.code is None:  # Lightning's of SIGTERM, which would read as success
            error.code = 128 + signal.SIGTERM
        raise
    return close_run(folder, experiment, time.monotonic() - begun) if trainer.is_global_zero else None


def _give_up(folder: "RunFolder", experiment: "Experiment", error: Exception) -> None:
    """Record and tell why this process ends, which may itself wait for a process that is gone."""
    from genexp.training.closing import report_failure

    report_failure(folder, experiment, error)
    print(f"genexp train: {error}", file=sys.stderr, flush=True)


def _prepared(config: DictConfig, claim: ClaimedRun) -> "tuple[Experiment, ResumePoint | None]":
    """The live experiment and the point that it goes on from, or None; nothing of a resumed run is changed."""
    from genexp.callbacks.checkpoint import load_checkpoint
    from genexp.callbacks.resume_point import ResumePoint
    from genexp.tracking.past import Past, tell
    from genexp.training.assemble import assemble
    from genexp.training.resuming import judges_otherwise, require_restorable, require_resumable

    if claim.checkpoint is None:
        experiment = assemble(config, claim.folder)
        if claim.before is not None:  # it begins anew, and so do its loggers
            tell(experiment.loggers, Past(0, [], []))
        return experiment, None
    checkpoint = load_checkpoint(claim.checkpoint)
    _require_sound_best(claim.folder.checkpoints / "best.ckpt")
    changed = claim.changed(OmegaConf.to_container(config))
    if claim.before is not None:
        require_resumable(config, claim.before, changed)
    point = ResumePoint.of(checkpoint)
    experiment = assemble(config, claim.folder, point, repeats=not changed)
    require_restorable(experiment, checkpoint, claim.checkpoint, changed)
    if "checkpoints" in experiment.callbacks and judges_otherwise(changed):
        experiment.callbacks["checkpoints"].judge_anew = True
        print(f"best        searched anew: {', '.join(judges_otherwise(changed))} changed", file=sys.stderr)
    return experiment, point


def _require_sound_best(path: Path) -> None:
    """Read the best checkpoint so far, to which a continued run compares its own, before anything is changed."""
    from genexp.callbacks.checkpoint import load_checkpoint

    try:
        _ = load_checkpoint(path) if is_there(path) else None
    except (ValueError, OSError) as error:
        raise ValueError(f"{told(error)}; without that file the best is searched anew") from error


def _parameter_counts(model: "Family") -> dict[str, int]:
    """Trainable and frozen parameters of every network and of what stands beside the networks; none twice."""
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        part = name.split(".")[0]
        counts[part] = counts.get(part, 0) + parameter.numel()
    return counts


def _announce(config: DictConfig, claim: ClaimedRun, experiment: "Experiment", point: "ResumePoint | None") -> Tree:
    """Write down that the run begins, and say what is about to happen.

    Returns:
        What the loggers should keep of it.
    """
    from genexp.config.trained_parts import trained_parts

    folder = claim.folder
    claim.take_up(OmegaConf.to_container(config))
    if point is not None:
        experiment.loggers["journal"].rewind(point)
    counts = _parameter_counts(experiment.model)
    digest = experiment.data.digest("train")
    if point is not None and folder.record.get("data_digest", digest) != digest:
        print("data        other examples than the run was trained on so far", file=sys.stderr)
    labelled = "label" in experiment.model.conditioning.names
    classes = experiment.data.label_counts("train") if labelled else None
    folder.update_record(
        parameters=counts,
        class_counts=classes,
        data_digest=digest,
        approval=config.approval,
        precision=config.trainer.precision,
        parts=trained_parts(OmegaConf.to_container(config)),
    )
    sizes = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    print(f"run         {shown_path(folder.path)}", file=sys.stderr)
    for number, line in enumerate(experiment.data.described()):
        print(f"{'            ' if number else 'data        '}{line}", file=sys.stderr)
    print(f"parameters  {sizes}", file=sys.stderr)
    for word, line in experiment.notes.items():
        print(f"{word:<11} {line}", file=sys.stderr)
    threads = f", {counted(config.threads, 'thread')}" if config.trainer.accelerator == "cpu" else ""
    print(f"hardware    {config.trainer.accelerator}, {config.trainer.precision}{threads}", file=sys.stderr)
    if point is not None:
        owed = ", with the evaluation that was due" if point.evaluation_owed else ""
        print(f"resuming    after {point.images_seen:,} images{owed}", file=sys.stderr)
    return OmegaConf.to_container(config) | {"run": folder.record, "parameters": counts, "data_digest": digest}
