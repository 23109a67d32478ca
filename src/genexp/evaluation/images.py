"""The images that an evaluation looks at: sets that can be opened again and again, at the levels that files hold."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genexp.contracts import Batch
from genexp.data.source import stratified_order
from genexp.evaluation.dealing import groups_within
from genexp.sample_kinds import kind_of


@dataclass(frozen=True)
class ImageSet:
    """A set of images, such as a split of a data set or a folder.

    Args:
        name: What to call it, such as `train`.
        digest: Digest of its content.
        count: Number of images.
        shape: Shape of an image (C, H, W), or (D,) of a point.
        batches: Opens it: batches with `image` (B, *shape) in [-1, 1], and `label` where there are classes.
        labelled: Whether batches have `label`.
        note: How it was drawn from a larger set; empty if it was not.
        labels: Reads the classes (N,) alone; None where they are to be had from the batches only.
        factors: Levels (N,) of every factor that the images were made from, by name; None where none are known.
    """

    name: str
    digest: str
    count: int
    shape: tuple[int, ...]
    batches: Callable[[], Iterable[Batch]]
    labelled: bool = False
    note: str = ""
    labels: Callable[[], Tensor] | None = None
    factors: Mapping[str, Tensor] | None = None

    def classes(self) -> Tensor | None:
        """The classes (N,) of all images on the CPU, read before them; None where none are known."""
        if not self.labelled:
            return None
        return self.labels() if self.labels else torch.cat([batch["label"].cpu() for batch in self.batches()])

    def dealt(self) -> "ImageSet":
        """The same images, dealt into groups within their classes where these are known."""
        if not self.labelled:
            return self

        def batches() -> Iterator[Batch]:
            group, seen = groups_within(self.classes()), 0
            for batch in self.batches():
                yield {**batch, "group": group[seen : seen + len(batch["image"])]}
                seen += len(batch["image"])

        return replace(self, batches=batches)

    def sample(self, num: int, seed: int = 0) -> "ImageSet":
        """So many of the images, drawn at random, in the shares of the classes where they are known; at most all.

        Classes are read before the images, in a pass of its own. The digest and the note say how they were drawn.
        """
        if num >= self.count:
            return self

        def batches() -> Iterator[Batch]:
            chosen, seen = sampled_rows(self.count, num, self.classes(), seed), 0
            for batch in self.batches():
                end = seen + len(batch["image"])
                mine = chosen[(chosen >= seen) & (chosen < end)] - seen
                seen = end
                if len(mine):
                    yield {name: value[mine.to(value.device)] for name, value in batch.items()}

        note = sample_note(self.count, num, self.labelled, seed)
        digest = f"{self.digest}, {note}"
        return ImageSet(f"{self.name}, {note}", digest, num, self.shape, batches, self.labelled, note)


def sampled_rows(count: int, num: int, label: Tensor | None, seed: int) -> Tensor:
    """Positions (num,), ascending, of a random sample of `count` images; with `label` (count,) in the classes' shares.

    The first images of a folder are those of its first class, and every tenth may be of one class, too.
    """
    order = stratified_order(torch.zeros(count) if label is None else label, seed)
    return order[:num].sort().values


def sample_note(count: int, num: int, labelled: bool, seed: int) -> str:
    """How a sample was drawn, in words."""
    return f"{num:,} of {count:,} drawn at random{' by class' if labelled else ''}, seed {seed}"


def quantised(images: Tensor) -> Tensor:
    """Samples at the levels that files hold, as their kind says: points (B, D) as they are.

    Raises:
        ValueError: a value is NaN or infinite, which no level stands for.
    """
    finite = torch.isfinite(images).flatten(1).all(1)
    if not finite.all():
        raise ValueError(f"images must be finite, got NaN or infinity in {int((~finite).sum())} of {len(images)}")
    return kind_of(images.shape[1:]).quantised(images)
