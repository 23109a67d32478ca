"""Parts of a model that need other batches than those of the data: whole groups, more than one image, pictures."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from genexp.config.problems import Problem
from genexp.config.trial import Trial
from genexp.files.trees import Tree


@runtime_checkable
class _InGroups(Protocol):
    """A part that looks at `group_size` neighbours of a batch at once: a micro-batch must hold whole groups."""

    @property
    def group_size(self) -> int: ...


@runtime_checkable
class _InPacks(Protocol):
    """A discriminator that judges `pack` neighbours together; an unfinished last pack takes the first of the batch."""

    pack: int


@runtime_checkable
class _OfPictures(Protocol):
    """A part that changes images (B, C, H, W) in ways that points have not, unless `of_pictures` is false."""

    @property
    def of_pictures(self) -> bool: ...


@runtime_checkable
class _OfSeveral(Protocol):
    """A part that compares the samples of a batch, `least_batch` of them at least."""

    least_batch: int


def unfit_for_batches(trial: Trial, plain: Tree) -> Iterator[Problem]:
    """What parts ask of batches that the data do not give.

    Args:
        trial: What was built.
        plain: The configuration as plain containers.
    """
    yield from _of_groups(trial, plain)
    size, shape = plain["data"].get("batch_size"), plain["data"].get("shape")
    for key, part in trial.built.items():
        if isinstance(part, _OfPictures) and part.of_pictures and isinstance(shape, list) and len(shape) < 3:
            yield Problem(key, f"must not stand beside points, whose data.shape is {shape}: it changes pictures")
        if isinstance(part, _OfSeveral) and isinstance(size, int) and size < part.least_batch:
            yield Problem(key, f"must have a data.batch_size of at least {part.least_batch}, got {size}")


def _of_groups(trial: Trial, plain: Tree) -> Iterator[Problem]:
    """Micro-batches that do not hold whole groups or packs of what a discriminator sees at once."""
    size, devices = plain["data"].get("batch_size"), plain["trainer"].get("devices", 1)
    parts = plain["training"].get("accumulate", 1)
    if not (isinstance(size, int) and isinstance(parts, int) and parts > 0):
        return
    share = size // devices if isinstance(devices, int) and devices > 0 else size
    pieces = {-(-share // parts), share}  # of torch.chunk: all of one size, but for the last
    told = f"(data.batch_size={size}, training.accumulate={parts}, trainer.devices={devices})"
    for key, part in trial.built.items():
        found = {"group_size": part.group_size} if isinstance(part, _InGroups) else {}
        if isinstance(part, _InPacks) and min(pieces) < size:  # of a batch in parts packs would be others
            found["pack"] = part.pack
        for name, count in found.items():
            if any(piece % count for piece in pieces):
                rule = f"must divide micro-batches of {min(pieces)} images {told}, got {count}"
                yield Problem(f"{key}.{name}", rule, of_value=True)
