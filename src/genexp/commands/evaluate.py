"""genexp evaluate: how good a run's images are, with what every number means."""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from genexp.commands.first_checks import require_first
from genexp.files.trees import Tree
from genexp.hardware import chosen_threads
from genexp.inference.results import folder_of_none, keep_results, write_values
from genexp.inference.sampler_config import checked_sampler, sampler_label
from genexp.runs.newest import newest_hint

if TYPE_CHECKING:
    import torch

    from genexp.contracts import Batch
    from genexp.evaluation.evaluator import Summary
    from genexp.evaluation.images import ImageSet
    from genexp.evaluation.metrics.base import ModelMetric
    from genexp.evaluation.scores import Score
    from genexp.inference.image_sets import Side
    from genexp.inference.prepare import Measuring
    from genexp.inference.run import Run

Measure = Callable[[], list[Tree]]
OfModel = dict[str, "ModelMetric"]
"""Measures what a command names, with everything read and checked before; returns what is reported."""


def evaluate(config: DictConfig) -> None:
    """Measure what `config` names and leave values, protocols and pictures.

    Raises:
        ValueError: an option is out of range, images do not fit, or a metric needs more of them.
        FileNotFoundError: there is no such run, checkpoint or folder.
    """
    require_one_side(config)
    require_first(config, "evaluate")

    import torch

    from genexp.hardware import device_of
    from genexp.inference.refining import settle_several

    torch.set_num_threads(chosen_threads(config.threads))
    device = device_of(config.device)
    settle_several(config)
    if config.self_check:
        from genexp.inference.self_check import self_check

        self_check(config, device)
        return
    measure = _of_images(config, device) if config.run is None else _of_runs(config, device)
    begun = time.monotonic()
    _report(measure(), time.monotonic() - begun)


def require_one_side(config: DictConfig) -> None:
    """Raise ValueError unless either runs or images are given, or neither is needed."""
    if config.self_check:
        return
    given = [key for key in ("run", "generated") if config[key] is not None]
    if not given:
        outputs = Path(config.paths.outputs).expanduser().resolve()
        hint = newest_hint("genexp evaluate", outputs)
        raise ValueError(f"one of run and generated must be given, got neither; {hint}")
    if len(given) > 1:
        raise ValueError(f"one of run and generated must be given, got {' and '.join(given)}")


def _of_runs(config: DictConfig, device: "torch.device") -> Measure:
    from genexp.inference.generated_images import default_num
    from genexp.inference.links import follows
    from genexp.inference.model_metrics import metrics_of_model
    from genexp.inference.paired_evaluation import evaluate_pairs, maps_images
    from genexp.inference.prepare import opened_runs, prepare, require_drawable_runs
    from genexp.inference.soup import soup_of

    runs = opened_runs(config)
    if config.soup is not None:
        runs = [soup_of(config, runs)]
    if any(maps_images(run) for run in runs):
        return partial(evaluate_pairs, config, runs, device)
    if config.shares is not None or config.after is not None or follows(runs):
        return _of_one(config, runs, device)
    of_model = metrics_of_model(config, runs)
    if of_model and len(of_model) == len(config.metrics):
        if config.num is not None:
            told = f"num={config.num} is without effect on {', '.join(of_model)}"
            print(f"{told}: of the model itself, on whole splits, no image is drawn", file=sys.stderr)
        return lambda: [_measure_model(config, run, of_model, device) for run in runs]
    require_drawable_runs(config, runs)
    num = config.num or default_num(runs[0])
    measuring = prepare(config, runs[0], device, num)
    return lambda: [_measure_run(config, run, measuring, of_model, num, device) for run in runs]


def _of_one(config: DictConfig, runs: "list[Run]", device: "torch.device") -> Measure:
    """Several runs as one: an ensemble by its shares, or a cascade."""
    from genexp.inference.generated_images import default_num
    from genexp.inference.several import measured_as_one, require_of_images

    require_of_images(config, runs[-1])
    return measured_as_one(config, runs, device, config.num or default_num(runs[-1]), partial(_written, config))


def _of_images(config: DictConfig, device: "torch.device") -> Measure:
    from genexp.inference.image_sets import open_side
    from genexp.inference.prepare import prepare, reference_text

    reference_text(config, None)
    side = open_side(str(config.generated), {}, device, config.num, config.seed, key="generated")
    measuring = prepare(config, None, device, side.images.count, side)
    return lambda: [_measure_side(config, side, measuring)]


def _measure_model(config: DictConfig, run: "Run", metrics: OfModel, device: "torch.device") -> Tree:
    """Values of a run's model alone: nothing is drawn."""
    scores = _scores_of_model(config, run, metrics, device)

    def write(folder: Path) -> Tree:
        folder.mkdir(parents=True, exist_ok=True)
        return write_values(scores, {}, run.subject, folder, [])

    return keep_results(config, run, run.name_of("model", f"seed{config.seed}"), write)


def _scores_of_model(config: DictConfig, run: "Run", metrics: OfModel, device: "torch.device") -> dict[str, "Score"]:
    from genexp.evaluation.over_model import scores_of_model
    from genexp.inference.image_sets import open_side, tracked

    def split(name: str) -> "ImageSet":
        return tracked(open_side(name, {"": run.data}, device, like=run.data).images, "the model on")

    return scores_of_model(metrics, run.model.to(device).source(), split, config.seed, run.weights)


