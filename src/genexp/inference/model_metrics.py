"""The metrics of a model that an evaluation of runs is told, apart from those of images."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationKeyError

from genexp.config.instantiate import build_dict
from genexp.config.monitor import metric_class
from genexp.config.validation import require_valid
from genexp.evaluation.metrics.base import ModelMetric
from genexp.evaluation.over_model import require_data
from genexp.inference.run import Run


def metrics_of_model(config: DictConfig, runs: Sequence[Run]) -> dict[str, ModelMetric]:
    """The metrics of a model that are chosen, which every run's model must have.

    Raises:
        ValueError: a model does not have what one measures, there is no such metric, or one asks of the data what they
            do not have, or what they have otherwise in another run.
    """
    nodes = _nodes(config, runs[0])
    for run in runs[1:]:
        for name, node in _nodes(config, run).items():
            if node != nodes[name]:
                raise ValueError(f"metrics.{name} must be of runs of one data set, got others in {run.folder.path}")
    require_valid(OmegaConf.create({"metrics": nodes}), "evaluate")
    metrics = build_dict(OmegaConf.create(nodes))
    for name, metric in metrics.items():
        for run in runs:
            try:
                metric.require(run.model.source())
            except TypeError as error:
                raise ValueError(f"metrics.{name} must fit the model of the run: {error}") from error
    for run in runs:
        require_data(metrics, run.data.num_classes is not None, factored=True, others=True)
    return metrics


def without_those_of_models(config: DictConfig) -> DictConfig:
    """A configuration of `genexp evaluate` whose metrics look at images."""
    found = config.copy()
    with open_dict(found):
        found.metrics = {name: node for name, node in config.metrics.items() if not _is_of_model(name, node)}
    return found


def _is_of_model(name: str, node: DictConfig | None) -> bool:
    return node is not None and metric_class(name, node["_target_"]).kind == "model"


def _nodes(config: DictConfig, run: Run) -> dict[str, Any]:
    """Plain metrics of a model, in which interpolations of `data` are those of the run's."""
    known = config.copy()
    with open_dict(known):
        known.data = run.data
    found = {}
    for name, node in (known.metrics or {}).items():
        if _is_of_model(name, node):
            try:
                found[name] = OmegaConf.to_container(node, resolve=True)
            except InterpolationKeyError as error:
                told = str(error).splitlines()[0]
                raise ValueError(f"metrics.{name} asks for more than the run's data have: {told}") from error
    return found
