"""Procedural colour pictures of one shape each, with known and countable factors."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from genexp.conditioning.kinds import Words
from genexp.conditioning.tokenised import Tokenised
from genexp.data import generated, held_out, shape_pictures, shape_words
from genexp.data.generated import drawn_by_index
from genexp.data.held_out import Combinations, held_out_modes
from genexp.data.shape_pictures import FACTORS, MODES, draw_shapes, factor_levels
from genexp.data.shape_words import OPTIONAL, caption_row, describe, levels_said, modes_said
from genexp.data.source import Split, fingerprint, require_counts, require_split

Shown = Literal["all", "seen", "held_out", "both"]
"""What a split shows: all modes as often, those of training, those that are held out, or these two in turn."""


class Shapes:
    """RGB pictures of one shape on a plain ground, deterministic by index, at any size.

    Five factors with 4, 6, 2, 5 and 4 levels give 960 modes. Every 960 consecutive pictures of a split show every mode
    once, so with split sizes in multiples of 960 the factors are independent and exactly uniform. Inside a mode, a
    small jitter moves and scales the shape. The label is shape and colour together, 24 classes: `red circle`, ...

    With combinations held out, the train split is of the other modes alone, each as often, in the same number of
    pictures.

    Args:
        image_size: Pixels a side.
        jitter: Largest shift, and largest change of radius, in half picture widths; at 0 a mode is one picture.
        train_images: Pictures of the train split.
        val_images: Pictures of the val split.
        test_images: Pictures of the test split.
        captions: Give every picture its caption in the column `caption`, as `ShapeCaptions` or as this tokenizer does.
        held_out: Combinations that the train split never shows, as a share or a number of them.
        held_out_of: `modes`, combinations of all five factors, or `pairs` of colour and shape.
        held_out_seed: Which ones.
        val_shows: What the val split shows: `all` modes, those `seen` in training, `held_out` ones, or `both` in turn.
        test_shows: The same of the test split.
        partial: Share of training captions that leave out each of size, colour, position and background with
            probability 1/2, and say `on white` for `on a white background` as often, in [0, 1].

    Raises:
        ValueError: an argument is out of range.
    """

    classes = tuple(f"{colour} {shape}" for shape in FACTORS["shape"] for colour in FACTORS["colour"])

    def __init__(
        self,
        image_size: int = 32,
        jitter: float = 0.05,
        train_images: int = 9600,
        val_images: int = 960,
        test_images: int = 1920,
        captions: bool | Tokenised = False,
        held_out: float = 0,
        held_out_of: Combinations = "modes",
        held_out_seed: int = 0,
        val_shows: Shown = "all",
        test_shows: Shown = "all",
        partial: float = 0.0,
    ) -> None:
        if image_size < 8:
            raise ValueError(f"image_size must be at least 8 pixels to tell shapes apart, got {image_size}")
        if not 0 <= jitter <= 0.1:
            raise ValueError(f"jitter must lie in [0, 0.1], got {jitter}")
        if not 0 <= partial <= 1 or (partial and not captions):
            raise ValueError(f"partial must lie in [0, 1], and be 0 without captions, got {partial}")
        self.image_size, self.jitter, self.partial = image_size, jitter, partial
        self.captions = ShapeCaptions() if captions is True else captions or None
        self.held_out = held_out_modes(held_out, held_out_of, held_out_seed)
        self.shows: dict[Split, Shown] = {"train": "seen", "val": val_shows, "test": test_shows}
        for name, shown in self.shows.items():
            require_shown(name, shown, bool(self.held_out.any()))
        require_counts(train_images=train_images, val_images=val_images, test_images=test_images)
        self.counts: dict[Split, int] = {"train": train_images, "val": val_images, "test": test_images}
        self._drawn: dict[str, ShapeExamples] = {}

    def split(self, name: Split) -> "ShapeExamples":
        """The pictures of one split, drawn when they are read."""
        require_split(name)
        if name not in self._drawn:
            self._drawn[name] = ShapeExamples(
                name,
                self.counts[name],
                self.image_size,
                self.jitter,
                self.captions,
                turns_of(self.held_out, self.shows[name]),
                self.partial if name == "train" else 0.0,
            )
        return self._drawn[name]

    def factors(self, index: int, split: Split = "train") -> dict[str, str]:
        """The level of every factor of one picture."""
        levels = factor_levels(self.split(split).mode[index : index + 1])
        return {name: FACTORS[name][int(level)] for name, level in levels.items()}

    def factor_levels(self, name: Split) -> dict[str, Tensor]:
        """The level (N,) of every factor, by its name, of all pictures of a split."""
        return factor_levels(self.split(name).mode)

    def caption(self, index: int, split: Split = "train") -> str:
        """One picture in words: `a small red circle at the top left on a black background`, or what is said of it."""
        examples, named = self.split(split), self.factors(index, split)
        unsaid = [name for place, name in enumerate(OPTIONAL) if not int(examples.told[index]) >> place & 1]
        return describe(**{**named, **dict.fromkeys(unsaid)}, briefly=bool(examples.briefly[index]))

    def said(self, caption: Tensor) -> dict[str, Tensor]:
        """The level (N,) of every factor that captions (N, L) name, -1 where they say nothing of it.

        Raises:
            ValueError: one does not follow the grammar.
        """
        return levels_said(caption, self.captions or ShapeCaptions())

    def seen(self, said: dict[str, Tensor]) -> Tensor | None:
        """Whether training shows pictures (N,) of which it is true what is said, levels (N,) of the factors or -1.

        None where no combination is held out.
        """
        if not self.held_out.any():
            return None
        return (modes_said(said) & ~self.held_out).any(1)


class ShapeCaptions(Words):
    """The captions of the shapes as a condition of a model: 27 words, 12 a caption.

    Args:
        left_out: Share of training samples that are not told theirs, in [0, 1).
    """

    def __init__(self, left_out: float = 0.0) -> None:
        told = {word for levels in FACTORS.values() for level in levels for word in level.split()}
        super().__init__(sorted(told | set(["a", "at", "background", "in", "on", "the"])), 12, left_out)


class ShapeExamples:
    """One split of the shapes.

    Attributes:
        mode: Which of the 960 factor combinations every picture shows, (N,) int64.
        shift: Jitter of the centre in half picture widths, (N, 2).
        growth: Jitter of the radius in half picture widths, (N,).
        told: Which factors of `OPTIONAL` its caption names, as bits, (N,) int64.
        briefly: Whether it says `on white` for `on a white background`, (N,).
    """

    generated = True

    def __init__(
        self,
        name: Split,
        count: int,
        image_size: int,
        jitter: float,
        captions: Words | Tokenised | None = None,
        turns: Sequence[Tensor] = (),
        partial: float = 0.0,
    ) -> None:
        self.image_size, self.captions = image_size, captions
        turns = turns or [torch.arange(MODES)]
        block = MODES if len(turns) > 1 else len(turns[0])
        columns = drawn_by_index(count, block, name, lambda generator: _draw_modes(generator, jitter, turns, partial))
        self.mode, self.shift, self.growth = columns["mode"], columns["shift"], columns["growth"]
        self.told, self.briefly = columns["told"], columns["briefly"]
        form = {"split": name, "count": count, "image_size": image_size, "jitter": jitter}
        form |= {"captions": captions.digest if isinstance(captions, Tokenised) else captions is not None}
        form |= {"turns": [turn.tolist() for turn in turns], "partial": partial}
        code = [module.__file__ for module in (generated, held_out, shape_pictures, shape_words)]
        self.fingerprint = fingerprint(__file__, *code, **form)

    def __len__(self) -> int:
        return len(self.mode)

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """Draw images (B, 3, H, W) uint8 with their labels (B,) and, if wanted, captions (B, 12)."""
        mode = self.mode[rows]
        levels = factor_levels(mode)
        image = draw_shapes(mode, self.image_size, self.shift[rows], self.growth[rows])
        columns = {"image": image, "label": levels["shape"] * len(FACTORS["colour"]) + levels["colour"]}
        if self.captions is None:
            return columns
        said = zip(mode.tolist(), self.told[rows].tolist(), self.briefly[rows].tolist(), strict=True)
        return {**columns, "caption": torch.cat([caption_row(self.captions, *each) for each in said])}


def require_shown(split: Split, shown: Shown, some_held_out: bool) -> None:
    """Check what a split is to show.

    Raises:
        ValueError: there is no such choice, or it needs combinations that are held out.
    """
    if shown not in get_args(Shown):
        raise ValueError(f"{split}_shows must be one of {', '.join(get_args(Shown))}, got {shown!r}")
    if shown in ("held_out", "both") and not some_held_out:
        raise ValueError(f"{split}_shows must be all or seen where held_out is 0, got {shown}")


def turns_of(held_out: Tensor, shown: Shown) -> list[Tensor]:
    """Lists of modes that pictures show in turn, of the modes (N,) that are held out or not."""
    every = torch.arange(len(held_out))
    seen, new = every[~held_out], every[held_out]
    return {"all": [every], "seen": [seen], "held_out": [new], "both": [seen, new]}[shown]


def _draw_modes(
    generator: torch.Generator, jitter: float, turns: Sequence[Tensor], partial: float
) -> dict[str, Tensor]:
    """A block of pictures: every mode of one list once, or the modes of several in turn, 960 in all."""
    count = MODES if len(turns) > 1 else len(turns[0])
    share = -(-count // len(turns))
    orders = [turn[torch.randperm(len(turn), generator=generator)] for turn in turns]
    mode = torch.stack([order.repeat(-(-share // len(order)))[:share] for order in orders], 1).flatten()[:count]

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    shift, growth = (jitter * (2 * uniform(*shape) - 1) for shape in ((count, 2), (count,)))
    told, briefly = torch.full((count,), 2 ** len(OPTIONAL) - 1), torch.zeros(count, dtype=torch.bool)
    if partial:
        cut = uniform(count) < partial
        bits = 2 ** torch.arange(len(OPTIONAL))
        told = torch.where(cut, ((uniform(count, len(OPTIONAL)) < 0.5) * bits).sum(1), told)
        briefly = cut & (uniform(count) < 0.5)
    return {"mode": mode, "shift": shift, "growth": growth, "told": told, "briefly": briefly}
