"""Procedural colour pictures of one or two shapes, whose captions count them and say how they lie to each other."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from genexp.conditioning.kinds import Words
from genexp.conditioning.tokenised import Tokenised
from genexp.data import generated, held_out, held_out_scenes, scene_pictures, scene_words, shape_pictures
from genexp.data.generated import drawn_by_index
from genexp.data.held_out_scenes import Combinations, which_held_out
from genexp.data.scene_pictures import FACTORS, KINDS, PLACES, draw_scenes, scenes
from genexp.data.scene_words import OPTIONAL, PLURALS, TURNED, describe, judged, scenes_said, understood
from genexp.data.shape_words import levels_said
from genexp.data.shapes import Shown, require_shown, turns_of
from genexp.data.source import Split, fingerprint, require_counts, require_split

BLOCK = 960
_SHARES = (0, 1, 2, 2)
"""The kinds of four scenes in a row, numbers of `KINDS`."""


class Scenes:
    """RGB pictures of one or two shapes on a plain ground, deterministic by index, at any size.

    Shapes, colours and sizes are those of `Shapes`, and a blue ground stands beside its four; no shape has the colour
    of its ground. A quarter of the pictures is of one shape, in the middle or in one half of the picture; a quarter is
    of two alike, side by side or one above the other; half is of two that differ in shape or colour. A small jitter
    moves and scales every shape. The label says how they lie, 3 classes.

    Args:
        image_size: Pixels a side.
        jitter: Largest shift, and largest change of radius, in half picture widths.
        train_images: Pictures of the train split.
        val_images: Pictures of the val split.
        test_images: Pictures of the test split.
        captions: Give every picture its caption in the column `caption`, as `SceneCaptions` or as this tokenizer does.
        held_out: Combinations that the train split never shows, as a share or a number of them.
        held_out_of: `pairs`, 276 of two shapes that differ in colour or shape, wherever each lies; or `relations`, 96
            of a colour and shape with what it is to the other: left of, above, right of or below it.
        held_out_seed: Which ones.
        val_shows: What the val split shows: `all` scenes, those `seen` in training, `held_out` ones, or `both` in turn.
        test_shows: The same of the test split.
        partial: Share of training captions that leave out each of sizes, colours and background with probability 1/2,
            in [0, 1].

    Raises:
        ValueError: an argument is out of range.
    """

    classes = ("one shape", "side by side", "one above the other")

    def __init__(
        self,
        image_size: int = 32,
        jitter: float = 0.05,
        train_images: int = 19200,
        val_images: int = 960,
        test_images: int = 1920,
        captions: bool | Tokenised = False,
        held_out: float = 0,
        held_out_of: Combinations = "pairs",
        held_out_seed: int = 0,
        val_shows: Shown = "all",
        test_shows: Shown = "all",
        partial: float = 0.0,
    ) -> None:
        if image_size < 16:
            raise ValueError(f"image_size must be at least 16 pixels to tell two shapes apart, got {image_size}")
        if not 0 <= jitter <= 0.05:
            raise ValueError(f"jitter must lie in [0, 0.05], where each shape stays in its half, got {jitter}")
        if not 0 <= partial <= 1 or (partial and not captions):
            raise ValueError(f"partial must lie in [0, 1], and be 0 without captions, got {partial}")
        self.image_size, self.jitter, self.partial = image_size, jitter, partial
        self.captions = SceneCaptions() if captions is True else captions or None
        self.held_out = which_held_out(held_out, held_out_of, held_out_seed)
        self.shows: dict[Split, Shown] = {"train": "seen", "val": val_shows, "test": test_shows}
        for name, shown in self.shows.items():
            require_shown(name, shown, bool(self.held_out.any()))
        require_counts(train_images=train_images, val_images=val_images, test_images=test_images)
        self.counts: dict[Split, int] = {"train": train_images, "val": val_images, "test": test_images}
        self._drawn: dict[str, SceneExamples] = {}

    def split(self, name: Split) -> "SceneExamples":
        """The pictures of one split, drawn when they are read."""
        require_split(name)
        if name not in self._drawn:
            self._drawn[name] = SceneExamples(
                name,
                self.counts[name],
                self.image_size,
                self.jitter,
                self.captions,
                turns_of(self.held_out, self.shows[name]),
                self.partial if name == "train" else 0.0,
            )
        return self._drawn[name]

    def caption(self, index: int, split: Split = "train") -> str:
        """One picture in words: `a small red circle left of a large blue square on black`, or what is said of it."""
        return self.split(split).texts(torch.tensor([index]))[0]

    def said(self, caption: Tensor) -> dict[str, Tensor]:
        """The level (N,) of every factor that captions (N, L) name, -1 where they say nothing of it.

        Raises:
            ValueError: one does not follow the grammar.
        """
        return levels_said(caption, self.captions or SceneCaptions(), FACTORS, understood)

    def judged(self, said: Mapping[str, Tensor], shown: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Whether what is said (N,) is shown, by what it is of: 1, 0, or -1 where nothing is said of it."""
        return judged(said, shown)

    def seen(self, said: Mapping[str, Tensor]) -> Tensor | None:
        """Whether training shows scenes (N,) of which it is true what is said: 1 or 0.

        It is -1 of captions of one shape and of two alike, of which nothing is held out: what is seen and what is not
        are then captions of one kind. None where no combination is held out.
        """
        if not self.held_out.any():
            return None
        fits, kind = scenes_said(said), scenes()["kind"]
        return torch.where((fits & (kind == KINDS.index("related"))).any(1), (fits & ~self.held_out).any(1).long(), -1)


