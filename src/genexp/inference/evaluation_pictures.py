"""The pictures of an evaluation: suspicious pairs, the most and the least typical samples, or the cloud of points."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from genexp.contracts import Batch
from genexp.evaluation.evaluator import Summary
from genexp.evaluation.gallery import Choice, pick
from genexp.evaluation.images import ImageSet
from genexp.figures.samples import drawn
from genexp.inference.prepare import GALLERY, Measuring
from genexp.sample_kinds import kind_of
from genexp.tensors import Grid, Plane
from genexp.tracking.journal import save_png


def write_pictures(
    measuring: Measuring, summary: Summary, batches: Callable[[], Iterable[Batch]], folder: Path, count: int
) -> list[Path]:
    """Write `nearest.png`, `best.png` and `worst.png`: a row a sample, itself first, its nearest real images after it.

    Args:
        measuring: What measured the images.
        summary: Their summary.
        batches: Opens them again.
        folder: Where the pictures go.
        count: Samples a picture; 0 writes nothing.

    Returns:
        The files.
    """
    if measuring.gallery is None or count == 0:
        return []
    slot = measuring.evaluator.slot(GALLERY)
    generated, real = summary[slot], measuring.reference.prepared[GALLERY]
    written = []
    images = replace(measuring.side.images, batches=batches, name="generated", count=generated.count)
    for name, choice in measuring.gallery.choose(generated, real, count).items():
        path = folder / f"{name}.png"
        shown, beside = _rows(choice, images, measuring.side.images), choice.neighbours.shape[1]
        words = ["drawn", *(f"real {place}" for place in range(1, beside + 1))]
        save_png(drawn(Grid(shown, 1 + beside, words, [f"{i}" for i in choice.samples.tolist()])), path)
        written.append(path)
    return written


def write_samples(
    batches: Callable[[], Iterable[Batch]], folder: Path, count: int, plane: Plane | None = None
) -> Path | None:
    """Write `samples.png`: the first samples in order, twelve a row; of points a cloud.

    Args:
        batches: Opens the samples.
        folder: Where the picture goes.
        count: Images in the picture; 0 writes nothing. Of points, 2,500 are shown whatever the number.
        plane: Where points are shown.

    Returns:
        The file, or None.
    """
    if count == 0:
        return None
    shown: list[Tensor] = []
    for batch in batches():
        shown.append(batch["image"])
        wanted = count if kind_of(batch["image"].shape[1:]).pictured else _POINTS
        if sum(len(each) for each in shown) >= wanted:
            break
    path = folder / "samples.png"
    save_png(drawn(Grid(torch.cat(shown)[:wanted], _COLUMNS, plane=plane)), path)
    return path


_COLUMNS, _POINTS = 12, 2500


def _rows(choice: Choice, generated: ImageSet, real: ImageSet) -> Tensor:
    samples = pick(generated, choice.samples)
    neighbours = pick(real, choice.neighbours.flatten()).unflatten(0, choice.neighbours.shape)
    return torch.cat([samples[:, None], neighbours], dim=1).flatten(0, 1)
