"""What an ablation needs: the models to train, each once for all variants that share it, and the sets to measure."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genexp.ablations.guides import filled, named_in
from genexp.ablations.spec import Ablation
from genexp.ablations.variants import Variant, variants_of
from genexp.config.quoting import quoted
from genexp.pool.identity import identity
from genexp.pool.record import Job


@dataclass(frozen=True)
class Training:
    """One model to train.

    Args:
        overrides: Overrides of `genexp train`, the seed among them.
        seed: Its seed.
        title: What sets it apart.
        typical: The same without its seed: trainings that take the same time.
        guides: Models of the same seed that it needs, by the names that stand for their folders in braces.
    """

    overrides: tuple[str, ...]
    seed: int
    title: str
    typical: tuple[str, ...]
    guides: "tuple[tuple[str, Training], ...]" = ()

    def needs_only(self, trainings: Container["Training"]) -> bool:
        """Whether all models that it needs are among these."""
        return all(guide in trainings for _, guide in self.guides)

    def command(self, runs: Mapping["Training", Path]) -> list[str]:
        """Its overrides, with the run folders of the models that it needs.

        Raises:
            KeyError: one of them is not among `runs`.
        """
        return filled(self.overrides, {name: runs[guide] for name, guide in self.guides})

    def composable(self, runs: Mapping["Training", Path]) -> list[str]:
        """Overrides without its seed that compose; the folder of a model that is not among `runs` is left open."""
        return filled(self.typical, {name: runs.get(guide) for name, guide in self.guides})


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
        own = filled(self.variant.drawing, {name: runs[training] for name, training in self.guides})
        common = [f"run={quoted(run)}", f"seed={self.training.seed}", "checkpoint=last", "wandb=false", "grid=48"]
        return _last_of_each([*common, "pictures=0", *(ablation.evaluate or []), *own])


@dataclass(frozen=True)
class Plan:
    """Everything to be done, in order.

    Args:
        ablation: The ablation.
        variants: Its rows.
        trainings: Models, seed by seed, none before those that it needs.
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

    def waves(self) -> list[list[Training]]:
        """The trainings in the order in which they can be done: those that need nothing, those that need these, ..."""
        found: list[list[Training]] = []
        placed: set[Training] = set()
        while left := [each for each in self.trainings if each not in placed]:
            found.append([each for each in left if each.needs_only(placed)])
            placed |= set(found[-1])
        return found

    def trained(self, jobs: Iterable[Job], runs: Path) -> dict[Training, Job]:
        """The job of every training that has one among these, and whose needed models have.

        Args:
            jobs: Jobs of `genexp train`; the finished ones say what is done.
            runs: The folder that their folders are in.
        """
        free, found = _by_identity(jobs), {}
        for each in self.trainings:
            if each.needs_only(found):
                places = {guide: (runs / found[guide].folder).resolve() for _, guide in each.guides}
                if alike := free.get(identity(each.command(places))):
                    found[each] = alike.pop(0)
        return found

    def measured(self, jobs: Iterable[Job], runs: Mapping[Training, Path]) -> dict[PlannedDrawing, Job]:
        """The job of every drawing that has one among these: the same overrides, of the same run.

        Args:
            jobs: Jobs of `genexp evaluate`; the finished ones say what is done.
            runs: The run folders of the trainings; drawings from others have no job.
        """
        drawable = [each for each in self.drawings if set(each.trainings) <= set(runs)]
        free = _by_identity(jobs)
        found = {each: free.get(identity(each.overrides(self.ablation, runs))) for each in drawable}
        return {each: alike.pop(0) for each, alike in found.items() if alike}


def make_plan(ablation: Ablation, further: list[str]) -> Plan:
    """The plan of an ablation.

    Args:
        ablation: The ablation at one scale.
        further: Overrides of `genexp train` that were asked for on top, such as `logger=none`.
    """
    variants = variants_of(ablation)
    trainings, drawings = _Trainings(ablation, further), []
    for seed in ablation.seeds:
        for variant in variants:
            training = trainings.known(variant.training, seed, _title(variant, variants))
            drawings.append(PlannedDrawing(variant, training, trainings.guides(variant.drawing, seed)))
    return Plan(ablation, variants, list(trainings.found.values()), drawings, further)


class _Trainings:
    """The models of an ablation, each once, behind those that it needs."""

    def __init__(self, ablation: Ablation, further: list[str]) -> None:
        self.ablation, self.further = ablation, further
        self.found: dict[tuple[object, ...], Training] = {}

    def known(self, own: Sequence[str], seed: int, title: str) -> Training:
        """The training with these overrides after those that all share."""
        ablation = self.ablation
        typical = _last_of_each([f"experiment={ablation.experiment}", *ablation.overrides, *own, *self.further])
        named = [f"name={ablation.name}", f"group={ablation.name}_{ablation.scale}", f"seed={seed}"]
        overrides, guides = (*typical, *named), self.guides(typical, seed)
        made = Training(overrides, seed, f"{title} seed={seed}".strip(), tuple(typical), guides)
        return self.found.setdefault((overrides, guides), made)

    def guides(self, overrides: Sequence[str], seed: int) -> tuple[tuple[str, Training], ...]:
        """The trainings of the same seed that these overrides name in braces."""
        names = [name for name in named_in(overrides) if name in self.ablation.guides]
        return tuple((name, self.known(self.ablation.guides[name], seed, name)) for name in names)


def _by_identity(jobs: Iterable[Job]) -> dict[tuple[str, ...], list[Job]]:
    """Jobs by what they compute; no job is of two things, as in `SweepFolder.job_for`."""
    free: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        free.setdefault(identity(job.overrides), []).append(job)
    return free


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