def _measure_run(
    config: DictConfig, run: "Run", measuring: "Measuring", of_model: OfModel, num: int, device: "torch.device"
) -> Tree:
    from genexp.evaluation.scores import Generated
    from genexp.inference.generated_images import Samples
    from genexp.terminal import progress

    node = checked_sampler(run.config, config.get("sampler"), "evaluate")
    samples = Samples(run, node, num, config.seed, config.batch_size, device, told=config.told)
    with progress("samples", num) as advance:
        summary = measuring.evaluator.summarise(samples.batches(advance))
    generated = Generated(num, config.seed, run.weights, samples.described, samples.dealing)
    scores = measuring.scores(summary, generated) | _scores_of_model(config, run, of_model, device)
    told = [f"told_{config.told}"] if config.told else []
    name = run.name_of(str(num), f"seed{config.seed}", sampler_label(node), *told)
    subject = run.subject | ({"sampling": samples.sampling} if samples.sampling else {})
    write = partial(_written, config, measuring, scores, summary, samples.batches, subject=subject)
    return keep_results(config, run, name, write)


def _measure_side(config: DictConfig, side: "Side", measuring: "Measuring") -> Tree:
    from genexp.evaluation.dealing import dealing_of
    from genexp.evaluation.scores import Generated
    from genexp.inference.image_sets import tracked

    images = side.images.dealt()
    summary = measuring.evaluator.summarise(tracked(images, "features of").batches())
    note = f", {side.images.note}" if side.images.note else ""
    sampler = f"images {images.digest[:16]}{note}"
    generated = Generated(images.count, config.seed, "none", sampler, dealing_of(side.counts))
    scores = measuring.scores(summary, generated)
    folder = folder_of_none(config)
    subject = {"generated": str(config.generated), "digest": side.images.digest}
    result = _written(config, measuring, scores, summary, side.images.batches, folder, subject)
    return result | {"title": f"{config.generated}{note}"}


def _written(
    config: DictConfig,
    measuring: "Measuring",
    scores: dict[str, "Score"],
    summary: "Summary",
    batches: "Callable[[], Iterator[Batch]]",
    folder: Path,
    subject: Tree,
) -> Tree:
    """Write pictures and values; returns all that is reported."""
    from genexp.inference.evaluation_pictures import write_pictures, write_samples

    folder.mkdir(parents=True, exist_ok=True)
    data = measuring.side.datamodule
    grid = write_samples(batches, folder, config.grid, None if data is None else data.plane())
    pictures = ([grid] if grid else []) + write_pictures(measuring, summary, batches, folder, config.pictures)
    return write_values(scores, measuring.floor, subject, folder, pictures)


def _report(results: list[Tree], seconds: float) -> None:
    from genexp.evaluation.worth import worth
    from genexp.terminal import duration, print_columns, print_table, shown_path

    for measured in results:
        rows = [_row(key, value) for key, value in measured["result"]["values"].items()]
        first = next(iter(measured["scores"].values())).protocol
        drawn = f"{first.n_generated:,} images against" if first.n_generated else "the model on"
        print(f"\n{measured['title']}: {drawn} {first.n_reference:,} of {first.reference}")
        print_columns(("metric", "value", "without bias", "95 % interval", "real images", "better"), rows)
        protocols = [asdict(score.protocol) for score in measured["scores"].values()]
        lines = worth(protocols)
        lines += [("values", shown_path(measured["folder"] / "metrics.json"))]
        lines += [(path.stem, shown_path(path)) for path in measured["pictures"]]
        lines += [("upload to W&B", measured["sync"])] if measured.get("sync") else []
        print_table(lines)
    for other in results[1:]:
        _compare(results[0], other)
    print(f"measured in {duration(seconds)}")
    sys.stdout.flush()


def _row(key: str, value: Tree) -> tuple[str, ...]:
    reach = f"{value['low']:.4g} to {value['high']:.4g}" if "low" in value else "-"
    plain = f"{value['extrapolated']:.4g}" if "extrapolated" in value else "-"
    floor = f"{value['floor']:.4g}" if "floor" in value else "-"
    unit = f" {value['unit']}" if "unit" in value else ""
    return key, f"{value['value']:.4g}{unit}", plain, reach, floor, value["better"]


def _compare(first: Tree, second: Tree) -> None:
    """The paired test between two results over the same noise."""
    from genexp.evaluation.protocol import require_same
    from genexp.evaluation.uncertainty import paired
    from genexp.terminal import print_columns

    rows, how = [], "paired over the same noise"
    for key, one in first["scores"].items():
        other = second["scores"][key]
        require_same({first["title"]: one.protocol, second["title"]: other.protocol})
        if one.protocol.dealing != other.protocol.dealing:
            how = f"not paired: the first is dealt {one.protocol.dealing}, the second {other.protocol.dealing}"
        if one.value.draws and other.value.draws:
            found = paired(one.value.draws, other.value.draws)
            reach = f"{found.difference.low:.4g} to {found.difference.high:.4g}"
            rows.append((key, f"{found.difference.value:.4g}", reach, f"{found.p_value:.2g}"))
    if rows:
        print(f"\n{first['title']} minus {second['title']}, {how}")
        print_columns(("metric", "difference", "95 % interval", "p"), rows)
