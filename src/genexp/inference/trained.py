"""A finished run as a part of another: what guides it, what codes its images, the weights that it begins with."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import torch
from torch import Tensor

from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning
from genexp.conditioning.kinds import Words
from genexp.contracts import Denoiser, LatentDecoder
from genexp.contracts.codecs import Codec, codec_of
from genexp.contracts.preparing import prepared
from genexp.diffusion.code_denoiser import CodeDenoiser
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.noising import OfNoisyImages
from genexp.families.transfer import transferred
from genexp.files.trees import Tree
from genexp.inference.run import Run, load_run
from genexp.losses.contrastive import InOneSpace
from genexp.terminal import typed_path

if TYPE_CHECKING:
    from genexp.families.base import Family

Kind = TypeVar("Kind")


@dataclass(eq=False)
class TrainedPart:
    """What a finished run gives to another. It follows the tensors that it is given to their device.

    Args:
        run: The run folder, or any file in it; afterwards the run's id, as a protocol tells it beside `digest`.
        weights: As for `load_run`.
        checkpoint: `best`, `last`, or a file; by default `best` where the run kept one.
        digest: Of the checkpoint that is meant; None for the one that is there. A run's configuration has it.

    Raises:
        FileNotFoundError: there is no run, or it has no such checkpoint.
        ValueError: the checkpoint is another than `digest` says, or the run is of another kind of model.
    """

    run: str
    weights: str = "averaged"
    checkpoint: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        if "+" in self.weights:
            raise ValueError(f"weights must be as they were trained for a part of another run, got {self.weights}")
        opened = self._opened()
        found = opened.digest[:_DIGITS]
        if self.digest not in (None, found):
            raise ValueError(
                f"run must be the one with the checkpoint {self.digest}, got {self.run} with {found}: it was trained "
                "further or replaced"
            )
        self._family, self._given = opened.model, self.run
        self.run, self.checkpoint, self.digest = opened.folder.record["id"], opened.checkpoint.name, found
        self._begin(opened)

    def _opened(self) -> Run:
        try:
            return load_run(self.run, self.weights, self.checkpoint)
        except FileNotFoundError as error:
            if self.digest is None:  # typed, and not recorded by a training that had it
                raise
            raise FileNotFoundError(
                f"{error}; what was trained with this run needs it where it was: where it was moved, a link does, "
                f"ln -s <its folder now> {typed_path(Path(self.run))}"
            ) from error

    def _begin(self, opened: Run) -> None:
        """Take from the run what this part gives."""

    @classmethod
    def settled(cls, node: Tree) -> Tree:
        """The part's configuration with the digest of the checkpoint that is there now.

        Args:
            node: Plain containers; one that has a digest stays as it is.

        Raises:
            FileNotFoundError: there is no run, or it has no such checkpoint.
        """
        if node.get("digest") is not None:
            return node
        opened = load_run(node["run"], node.get("weights", "averaged"), node.get("checkpoint"))
        return {**node, "digest": opened.digest[:_DIGITS]}

    def _source(self, kind: type[Kind], what: str) -> Kind:
        source = self._family.source()
        if not isinstance(source, kind):
            raise ValueError(f"run must be of {what}, got {self._given} of {type(self._family).__name__}")
        return source

    def _follow(self, tensor: Tensor) -> None:
        if self._family.device != tensor.device:
            self._family.to(tensor.device)


@dataclass(eq=False)
class TrainedDenoiser(TrainedPart):
    """The denoiser of a finished diffusion run."""

    def _begin(self, opened: Run) -> None:
        self._model = self.inner = self._source(Denoiser, "a diffusion model")
        self.image_shape, self.conditioning = self._model.image_shape, self._model.conditioning
        self.schedule = self._model.schedule

    @property
    def codec(self) -> Codec | None:
        """What codes images for it, if it is of codes."""
        return codec_of(self._model)

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Clean images (B, *image_shape) from noisy ones, times (B,) and a condition."""
        self._follow(x_t)
        return self._model(x_t, t, condition)

    def prepared(self) -> Self:
        """This denoiser for one drawing, see `genexp.contracts.Prepares`."""
        ready = copy(self)
        ready._model = prepared(self._model)
        return ready


