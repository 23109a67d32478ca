"""Runs drawn from one after the other: what one has drawn is what the next is told, as in a cascade of resolutions.

What a run draws reaches the next as a file would hold it, at 256 levels.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.nn import functional

from genexp.conditioning.base import ConditionKind
from genexp.contracts import Batch
from genexp.data.source import Split
from genexp.evaluation.scores import described
from genexp.files.trees import Tree
from genexp.inference.conditions import levels_of, require_settable, settable
from genexp.inference.drawing import Drawing, require_drawable
from genexp.inference.following import Following, Gathered, Images, Known, of_first
from genexp.inference.generated_images import Samples, default_told
from genexp.inference.links import linked
from genexp.inference.sampler_config import checked_sampler
from genexp.inference.watermarks import Watermark
from genexp.sample_kinds import kind_of
from genexp.sampling.conditions import AtLevels
from genexp.sampling.draw import draw
from genexp.sampling.visualisation import PAIRS
from genexp.tensors import Grid, mix_seed

if TYPE_CHECKING:
    from genexp.inference.run import Run


@dataclass(frozen=True)
class CascadeStage:
    """A run among those that are drawn from one after the other.

    Attributes:
        run: The run.
        sampler: Configuration of its sampler.
        told: Name of the condition that is what the run before has drawn; empty for the first.
        seed: Seed of its noise: of the first that of the whole, so that it draws what it draws alone.
        typed: What a person gave of its conditions, by name, and of their levels.
    """

    run: "Run"
    sampler: DictConfig
    told: str
    seed: int
    typed: Mapping[str, object]

    @property
    def words(self) -> str:
        """The run and the digest of its weights, for protocols."""
        return f"{self.run.folder.record['id']}@{self.run.digest[:12]}"

    def record(self) -> Tree:
        """How it draws."""
        told = {"run": self.run.folder.record["id"], "digest": self.run.digest, "weights": self.run.weights}
        sampler = OmegaConf.to_container(self.sampler, resolve=True)
        return {**told, "told": self.told or None, "seed": self.seed, "sampler": sampler}


def stages_of(
    runs: Sequence["Run"], sampler: DictConfig | None, typed: Mapping[str, object], seed: int, command: str
) -> list[CascadeStage]:
    """How runs follow each other; what cannot be drawn is refused.

    Args:
        runs: The runs, at least two.
        sampler: Changes of the runs' own samplers, or one for all; None for their own.
        typed: Conditions by name, each given to every run that has it.
        seed: Seed of the whole.
        command: Name of the command, for what is refused.

    Raises:
        ValueError: a run is told nothing that the one before draws, or could be told it in two ways; a typed condition
            is of none of the runs; a sampler does not draw from its run.
    """
    links = ["", *(linked(*pair) for pair in pairwise(runs))]
    known = [settable(run.model.conditioning) for run in runs]
    for name, value in typed.items():
        if name in links:
            raise ValueError(f"condition.{name} must be null where a run before draws it, got {value}")
    require_settable(typed, [name for name in dict.fromkeys(chain(*known)) if name not in links])
    found = []
    for place, (run, link) in enumerate(zip(runs, links, strict=True)):
        node = checked_sampler(run.config, sampler, command)
        require_drawable(run.model, node)
        own = {name: value for name, value in typed.items() if name in known[place]}
        levels_of(run.model.conditioning, own)  # refuses those that training has not shown
        found.append(CascadeStage(run, node, link, mix_seed(seed, place) if place else seed, own))
    return found


def drawings(
    stages: Sequence[CascadeStage], device: str, batch_size: int, mark: Watermark | None = None
) -> list[Drawing]:
    """Every stage ready to draw, each told what the one before draws; the images of the last get the mark."""
    found: list[Drawing] = []
    known: Known = {}
    for stage in stages:
        following = (stage.run, stage.told, stage.typed, stage.seed, known)
        after = Following(*following, _drawn_by(found[-1])) if found else None
        told, last = (device, stage.seed, batch_size, stage.typed), stage is stages[-1]
        drawing = Drawing(stage.run, stage.sampler, *told, after=after, watermark=mark if last else None)
        if not found and drawing.conditions is not None:
            known = of_first(drawing.told, drawing.conditions)
        found.append(drawing)
    return found


def stage_pictures(drawings: Sequence[Drawing], num: int) -> dict[str, Callable[[], Grid]]:
    """What draws `stages.png`, the first samples with a row a stage that has pictures; nothing where one alone has."""
    shown = [each for each in drawings if each.is_pictured]
    return {"stages.png": lambda: _side_by_side(shown, min(num, PAIRS))} if len(shown) > 1 else {}


def _side_by_side(shown: Sequence[Drawing], count: int) -> Grid:
    drawn = [each.images(count) for each in shown]
    size, channels = drawn[-1].shape[-2:], max(each.shape[1] for each in drawn)
    rows = [functional.interpolate(each, size).expand(-1, channels, -1, -1) for each in drawn]
    words = [f"{each.shape[-1]} x {each.shape[-2]}" for each in drawn]
    return Grid(torch.cat(rows), count, [f"{i}" for i in range(count)], words)


class Cascade:
    """The samples 0 to `num` - 1 of several stages, as an evaluation reads them; what a stage draws is kept on disk.

    Args:
        stages: The stages.
        num: Number of samples.
        batch_size: Samples drawn at a time.
        device: Where they are drawn.
        told: Split whose conditions they are drawn under; None for that of the evaluations of the first stage's run.
    """

    def __init__(
        self,
        stages: Sequence[CascadeStage],
        num: int,
        batch_size: int,
        device: torch.device,
        told: Split | None = None,
    ) -> None:
        self.stages, self.told = list(stages), told or default_told(stages[0].run)
        self.samples: list[Samples] = []
        self.known: Known = {}
        for stage in stages:
            before = self.samples[-1] if self.samples else None
            after = None
            if before is not None:
                told_of = (stage.run, stage.told, stage.typed, stage.seed, self.known, before.of)
                after = Following(*told_of, hashlib.sha256(before.words.encode()).hexdigest(), self.told)
            found = Samples(stage.run, stage.sampler, num, stage.seed, batch_size, device, after, self.told)
            if before is None and found.conditions is not None:
                self.known = of_first(stage.run.model.conditioning, found.conditions)
            self.samples.append(found)
        self.dealing = self.samples[-1].dealing

    @property
    def kinds(self) -> dict[str, ConditionKind]:
        """What the stages are told, by name, but for what is drawn before them."""
        return {name: kind for name, (kind, _) in self.known.items()}

    @property
    def described(self) -> str:
        """Run, digest of its weights and sampler of every stage, and with what noise it is told the one before."""
        found = []
        for stage, each in zip(self.stages, self.samples, strict=True):
            kind = stage.run.model.conditioning.kinds.get(stage.told)
            level = f", told at level {kind.drawn:g}" if isinstance(kind, AtLevels) and kind.drawn > 0 else ""
            found.append(f"{stage.words} by {described(each.sampler, self.told)}{level}")
        return f"Cascade({'; '.join(found)})"

    @property
    def subject(self) -> Tree:
        """The stages, for a record."""
        return {"cascade": self.described, "runs": [stage.run.folder.record["id"] for stage in self.stages]}

    def batches(self, advance: Callable[[float], None] = lambda count: None) -> Iterator[Batch]:
        """The samples of the last stage with `image`, `index`, `group` and what any stage was told.

        A class alone counts where the last stage is told it, for the data of others may number classes differently.
        """
        told = Gathered({name: source for name, (_, source) in self.known.items() if name != "label"})
        for batch in self.samples[-1].batches(advance):
            rows = told.of(batch["index"].tolist())
            yield {**{name: value.to(batch["image"].device) for name, value in rows.items()}, **batch}


def _drawn_by(drawing: Drawing) -> Images:
    """What a stage draws; the last few batches are remembered, as several pictures show the same samples."""

    @lru_cache(maxsize=4)
    def images(indices: tuple[int, ...]) -> Tensor:
        drawn = draw(drawing.source, drawing.sampler, indices, drawing.seed, drawing.conditions, drawing.device)
        return kind_of(drawn["image"].shape[1:]).quantised(drawn["image"])

    return lambda indices: images(tuple(indices))
