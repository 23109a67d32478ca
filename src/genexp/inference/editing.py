"""Given pictures as the beginning of a drawing: read, held against the model, and shown beside what was drawn."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from genexp.config.instantiate import build
from genexp.config.trial import refused
from genexp.config.validation import require_valid
from genexp.contracts import Sampler
from genexp.data.own_pictures import OwnPictures, masks_for, own_pictures
from genexp.data.own_videos import own_videos
from genexp.files.trees import Tree
from genexp.sample_kinds import SampleKind, kind_of
from genexp.sampling.base import DiffusionSampler
from genexp.sampling.completion import Completed, Completing
from genexp.sampling.continued import Continued
from genexp.sampling.editing import Originals
from genexp.sampling.swapped import Swapped
from genexp.tensors import Grid
from genexp.terminal import counted, plain

if TYPE_CHECKING:
    from genexp.inference.run import Run

_MOST_DRAWN = 8
"""Samples of one picture that are shown beside it."""


@dataclass(frozen=True)
class Editing:
    """What is done to given pictures.

    Args:
        node: Configuration of the edit.
        pictures: The pictures; None for an edit of what is drawn.
        known: Where they are kept, bool; None where all may change.
    """

    node: DictConfig
    pictures: OwnPictures | None
    known: Tensor | None

    @property
    def files(self) -> list[Path]:
        """The files of the pictures."""
        return [] if self.pictures is None else list(self.pictures.files)

    def of(self, sampler: object, model: object) -> Sampler:
        """A sampler that begins with the pictures.

        Raises:
            ValueError: it cannot; the key and the reason are named.
        """
        edit, name = build(self.node), type(sampler).__name__
        if not isinstance(sampler, DiffusionSampler | Completing):
            raise ValueError(f"edit must be null for {name}, which does not go from noise to images in steps")
        if not isinstance(sampler, edit.edits):
            fitting = (
                "completed" if isinstance(sampler, Completing) else "noised, inverted, repaint, continued or swapped"
            )
            raise ValueError(f"edit must be {fitting} for {name}, got {type(edit).__name__}")
        try:
            edited = edit(sampler, None if self.pictures is None else Originals(self.pictures.images, self.known))
            edited.require(model)
        except ValueError as error:
            raise ValueError(str(refused(error, "edit", OmegaConf.to_container(self.node)))) from error
        return edited

    def record(self, config: DictConfig) -> Tree:
        """What is recorded of it beside the drawing."""
        given = {key: config[key] for key in ("images", "mask") if config[key] is not None}
        return {"edit": OmegaConf.to_container(self.node), **given}

    def grid(self, drawn: Tensor, rows: int) -> Grid:
        """A row a picture: as it was given, what is kept of it, and the first samples that were drawn from it.

        Args:
            drawn: The samples (num, C, H, W) from the first.
            rows: Pictures at most.
        """
        given, known = self.pictures.images, self.known
        shown = min(len(given), len(drawn), rows)
        each = min(_MOST_DRAWN, len(drawn) // len(given)) or 1
        moving = kind_of(given.shape[1:]) is SampleKind.VIDEO  # of a video only what is kept is there
        columns = [] if moving else [given[:shown]]
        if known is not None:
            columns.append(torch.where(known, given, 0)[:shown])
        columns += [drawn[turn * len(given) :][:shown] for turn in range(each)]
        words = [*([] if moving else ["given"]), *(["kept"] if known is not None else [])]
        words += ["drawn"] if each == 1 else [f"drawn {turn}" for turn in range(1, each + 1)]
        down = [plain(file.name) for file in self.pictures.files[:shown]]
        return Grid(torch.stack(columns, dim=1).flatten(0, 1), len(columns), words, down)


def editing(config: DictConfig, run: "Run") -> Editing | None:
    """What `genexp sample` is asked to do to pictures; None where it is not.

    Args:
        config: The configuration of the command.
        run: The run that is drawn from.

    Raises:
        ValueError: keys do not go together, the model is of no such images, or a picture cannot be used.
        FileNotFoundError: there is no such picture.
    """
    _require_together(config)
    if config.get("edit") is None:
        return None
    node = OmegaConf.create(OmegaConf.to_container(config.edit, resolve=True))
    require_valid(OmegaConf.create({"edit": node}), "sample")
    edit = build(node)
    if isinstance(edit, Swapped):
        for key in ("images", "mask"):
            if config[key] is not None:
                raise ValueError(f"{key} must be null for edit=swapped, whose pictures are drawn, got {config[key]}")
        return Editing(node, None, None)
    if config.images is None:
        raise ValueError("images must name a picture or a folder of them for an edit, got null")
    if isinstance(edit, Continued):
        return _continuing(config, node, edit, run.config.data.shape)
    channels, size = square(run.config.data.shape)
    pictures = own_pictures(config.images, size, channels, most=config.num)
    if edit.wants_mask and config.mask is None:
        raise ValueError("mask must name a picture that is white where images are kept, got null")
    if not edit.wants_mask and config.mask is not None:
        raise ValueError(
            f"mask must be null where no part of an image is kept (edit=repaint and completed do), got {config.mask}"
        )
    known = masks_for(pictures, config.mask) if edit.wants_mask else None
    print(
        f"given       {counted(len(pictures.files), 'picture')} of {Path(config.images)}, {size} x {size}",
        file=sys.stderr,
    )
    remarks = edit.remarks(known) if isinstance(edit, Completed) else []
    for line in [*pictures.notes, *remarks]:
        print(line, file=sys.stderr)
    return Editing(node, pictures, known)


def _continuing(config: DictConfig, node: DictConfig, edit: Continued, shape: list[int]) -> Editing:
    """Given videos that are to go on."""
    if kind_of(shape) is not SampleKind.VIDEO:
        raise ValueError(f"edit must not be continued for a run of images, got shape {list(shape)}")
    if config.mask is not None:
        raise ValueError(f"mask must be null where frames are kept, got {config.mask}")
    channels, size = square(shape[1:])
    pictures = own_videos(config.images, size, channels, edit.frames, "last", most=config.num)
    videos, known = edit.begun(pictures.images, shape[0])
    last = counted(edit.frames, "last frame")
    print(
        f"given       {last} of {counted(len(pictures.files), 'file')} of {Path(config.images)}, {size} x {size}",
        file=sys.stderr,
    )
    return Editing(node, replace(pictures, images=videos), known)


def square(shape: list[int]) -> tuple[int, int]:
    """Channels and side of images that pictures can be brought to.

    Raises:
        ValueError: they are no square pictures of 1 or 3 channels.
    """
    if kind_of(shape) is not SampleKind.IMAGES or shape[0] not in (1, 3) or shape[1] != shape[2]:
        raise ValueError(f"run must be of square images of 1 or 3 channels to take pictures, got shape {list(shape)}")
    return shape[0], shape[1]


def _require_together(config: DictConfig) -> None:
    if config.get("edit") is None:
        for key in ("images", "mask"):
            if config[key] is not None:
                edits = "edit=noised, inverted, repaint, completed or continued"
                raise ValueError(f"{key} must be null without an edit ({edits}), got {config[key]}")
