"""genexp evaluate of models that map images: how far what they render is from what it should be, over pairs."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from genexp.files.trees import Tree
from genexp.inference.results import keep_results, write_values
from genexp.inference.sampler_config import checked_sampler, sampler_label

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from genexp.contracts import JudgedMap, Sampler
    from genexp.data.datamodule import ImageData
    from genexp.data.stream import EvalLoader
    from genexp.evaluation.scores import Score
    from genexp.inference.run import Run


def maps_images(run: "Run") -> bool:
    """Whether a run's model renders given images and can judge what it renders."""
    from genexp.contracts import JudgedMap

    return isinstance(run.model.source(), JudgedMap)


def evaluate_pairs(config: DictConfig, runs: Sequence["Run"], device: "torch.device") -> list[Tree]:
    """Measure the distances of every run's own yardstick over pairs of its data, after 8-bit rounding.

    Returns:
        What `genexp evaluate` reports of each run.

    Raises:
        ValueError: a run draws images from noise, or an option belongs to such runs.
    """
    require_options_of_pairs(config, runs)
    return [_measure(config, run, device) for run in runs]


def require_options_of_pairs(config: DictConfig, runs: Sequence["Run"]) -> None:
    """Raise ValueError where a run draws images from noise, or an option belongs to such runs."""
    from genexp.config.compose import SPLITS

    rule = "for a model that maps images, which is measured by its own distances"
    for run in runs:
        if not maps_images(run):
            raise ValueError(f"run must not mix models that map images with others, got {run.folder.path}")
    if config.metrics:
        raise ValueError(f"metrics must be none {rule}, got {', '.join(config.metrics)}")
    if config.get("extractor") is not None:
        raise ValueError(f"extractor must be null {rule}, got {config.extractor.get('_target_')}")
    if config.floor not in ("auto", None):
        raise ValueError(f"floor must be auto {rule}, got {config.floor}")
    if config.shares is not None:
        raise ValueError(f"shares must be null {rule}, got {config.shares}")
    if config.reference not in (None, *SPLITS):
        raise ValueError(
            f"reference must be {', '.join(SPLITS)} or null, which is test, {rule}, got {config.reference}"
        )


def _measure(config: DictConfig, run: "Run", device: "torch.device") -> Tree:
    from genexp.config.instantiate import build

    data, split = build(run.data), config.reference or "test"
    node = checked_sampler(run.config, config.get("sampler"), "evaluate")
    model, sampler = run.model.to(device).source(), build(node)
    loader, note = _pairs(data, split, config)
    values, shown = _rendered(loader, model, sampler, config, device)
    reference = f"{split}, {note}" if note else split
    scores = _scores(values, data.digest(split), reference, model, sampler, run, config.seed)
    pairs = [] if config.num is None else [str(config.num)]
    name = run.name_of(split, *pairs, sampler_label(node))
    return keep_results(config, run, name, partial(_written, run, scores, shown))


def _pairs(data: "ImageData", split: str, config: DictConfig) -> tuple["EvalLoader", str]:
    """The pairs that are measured, in batches, and how they were drawn where they are not all.

    The first ones in order would have one style and many contents.
    """
    from genexp.data.store import Subset
    from genexp.data.stream import EvalLoader
    from genexp.evaluation.images import sample_note, sampled_rows

    examples, num = data.stored(split).examples, config.num
    if num in (None, len(examples)):
        return data.eval_loader(split), ""
    if num > len(examples):
        raise ValueError(f"num must be at most the {len(examples)} pairs of {split}, got {num}")
    rows = sampled_rows(len(examples), num, None, config.seed)
    note = sample_note(len(examples), num, False, config.seed)
    return EvalLoader(Subset(examples, rows), data.eval_batch_size, labelled=False), note


def _rendered(
    loader: "EvalLoader", model: "JudgedMap", sampler: "Sampler", config: DictConfig, device: "torch.device"
) -> tuple[dict[str, list[float]], list["Tensor"]]:
    """The distances of every pair, and the first pairs as contents, styles and results."""
    import torch

    from genexp.evaluation.images import quantised
    from genexp.tensors import IndexedNoise

    values: dict[str, list[float]] = {}
    shown: list[torch.Tensor] = []
    for batch in loader:
        batch = {name: value.to(device) for name, value in batch.items()}
        with torch.no_grad():
            images = quantised(sampler.run(model, batch, IndexedNoise(config.seed, [], device)))
            for name, found in model.distances(images, batch).items():
                values.setdefault(name, []).extend(found.tolist())
        if config.grid and not shown:
            shown = [each[: min(config.grid, 12)].cpu() for each in (batch["content"], batch["style"], images)]
    return values, shown


def _scores(
    values: dict[str, list[float]],
    digest: str,
    split: str,
    model: "JudgedMap",
    sampler: "Sampler",
    run: "Run",
    seed: int,
) -> dict[str, "Score"]:
    from statistics import fmean

    from genexp.evaluation.metrics.base import DISTANCE, Value
    from genexp.evaluation.protocol import Protocol, describe
    from genexp.evaluation.scores import Score

    settings, encoder, encoder_digest = model.yardstick()
    scores = {}
    for name, draws in values.items():
        protocol = Protocol(
            metric=name,
            settings=settings,
            extractor=encoder,
            extractor_digest=encoder_digest,
            input_size=0,
            resize="none",
            quantiser="uint8",
            reference=split,
            reference_digest=digest,
            n_reference=len(draws),
            n_generated=len(draws),
            seed=seed,
            weights=run.weights,
            sampler=describe(sampler),
        )
        value = Value(fmean(draws), tuple(draws) if len(draws) > 1 else (), limits=DISTANCE)
        scores[protocol.key] = Score(protocol, value, "lower")
    return scores


def _written(run: "Run", scores: dict[str, "Score"], shown: list["Tensor"], folder: Path) -> Tree:
    from genexp.families.style_pairs import PARTS, rows
    from genexp.figures.samples import drawn
    from genexp.tensors import Grid
    from genexp.tracking.journal import save_png

    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    if shown:
        images, columns = rows(*shown)
        pictures.append(folder / "samples.png")
        several = [f"pair {i}" for i in range(columns)], PARTS
        words = {"across": several[0], "down": several[1]} if columns > 1 else {"across": PARTS}
        save_png(drawn(Grid(images, columns if columns > 1 else len(images), **words)), pictures[0])
    return write_values(scores, {}, run.subject, folder, pictures)