@dataclass(eq=False)
class TrainedClassifier(TrainedPart):
    """The classifier of noisy images of a finished run."""

    def _begin(self, opened: Run) -> None:
        self._classifier = self._source(OfNoisyImages, "a classifier of noisy images (model/noising=diffused)")
        data = opened.config.data
        self.image_shape, self.num_classes = tuple(data.shape), data.num_classes
        self.schedule = self._classifier.schedule

    def logits(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Logits (B, num_classes) of noisy images (B, *image_shape) at times (B,)."""
        self._follow(x_t)
        return self._classifier.logits(x_t, t)


@dataclass(eq=False)
class TrainedJudge(TrainedPart):
    """What says how well pictures fit captions: a finished run of model=contrastive."""

    def _begin(self, opened: Run) -> None:
        self._space = self._source(InOneSpace, "pictures and captions (model=contrastive)")
        self.image_shape, self.conditioning = tuple(opened.config.data.shape), self._family.conditioning

    def fit(self, image: Tensor, caption: Tensor) -> Tensor:
        """Scaled cosines (B,) of images (B, *image_shape) in [-1, 1], each with its caption (B, L)."""
        self._follow(image)
        return self._space.fit(image, caption)


@dataclass(eq=False)
class TrainedTeacher(TrainedDenoiser):
    """The denoiser of a finished diffusion run, of images or of codes, from which a student begins."""

    def _begin(self, opened: Run) -> None:
        super()._begin(opened)
        inner = self._model.denoiser if isinstance(self._model, CodeDenoiser) else self._model
        if not isinstance(inner, NetworkDenoiser):
            raise ValueError(f"run must be of a diffusion by a network, got {self._given} of {type(inner).__name__}")
        self.inner, self.network, self.prediction = inner, inner.network, inner.prediction
        goal = opened.config.model.get("goal")
        halved = goal is not None and goal["_target_"].endswith(".ProgressiveDistillation")  # others count otherwise
        self.distilled_to: int | None = goal["steps"] if halved else None

    def on(self, device: torch.device) -> NetworkDenoiser:
        """The denoiser, of codes where the run is of these, on a device."""
        self._follow(torch.empty(0, device=device))
        return self.inner


@dataclass(eq=False)
class TrainedGenerator(TrainedPart):
    """The generator of a finished run, from whose images a student learns."""

    def _begin(self, opened: Run) -> None:
        self._model = self._source(LatentDecoder, "a generator")
        self.latent_shape, self.conditioning = tuple(self._model.latent_shape), self._model.conditioning
        self.image_shape = tuple(opened.config.data.shape)

    @torch.no_grad()
    def decode(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Latents (B, *latent_shape) to images (B, *image_shape) in [-1, 1], in the precision of its weights."""
        self._follow(latent)
        with torch.autocast(latent.device.type, enabled=False):
            return self._model.decode(latent, condition)


@dataclass(eq=False)
class TrainedWeights(TrainedPart):
    """The weights of a finished run, with which another of any family begins.

    `run`, `checkpoint` and `digest` are those of every `TrainedPart`.

    Args:
        weights: As for `load_run`; what a run averages (of a GAN the generator) begins with its average.
        only: Layers of the new model that take over; None for all. A name stands for all below it, `*` for text.
        reset: Layers that begin anew.
        adapt_channels: Whether convolutions of grey pictures begin those of colours, and the other way.
    """

    only: Sequence[str] | None = None
    reset: Sequence[str] = ()
    adapt_channels: bool | None = None

    def give(self, model: "Family") -> str:
        """Let a model begin with the weights; says in a line what it took and what not.

        Raises:
            ValueError: the model has no such layers, one is other than in the run and is not reset, or words have other
                numbers than there and nothing is reset.
        """
        if self.only is None and not self.reset:
            require_like_words(model.conditioning, self._family.conditioning)
        found = transferred(model, self._family.state_dict(), self.only, self.reset, bool(self.adapt_channels))
        return f"{self.weights} weights of {self._given}: {found.note()}"


def require_like_words(ours: Conditioning, theirs: Conditioning) -> None:
    """Refuse lists in which a word has another number than there: its vector would be that of another word."""
    for name, kind in ours.kinds.items():
        other = theirs.kinds.get(name)
        if isinstance(kind, Words) and isinstance(other, Words):
            for number, (word, there) in enumerate(zip(kind.words, other.words, strict=False)):
                if word != there:
                    raise ValueError(
                        f"model.conditions.{name} must number its words as initial.run does, whose number {number + 1} "
                        f"is {there!r}, got {word!r}; initial.reset of the layers that read them lets these begin anew"
                    )


_DIGITS = 12
