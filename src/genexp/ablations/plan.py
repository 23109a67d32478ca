"""What an ablation needs: the models to train, each once for all variants that share it, and the sets to measure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from genexp.ablations.spec import Ablation
from genexp.ablations.variants import Variant, variants_of
from genexp.config.quoting import quoted
from genexp.pool.identity import identity
from genexp.pool.record import Job

_Wanted = TypeVar("_Wanted")


@dataclass(frozen=True)
class Training:
    """One model to train.

    Args:
        overrides: Overrides of `genexp train`, the seed among them.
        seed: Its seed.
        title: What sets it apart.
        typical: The same without its seed: trainings that take the same time.
    """

    overrides: tuple[str, ...]
    seed: int
    title: str
    typical: tuple[str, ...]


@dataclass(frozen=True)
class PlannedDrawing:
    """One set of images to draw from a trained model and measure, for one variant and seed.

    Args:
        variant: The variant.
        training: The model that it draws from.
        guides: Other models that it draws with, by the names that stand for their folders in braces.
    """

    variant: Variant
    training: Training
    guides: tuple[tuple[str, Training], ...] = ()

    @property
    def title(self) -> str:
        """What sets it apart."""
        return f"{self.variant.name} seed={self.training.seed}"

    @property
    def without_guides(self) -> "PlannedDrawing":
        """The same model as its own configuration draws from it."""
        return PlannedDrawing(replace(self.variant, drawing=()), self.training)

    @property
    def trainings(self) -> tuple[Training, ...]:
        """All models that must be there."""
        return (self.training, *(training for _, training in self.guides))

    def overrides(self, ablation: Ablation, runs: Mapping[Training, Path]) -> list[str]:
        """Its overrides of `genexp evaluate`, with the run folders of its models; the variant's own come last."""
        run = runs[self.training]
        own = list(self.variant.drawing)
        for name, training in self.guides:
            own = [each.replace(f"{{{name}}}", quoted(runs[training])) for each in own]
        common = [f"run={quoted(run)}", f"seed={self.training.seed}", "checkpoint=last", "wandb=false", "grid=48"]
        return _last_of_each([*common, "pictures=0", *(ablation.evaluate or []), *own])


@dataclass(frozen=True)
class Plan:
    """Everything to be done, in order.

    Args:
        ablation: The ablation.
        variants: Its rows.
        trainings: Models, all seeds of a configuration together.
        drawings: Sets to measure; for an ablation that draws nothing, what ties a variant to its model.
        further: Overrides of `genexp train` that were asked for on top.
    """

    ablation: Ablation
    variants: list[Variant]
    trainings: list[Training]
    drawings: list[PlannedDrawing]
    further: list[str]

    @property
    def command(self) -> str:
        """The command line that carries it out."""
        more = f" train=[{','.join(self.further)}]" if self.further else ""
        asked = self.ablation.asked or f"ablation={self.ablation.name} scale={self.ablation.scale}"
        return f"genexp reproduce {asked}{more}"

    def trained(self, jobs: Iterable[Job]) -> dict[Training, Job]:
        """The job of every training that has one among these.

        Args:
            jobs: Jobs of `genexp train`; the finished ones say what is done.
        """
        return _job_of_each({each: each.overrides for each in self.trainings}, jobs)

    def measured(self, jobs: Iterable[Job], runs: Mapping[Training, Path]) -> dict[PlannedDrawing, Job]:
        """The job of every drawing that has one among these: the same overrides, of the same run.

        Args:
            jobs: Jobs of `genexp evaluate`; the finished ones say what is done.
            runs: The run folders of the trainings; drawings from others have no job.
        """
        drawable = [each for each in self.drawings if set(each.trainings) <= set(runs)]
        return _job_of_each({each: each.overrides(self.ablation, runs) for each in drawable}, jobs)


def make_plan(ablation: Ablation, further: list[str]) -> Plan:
    """The plan of an ablation.

    Args:
        ablation: The ablation at one scale.
        further: Overrides of `genexp train` that were asked for on top, such as `logger=none`.
    """
    variants = variants_of(ablation)
    trainings: dict[tuple[str, ...], Training] = {}
    drawings = []
    for seed in ablation.seeds:
        for variant in variants:
            training = _training(ablation, variant.training, further, seed, _title(variant, variants))
            training = trainings.setdefault(training.overrides, training)
            drawn_with = []
            for name, overrides in ablation.guides.items():
                if any(f"{{{name}}}" in each for each in variant.drawing):
                    guide = _training(ablation, overrides, further, seed, name)
                    drawn_with.append((name, trainings.setdefault(guide.overrides, guide)))
            drawings.append(PlannedDrawing(variant, training, tuple(drawn_with)))
    return Plan(ablation, variants, list(trainings.values()), drawings, further)


def _training(ablation: Ablation, own: Sequence[str], further: list[str], seed: int, title: str) -> Training:
    typical = _last_of_each([f"experiment={ablation.experiment}", *ablation.overrides, *own, *further])
    named = [f"name={ablation.name}", f"group={ablation.name}_{ablation.scale}", f"seed={seed}"]
    return Training((*typical, *named), seed, f"{title} seed={seed}".strip(), tuple(typical))


def _job_of_each(wanted: Mapping[_Wanted, Sequence[str]], jobs: Iterable[Job]) -> dict[_Wanted, Job]:
    """The job of everything that has one; no job is of two things, as in `SweepFolder.job_for`."""
    free: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        free.setdefault(identity(job.overrides), []).append(job)
    found = {each: free.get(identity(overrides)) for each, overrides in wanted.items()}
    return {each: alike.pop(0) for each, alike in found.items() if alike}


def _title(variant: Variant, variants: list[Variant]) -> str:
    """The labels on which variants with other trainings differ from this one."""
    others = [each for each in variants if each.training != variant.training]
    acting = []
    for axis, value in variant.labels:
        trainings = {}
        for each in variants:
            rest = tuple(pair for pair in each.labels if pair[0] != axis)
            trainings.setdefault(rest, set()).add(each.training)
        if others and any(len(found) > 1 for found in trainings.values()):
            acting.append(f"{axis}={value}")
    return " ".join(acting)


def _last_of_each(overrides: list[str]) -> list[str]:
    """The overrides in order, without those of a key that a later one sets again; Hydra refuses a group set twice."""
    last = {each.lstrip("+").split("=", 1)[0]: i for i, each in enumerate(overrides)}
    return [each for i, each in enumerate(overrides) if last[each.lstrip("+").split("=", 1)[0]] == i]
