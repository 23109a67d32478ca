"""A labelled folder of pictures that a run of classes draws, as data for another training."""

import json
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from genexp.conditioning.base import Condition
from genexp.data.layout import SPLIT_NAMES
from genexp.files.trees import Tree
from genexp.files.writing import naming
from genexp.inference.class_names import class_names
from genexp.inference.drawing import Drawing
from genexp.inference.picture_origins import origin_of
from genexp.inference.run import Run
from genexp.inference.sampler_config import checked_sampler
from genexp.runs.records import AUGMENTED
from genexp.runs.staging import staged
from genexp.sample_kinds import SampleKind, kind_of
from genexp.sampling.conditions import Conditions
from genexp.sampling.draw import draw, in_images, shares
from genexp.terminal import progress
from genexp.tracking.journal import save_png

MOST = 10**6
"""Pictures of a folder, whose names have six digits."""


class ClassesInTurn:
    """Sample i is of class i modulo the number of classes; what else is told is as in training.

    Args:
        num_classes: Their number.
        others: What samples are told otherwise.
    """

    def __init__(self, num_classes: int, others: Conditions) -> None:
        self.num_classes, self.others = num_classes, others

    def of(self, indices: "range | list[int]") -> Condition:
        """The conditions of samples, a row each."""
        label = torch.tensor([index % self.num_classes for index in indices], dtype=torch.int64)
        return {**self.others.of(indices), "label": label}


class Augmenting:
    """What draws the pictures, with everything checked.

    Args:
        run: The run.
        config: The configuration of `genexp augment`.

    Raises:
        ValueError: the run draws no pictures, or is told no classes; a sampler does not fit; too many are asked for.
    """

    def __init__(self, run: Run, config: DictConfig) -> None:
        self.run, self.config = run, config
        self.sampler = checked_sampler(run.config, config.get("sampler"), "augment")
        self.drawing = Drawing(run, self.sampler, config.device, config.seed, config.batch_size)
        count = self.drawing.told.num_classes
        if not self.drawing.has_start or kind_of(run.config.data.shape) is not SampleKind.IMAGES:
            raise ValueError(f"run must be of a model that draws pictures from noise, got {run.folder.record['id']}")
        if count is None:
            raise ValueError(
                f"run must be of a model that is told classes, got {run.folder.record['id']}, told "
                f"{self.drawing.told}: train one with model.num_classes, as experiment=cfg/digits does"
            )
        if count * config.per_class > MOST:
            raise ValueError(f"per_class must be at most {MOST // count:,} of {count} classes, got {config.per_class}")
        self.classes = class_folders(run, count)

    def write(self, out: Path) -> Tree:
        """Draw the pictures of every class into a folder of its own, all of them or nothing; returns the record.

        Args:
            out: A new folder, or one of an earlier `genexp augment`, whose pictures go.
        """
        drawing, count = self.drawing, len(self.classes)
        conditions, num = ClassesInTurn(count, drawing.conditions), count * self.config.per_class
        origin = origin_of(self.config, [self.run])
        earlier = [each.name for each in out.iterdir() if each.is_dir()] if out.is_dir() else []
        with staged(out, sorted({*earlier, *self.classes}), AUGMENTED) as partial, progress("pictures", num) as advance:
            for name in self.classes:
                (partial / name).mkdir()
            for indices in shares(num, drawing.batch_size):
                steps = in_images(advance, len(indices))
                found = draw(drawing.source, drawing.sampler, indices, drawing.seed, conditions, drawing.device, steps)
                for index, image in zip(indices, kind_of(found["image"].shape[1:]).stored(found["image"]), strict=True):
                    path = partial / self.classes[index % count] / f"{index:06d}.png"
                    save_png(image.cpu(), path, origin and origin.text(image.cpu(), index))
            with naming(out / AUGMENTED):
                (partial / AUGMENTED).write_text(json.dumps(self._record(), indent=2) + "\n")
        for name in set(earlier) - set(self.classes):
            if not any((out / name).iterdir()):
                (out / name).rmdir()
        return self._record()

    def _record(self) -> Tree:
        sampler = OmegaConf.to_container(self.sampler, resolve=True)
        told = {"weights": self.run.weights, "digest": self.run.digest, "sampler": sampler, "seed": self.config.seed}
        return {**self.run.subject, **told, "per_class": self.config.per_class, "classes": self.classes}


def class_folders(run: Run, count: int) -> list[str]:
    """Names of folders for the classes: those of the run's data, or numbers where these would not keep their order.

    `data=folder` numbers class folders in alphabetical order, so that of the names must be that of the labels.

    Args:
        run: The run.
        count: Number of its classes.
    """
    names = class_names(run)
    plain = all(name.isprintable() and not set(name) & set('/\\:*?"<>|') and name[:1] not in ".~" for name in names)
    plain = plain and all(names) and not SPLIT_NAMES.keys() & {name.lower() for name in names}
    if len(names) == count and sorted(set(names)) == names and plain:
        return names
    return [f"{label:0{len(str(count - 1))}d}" for label in range(count)]
