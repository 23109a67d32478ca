"""An evaluation made ready: real images summarised, metrics and features built, before anything is generated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationKeyError

from genexp.conditioning.base import ConditionKind
from genexp.config.compose import SPLITS, data_name, several
from genexp.config.instantiate import build, build_dict
from genexp.config.monitor import value_directions
from genexp.config.validation import require_valid
from genexp.evaluation.cache import TensorCache
from genexp.evaluation.captions import Texts, of_captions, require_told
from genexp.evaluation.evaluator import Evaluator, Reference, Summary
from genexp.evaluation.gallery import Gallery
from genexp.evaluation.metrics.base import Metric, ModelMetric
from genexp.evaluation.scores import Generated, Score
from genexp.inference.drawing import require_drawable
from genexp.inference.image_sets import Side, open_side, tracked
from genexp.inference.links import require_one_shape
from genexp.inference.model_metrics import without_those_of_models
from genexp.inference.run import Run, load_run
from genexp.inference.sampler_config import checked_sampler
from genexp.sample_kinds import SampleKind, kind_of
from genexp.sampling.draw import told_by

if TYPE_CHECKING:
    import torch

GALLERY = "gallery"


@dataclass
class Measuring:
    """What measures a set of images: the evaluator, the reference as it sees it, and the floor.

    Args:
        evaluator: The metrics and their features; with a `Gallery` under the name `gallery` if pictures are wanted.
        side: The reference images.
        reference: The reference as the metrics see it.
        floor_side: Real images that are compared with the reference in the same way, or None.
        floor: Their scores by key.
    """

    evaluator: Evaluator
    side: Side
    reference: Reference
    floor_side: Side | None
    floor: dict[str, Score]

    @property
    def gallery(self) -> Gallery | None:
        """What chooses pictures, if they are wanted."""
        return self.evaluator.metrics.get(GALLERY)

    def scores(self, summary: Summary, generated: Generated) -> dict[str, Score]:
        """All values of a summarised set under their keys."""
        return self.evaluator.scores(summary, self.reference, generated)


def prepare(
    config: DictConfig,
    run: Run | None,
    device: "torch.device",
    num: int | None = None,
    other: Side | None = None,
    told: Mapping[str, ConditionKind] | None = None,
) -> Measuring:
    """Open the reference and the floor, build extractor and metrics, and summarise the real images.

    Args:
        config: The configuration of `genexp evaluate`; its `data` and `extractor` are filled in.
        run: The run that is measured, or None.
        device: Where features are computed.
        num: Number of images that will be compared, where it is known.
        other: These images, where they exist already.
        told: What they are drawn under, by name; None for what the run's sampler tells it.

    Raises:
        ValueError: bad images, or too few for a metric; an unknown key; an extractor that does not serve.
    """
    known = _known(config, run)
    side = open_side(reference_text(config, run), known, device, key="reference")
    if other is not None:
        require_same_shape(other, side)
    with open_dict(config):
        config.data = side.data
        config.extractor = config.get("extractor") or _own_extractor(run)
    chosen = config if run is None else without_those_of_models(config)
    nodes = {name: _resolved(chosen, name) for name in ("extractor", "metrics")}
    require_valid(OmegaConf.create(nodes), "evaluate")
    value_directions(nodes["metrics"])
    metrics, of_model = by_kind(build_dict(OmegaConf.create(nodes["metrics"])))
    if run is None and of_model:
        raise ValueError(f"metrics must compare images where run is null, got {', '.join(of_model)}, of a model")
    require_named(metrics)
    if run is not None:
        _require_no_partners(metrics)
        _require_told(config, run, metrics, told, side.words)
    if other is not None and other.images.note:
        _require_no_pairs(metrics, other)
    if config.pictures and kind_of(side.images.shape) is SampleKind.IMAGES:
        metrics[GALLERY] = Gallery()
    cache = TensorCache(config.cache) if config.cache else None
    evaluator = Evaluator(build(OmegaConf.create(nodes["extractor"])), metrics, cache)
    reference = evaluator.reference(tracked(side.images, "features of"), num)
    floor_text = _floor_text(config, run)
    floor_side = None if floor_text is None else open_side(floor_text, known, device, key="floor")
    floor: dict[str, Score] = {}
    if floor_side is not None:
        require_same_shape(floor_side, side)
        floor = evaluator.floor(tracked(floor_side.images, "features of"), reference, num)
    return Measuring(evaluator, side, reference, floor_side, floor)


def require_named(metrics: Mapping[str, Metric | ModelMetric]) -> None:
    """Raise ValueError where there is no metric."""
    if not metrics:
        raise ValueError("metrics must name at least one metric, got none")


def by_kind(metrics: Mapping[str, Metric | ModelMetric]) -> tuple[dict[str, Metric], dict[str, ModelMetric]]:
    """Metrics of images and those of a model."""
    of_model = {name: metric for name, metric in metrics.items() if metric.kind == "model"}
    return {name: metric for name, metric in metrics.items() if name not in of_model}, of_model


def opened_runs(config: DictConfig) -> list[Run]:
    """The runs that are named, each with every choice of weights that is.

    Raises:
        ValueError: none is named.
        FileNotFoundError: there is no such run or checkpoint.
    """
    runs = [
        load_run(path, name, config.checkpoint, config.trust)
        for path in several(config.run)
        for name in several(config.weights)
    ]
    if not runs:
        raise ValueError(f"run and weights must name one at least, got {config.run} and {config.weights}")
    return runs


def require_drawable_runs(config: DictConfig, runs: Sequence[Run]) -> None:
    """Check that runs draw samples of one shape, and that the sampler draws from every one.

    Raises:
        ValueError: it does not, or they do not.
    """
    require_one_shape(runs)
    for run in runs:
        require_drawable(run.model, checked_sampler(run.config, config.get("sampler"), "evaluate"))


def reference_text(config: DictConfig, run: Run | None) -> str:
    """What names the reference images; the training split of a run's data unless told otherwise.

    Raises:
        ValueError: neither a reference nor a run is given.
    """
    if config.reference is None and run is None:
        raise ValueError("reference must name real images (a folder, or a data set as in digits:test), got null")
    return str(config.reference) if config.reference is not None else "train"


def _require_told(
    config: DictConfig,
    run: Run,
    metrics: Mapping[str, Metric],
    told: Mapping[str, ConditionKind] | None,
    words: Texts | None,
) -> None:
    """Raise ValueError for metrics of captions where samples are drawn without, or under those of other words."""
    needed = of_captions(metrics)
    if needed and told is None:
        sampler = build(checked_sampler(run.config, config.get("sampler"), "evaluate"))
        told = told_by(sampler, run.model.source(), run.model.conditioning).kinds
    require_told(needed, told or {}, words)


def require_same_shape(one: Side, reference: Side) -> None:
    """Raise ValueError unless images have the size and colour mode of the reference."""
    if one.images.shape != reference.images.shape:
        raise ValueError(
            f"images must have the shape of the reference, {reference.images.shape} (channels, height, width), got "
            f"{one.images.shape} of {one.images.name}"
        )


def _require_no_partners(metrics: Mapping[str, Metric]) -> None:
    """Raise ValueError for metrics of pairs where a run draws: image i that it draws is not made of real image i."""
    pairs = [name for name, metric in metrics.items() if metric.kind == "pairs"]
    if pairs:
        raise ValueError(
            f"metrics must not compare image i with image i where a run draws images of its own, got {pairs[0]}; with "
            "generated=<folder> it compares two folders, and translation, restored and autoencoding "
            "measure what a model makes of real images"
        )


def _require_no_pairs(metrics: Mapping[str, Metric], sampled: Side) -> None:
    pairs = [name for name, metric in metrics.items() if metric.kind == "pairs"]
    if pairs:
        raise ValueError(
            f"num must be null for {', '.join(pairs)}, which compare image i with image i, got {sampled.images.note}"
        )


def _resolved(config: DictConfig, name: str) -> Any:
    try:
        return OmegaConf.to_container(config[name], resolve=True)
    except InterpolationKeyError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{name} refer to more than a folder of images has ({', '.join(config.data)}): {reason}; name a data set "
            "instead, as in reference=digits"
        ) from error


def _known(config: DictConfig, run: Run | None) -> dict[str, DictConfig]:
    known: dict[str, DictConfig] = {}
    name = data_name(str(config.reference)) if config.reference is not None else None
    if name is not None and config.get("data") is not None:
        known[name] = known[""] = config.data
    if run is not None and {reference_text(config, run), _floor_text(config, run)} & set(SPLITS):
        known[""] = run.data
    return known


def _own_extractor(run: Run | None) -> DictConfig:
    """The run's own features, or for images without a configuration those that were trained on photographs."""
    if run is not None:
        return OmegaConf.create(OmegaConf.to_container(run.config.extractor, resolve=True))
    trained = "genexp.evaluation.extractors.classifiers.ClassifierFeatures"
    return OmegaConf.create({"_target_": trained, "asset": "cifar_vgg"})


def _floor_text(config: DictConfig, run: Run | None) -> str | None:
    if config.floor != "auto":
        return None if config.floor is None else str(config.floor)
    text = reference_text(config, run)
    if text in SPLITS:
        return "test" if text != "test" else None
    name = data_name(text)
    return f"{name}:test" if name is not None and not text.endswith(":test") else None
