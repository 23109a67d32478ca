"""Optuna's samplers and pruners by a word, seeded so that restarts and other processes do not repeat values."""

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from genexp.files.trees import Tree
from genexp.sweeps.question import Choices
from genexp.sweeps.study.space import Parameter, shown, written
from genexp.sweeps.study.study_plan import SearchPlan

SAMPLERS: dict[str, tuple[type[optuna.samplers.BaseSampler], Tree]] = {
    "tpe": (optuna.samplers.TPESampler, {"constant_liar": True, "multivariate": False}),
    "random": (optuna.samplers.RandomSampler, {}),
    "grid": (optuna.samplers.RandomSampler, {}),
    "cmaes": (optuna.samplers.CmaEsSampler, {"warn_independent_sampling": False}),
    "nsga2": (optuna.samplers.NSGAIISampler, {}),
}
"""A grid is put into the study when it is made; its sampler has nothing left to choose."""

PRUNERS: dict[str, type[optuna.pruners.BasePruner]] = {
    "median": optuna.pruners.MedianPruner,
    "percentile": optuna.pruners.PercentilePruner,
    "successive_halving": optuna.pruners.SuccessiveHalvingPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
    "threshold": optuna.pruners.ThresholdPruner,
}
_SINGLE = (type(None), bool, int, float, str)


class PerTrialSampler(optuna.samplers.BaseSampler):
    """Asks a fresh sampler for every trial, seeded by the study's seed and the trial's number.

    A study is then the same whether or not it was interrupted, and processes that work on it never draw the same.

    Args:
        kind: Class of the samplers.
        settings: Their arguments.
        seed: Seed of the study.
    """

    def __init__(self, kind: type[optuna.samplers.BaseSampler], settings: Mapping[str, Any], seed: int) -> None:
        self.kind, self.settings, self.seed = kind, dict(settings), seed
        self._inner = self._seeded(0)

    def _seeded(self, number: int) -> optuna.samplers.BaseSampler:
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return self.kind(seed=seed, **self.settings)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Take the sampler of this trial."""
        self._inner = self._seeded(trial.number)
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that are chosen together."""
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Tree:
        """Values chosen together."""
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> object:
        """A value chosen alone."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Let the sampler learn how a trial ended."""
        self._inner.after_trial(study, trial, state, values)


def named(key: str, given: object, table: Mapping[str, object]) -> tuple[str, Tree]:
    """A word, or a mapping with `name` and arguments.

    Args:
        key: Where it was given, for the message.
        given: What was given.
        table: The words there are.

    Raises:
        ValueError: it is neither.
    """
    settings = dict(given) if isinstance(given, Mapping) else {"name": given}
    name = settings.pop("name", None)
    if name not in table:
        raise ValueError(f"{key} must be one of {', '.join(table)}, or {{name: ..., <arguments>}}, got {given!r}")
    return name, settings


def make_sampler(given: object, seed: int, plan: SearchPlan) -> tuple[str, PerTrialSampler]:
    """The sampler of `hydra.sweeper.sampler`, and its name.

    Raises:
        ValueError: there is none of this name, an argument is wrong, or it cannot search the plan's space.
    """
    name, settings = named("hydra.sweeper.sampler", given, SAMPLERS)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"hydra.sweeper.seed must be a number from 0, got {seed!r}")
    kind, defaults = SAMPLERS[name]
    _require_arguments(f"hydra.sweeper.sampler {name}", kind, settings)
    if name == "grid":
        plan.grid()
    if name == "cmaes":
        _require_numbers(plan)
    try:
        return name, PerTrialSampler(kind, defaults | settings, seed)
    except (ValueError, TypeError) as error:
        raise ValueError(f"hydra.sweeper.sampler must be arguments that {name} takes: {error}") from error
    except ImportError as error:
        raise ValueError(f"hydra.sweeper.sampler {name} must have its package: {error}") from error


def make_pruner(
    given: object, plan: SearchPlan, every: float | None, images: float | None
) -> optuna.pruners.BasePruner | None:
    """The pruner of `hydra.sweeper.pruner`, or None.

    Successive halving and hyperband compare first after one evaluation, and know the length of training.

    Args:
        given: A word, a mapping with `name` and arguments, or None.
        plan: What is searched.
        every: Images between two evaluations of a job.
        images: Length of a job.

    Raises:
        ValueError: there is none of this name, an argument is wrong, or there are several metrics.
    """
    if given is None:
        return None
    name, settings = named("hydra.sweeper.pruner", given, PRUNERS)
    metrics = plan.question.metrics
    if len(metrics) > 1:
        raise ValueError(f"hydra.sweeper.pruner must be null for several metrics ({', '.join(metrics)}), got {name}")
    _require_arguments(f"hydra.sweeper.pruner {name}", PRUNERS[name], settings)
    if name in ("successive_halving", "hyperband") and every:
        settings.setdefault("min_resource", int(every))
    if name == "hyperband" and images:
        settings.setdefault("max_resource", int(images))
    try:
        return PRUNERS[name](**settings)
    except (ValueError, TypeError) as error:
        raise ValueError(f"hydra.sweeper.pruner must have arguments that {name} takes: {error}") from error


def _require_arguments(where: str, kind: type, settings: Mapping[str, Any]) -> None:
    known = [name for name in inspect.signature(kind.__init__).parameters if name not in ("self", "seed")]
    for key in settings:
        if key not in known:
            raise ValueError(f"{where} must have arguments among {', '.join(known)}, got {key}")


def _require_numbers(plan: SearchPlan) -> None:
    for key, each in plan.space.items():
        if isinstance(each, Choices):
            raise ValueError(f"space: {key} must be a range for sampler=cmaes, got the choices {shown(each)}")
    if len(plan.space) < 2 or len(plan.question.metrics) > 1:
        found = f"{len(plan.space)} and {len(plan.question.metrics)}"
        raise ValueError(f"sampler=cmaes must have at least two ranges and one metric, got {found}")


def distribution(parameter: Parameter) -> BaseDistribution:
    """A parameter in Optuna's words."""
    if isinstance(parameter, Choices):
        return CategoricalDistribution([label(each) for each in parameter.values])
    if parameter.whole:
        step = 1 if parameter.step is None else int(parameter.step)
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log, step=step)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)


def label(value: object) -> object:
    """A choice as a study keeps it: lists and mappings as the text of an override."""
    return value if isinstance(value, _SINGLE) else written(value)


def values_from(plan: SearchPlan, params: Mapping[str, Any]) -> Tree:
    """The values of a trial, lists and mappings among them."""
    values = {}
    for key, parameter in plan.space.items():
        found = params[key]
        if isinstance(parameter, Choices):
            same = [each for each in parameter.values if label(each) == found and type(label(each)) is type(found)]
            found = same[0] if same else found
        values[key] = found
    return values