class SceneCaptions(Words):
    """The captions of the scenes as a condition of a model: 28 words, 12 a caption.

    Args:
        left_out: Share of training samples that are not told theirs, in [0, 1).
    """

    def __init__(self, left_out: float = 0.0) -> None:
        told = {word for levels in FACTORS.values() for level in levels for word in level.split()}
        told |= {word for level in TURNED.values() for word in level.split()} | {*PLURALS.values(), "a", "on"}
        super().__init__(sorted(told - {"one"}), 12, left_out)

    def read(self, typed: object) -> Tensor:
        """The numbers (1, 12) of a caption's words, or (N, 12) of a list of captions.

        Raises:
            ValueError: a word is unknown, or a caption does not follow the grammar or says what no scene can show.
        """
        rows = super().read(typed)
        for row in rows:
            try:
                understood(self.said(row))
            except ValueError as error:
                raise ValueError(str(error).removeprefix("caption ")) from error
        return rows


class SceneExamples:
    """One split of the scenes.

    Attributes:
        scene: Which of all scenes every picture shows, (N,) int64.
        place: Which of `PLACES` one shape has, (N,) int64.
        shift: Jitter of the centres in half picture widths, (N, 2, 2).
        growth: Jitter of the radii in half picture widths, (N, 2).
        told: Which factors of `OPTIONAL` its caption names, (N, 5).
        turned: Whether its caption names the other shape first, (N,).
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
        columns = drawn_by_index(count, BLOCK, name, lambda generator: _draw(generator, jitter, turns, partial))
        self.scene, self.place = columns["scene"], columns["place"]
        self.shift, self.growth = columns["shift"], columns["growth"]
        self.told, self.turned = columns["told"], columns["turned"]
        form = {"split": name, "count": count, "image_size": image_size, "jitter": jitter, "partial": partial}
        form |= {"captions": captions.digest if isinstance(captions, Tokenised) else captions is not None}
        form |= {"turns": [turn.tolist() for turn in turns]}
        code = (generated, held_out, held_out_scenes, scene_pictures, scene_words, shape_pictures)
        self.fingerprint = fingerprint(__file__, *[module.__file__ for module in code], **form)

    def __len__(self) -> int:
        return len(self.scene)

    def levels(self, rows: Tensor) -> dict[str, Tensor]:
        """The level (B,) of every factor of some pictures, -1 where there is no other shape."""
        every = scenes()
        return {name: every[name][self.scene[rows]] for name in FACTORS}

    def read(self, rows: Tensor) -> dict[str, Tensor]:
        """Draw images (B, 3, H, W) uint8 with their labels (B,) and, if wanted, captions (B, 12)."""
        levels = self.levels(rows)
        image = draw_scenes(levels, self.image_size, self.place[rows], self.shift[rows], self.growth[rows])
        columns = {"image": image, "label": levels["relation"] + 1}
        if self.captions is None:
            return columns
        return {**columns, "caption": torch.cat([self.captions.read(text) for text in self.texts(rows)])}

    def texts(self, rows: Tensor) -> list[str]:
        """The captions of some pictures."""
        levels = {name: column.tolist() for name, column in self.levels(rows).items()}
        alike = (scenes()["kind"][self.scene[rows]] == KINDS.index("alike")).tolist()
        found = []
        for row, (told, turned) in enumerate(zip(self.told[rows].tolist(), self.turned[rows].tolist(), strict=True)):
            named = {name: FACTORS[name][column[row]] for name, column in levels.items() if column[row] >= 0}
            unsaid = [name for name, each in zip(OPTIONAL, told, strict=True) if not each]
            found.append(describe({**named, **dict.fromkeys(unsaid + ["relation"] * alike[row])}, turned))
        return found


def _draw(generator: torch.Generator, jitter: float, turns: Sequence[Tensor], partial: float) -> dict[str, Tensor]:
    """A block of pictures of the scenes of one list, or of several in turn, with the kinds in their shares."""
    share = BLOCK // len(turns)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    def some(scene: Tensor) -> Tensor:
        kind, chosen = scenes()["kind"][scene], torch.empty(share, dtype=torch.int64)
        there = [each for each in _SHARES if (kind == each).any()]
        of = torch.tensor(there).repeat(share)[:share]
        for each in set(there):
            own = scene[kind == each]
            chosen[of == each] = own[torch.randint(len(own), (share,), generator=generator)[of == each]]
        return chosen

    scene = torch.stack([some(turn) for turn in turns], 1).flatten()
    shift, growth = (jitter * (2 * uniform(*shape) - 1) for shape in ((BLOCK, 2, 2), (BLOCK, 2)))
    place = torch.randint(len(PLACES), (BLOCK,), generator=generator)
    told = torch.ones(BLOCK, len(OPTIONAL), dtype=torch.bool)
    if partial:
        told = (uniform(BLOCK) >= partial)[:, None] | (uniform(BLOCK, len(OPTIONAL)) < 0.5)
    turned = uniform(BLOCK) < 0.5
    return {"scene": scene, "place": place, "shift": shift, "growth": growth, "told": told, "turned": turned}
