"""genexp evaluate of several runs as one."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from genexp.evaluation.scores import Generated
from genexp.files.trees import Tree
from genexp.inference.cascade import Cascade, stages_of
from genexp.inference.ensemble import Ensemble
from genexp.inference.model_metrics import metrics_of_model
from genexp.inference.prepare import prepare
from genexp.inference.results import folder_of_none, keep_results
from genexp.inference.run import Run
from genexp.inference.sampler_config import sampler_label
from genexp.runs.ensembles import keep_ensemble

if TYPE_CHECKING:
    import torch


def measured_as_one(
    config: DictConfig, runs: Sequence[Run], device: "torch.device", num: int, write: Callable[..., Tree]
) -> Callable[[], list[Tree]]:
    """What measures several runs as one, with everything checked before: by their shares, or one after the other.

    Args:
        config: The configuration of `genexp evaluate`.
        runs: The runs; the images of the last are compared with its data.
        device: Where they draw.
        num: Number of images.
        write: Writes pictures and values: of `Measuring`, scores, summary, batches, folder and what was measured.

    Raises:
        ValueError: the runs do not go together, or a sampler does not draw from one.
    """
    drawn: Ensemble | Cascade
    if config.shares is not None:
        given = (list(config.shares), config.get("sampler"), num, config.seed, config.batch_size, device, config.told)
        drawn, title = Ensemble(runs, *given), f"ensemble of {len(runs)} runs"
    else:
        stages = stages_of(runs, config.get("sampler"), {}, config.seed, "evaluate")
        drawn, title = Cascade(stages, num, config.batch_size, device, config.told), f"cascade of {len(runs)} runs"
    kinds = drawn.kinds if isinstance(drawn, Cascade) else None
    measuring = prepare(config, runs[-1], device, num, told=kinds)

    def measure() -> list[Tree]:
        summary = measuring.evaluator.summarise(drawn.batches())
        generated = Generated(num, config.seed, runs[-1].weights, drawn.described, drawn.dealing)
        scores = measuring.scores(summary, generated)
        written = partial(write, measuring, scores, summary, drawn.batches, subject=drawn.subject)
        if isinstance(drawn, Cascade):  # the images are those of the last run, and so are the values
            before = "-".join(run.folder.record["id"][-4:] for run in runs[:-1])
            label = sampler_label(drawn.stages[-1].sampler)
            told = [f"told_{config.told}"] if config.told else []
            name = runs[-1].name_of(f"after-{before}", str(num), f"seed{config.seed}", label, *told)
            return [keep_results(config, runs[-1], name, written) | {"title": title}]
        found = written(folder_of_none(config))
        members = [(run.folder.path, share, run.digest) for run, share in zip(runs, config.shares, strict=True)]
        result = {name: value for name, value in found["result"].items() if name != "values"}
        keep_ensemble(Path(config.paths.outputs), members, found["result"]["values"], result)
        return [found | {"title": title}]

    return measure


def require_of_images(config: DictConfig, last: Run) -> None:
    """Raise ValueError where a metric is of a model, which several runs drawn from as one have not."""
    if of_model := metrics_of_model(config, [last]):
        raise ValueError(f"metrics must be of images with several runs, got {', '.join(of_model)}, of a model")
