"""A question and what was typed beside it, and from both the overrides of every job. Imports no torch."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genexp.files.trees import Tree
from genexp.sweeps.question import Choices, Question, question_of
from genexp.sweeps.study.space import Parameter, require_searchable, shown, typed_space, values_of, written


@dataclass(frozen=True)
class SearchPlan:
    """A question with the values that the command line fixed or added.

    Args:
        question: The file of `conf/sweep`.
        at: `best`: a job's value is the best of its evaluations; `last`: that of its newest one.
        space: What is searched, by the key of its override.
        typed: Overrides that every job has beside those of the question; they take their place.
    """

    question: Question
    at: str
    space: dict[str, Parameter]
    typed: tuple[str, ...] = ()

    def record(self) -> Tree:
        """What all commands that work on one study must share, as plain containers."""
        return {
            "metrics": list(self.question.metrics),
            "directions": list(self.question.directions),
            "at": self.at,
            "space": {key: shown(each) for key, each in sorted(self.space.items())},
            "overrides": sorted(self.question.overrides),
        }

    def job(self, values: Mapping[str, Any]) -> list[str]:
        """The overrides of one job.

        Args:
            values: A value for every key of the space.
        """
        keys = {key_of(each) for each in self.typed}
        fixed = [each for each in self.question.overrides if key_of(each) not in keys]
        return [*fixed, *self.typed, *(f"{key}={written(values[key])}" for key in self.space)]

    def first(self) -> Tree:
        """The first value of every parameter."""
        return {key: each.values[0] if isinstance(each, Choices) else each.low for key, each in self.space.items()}

    def examples(self) -> list[list[str]]:
        """Jobs in which every choice, and one value of every range, takes part."""
        first = self.first()
        others = [
            first | {key: value}
            for key, each in self.space.items()
            if isinstance(each, Choices)
            for value in each.values[1:]
        ]
        return [self.job(values) for values in (first, *others)]

    def grid(self) -> list[Tree]:
        """Every combination of values, the last parameter changing fastest.

        Raises:
            ValueError: a range has no steps.
        """
        for key, each in self.space.items():
            if values_of(each) is None:
                raise ValueError(f"space: {key} must have a step or choices for sampler=grid, got {shown(each)}")
        combinations = itertools.product(*(values_of(each) for each in self.space.values()))
        return [dict(zip(self.space, combination, strict=True)) for combination in combinations]


def make_plan(question: Question, arguments: Sequence[str], at: str = "auto") -> SearchPlan:
    """Join a question and a command line.

    A typed value is the same for all jobs and takes its key out of the space; several typed values, or an interval, are
    searched.

    Args:
        question: The question.
        arguments: Overrides as typed; those of the groups `sweep` and `launcher` say nothing about jobs.
        at: `auto`, `best` or `last`; auto is best for one metric and last for several.

    Raises:
        ValueError: the space cannot be searched, or `at` does not fit the metrics.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    several = len(question.metrics) > 1
    if at not in ("auto", "best", "last"):
        raise ValueError(f"hydra.sweeper.at must be auto, best or last, got {at!r}")
    if several and at == "best":
        raise ValueError("hydra.sweeper.at must be last for several metrics: the best of each has other weights")
    about_jobs = [each for each in arguments if key_of(each).split(".")[0] not in ("sweep", "launcher")]
    parsed = OverridesParser.create().parse_overrides(about_jobs)
    searched = dict(typed_space([each for each in parsed if each.is_sweep_override()]))
    typed = [each.input_line for each in parsed if not each.is_sweep_override()]
    taken = {key_of(each) for each in (*typed, *searched)}
    space = {key: each for key, each in question.space.items() if key_of(key) not in taken} | searched
    if not space:
        raise ValueError(f"sweep {question.name} must leave something to search, got a value for all of its space")
    for key, each in space.items():
        require_searchable(key, each)
    return SearchPlan(question, ("last" if several else "best") if at == "auto" else at, space, tuple(typed))


def key_of(override: str) -> str:
    """The key of an override, without the signs that add or remove it."""
    return override.split("=")[0].lstrip("+~")


def wrong_question(config: DictConfig) -> str | None:
    """What is wrong with the question that a composed configuration asks, or None."""
    if config.get("sweep") is None:
        return None
    try:
        make_plan(question_of("", OmegaConf.to_container(config.sweep, resolve=False)), [])
    except ValueError as error:
        return str(error)
    return None
