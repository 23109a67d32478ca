"""The one datamodule: any source as training, held-out and reference batches."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from lightning import LightningDataModule
from torch import Tensor, nn

from genexp.contracts import Batch
from genexp.data.classes import counted, of_classes, require_classes
from genexp.data.random_transforms import RandomTransforms
from genexp.data.source import Factored, InShards, Noted, OnPlane, Source, Split, require_split, told_of
from genexp.data.store import Stored, Subset, load_in_memory, survey
from genexp.data.stream import EvalLoader, Stream, TrainLoader, as_float
from genexp.files.trees import State
from genexp.hardware import sent
from genexp.sample_kinds import SampleKind, kind_of
from genexp.tensors import Plane


class ImageData(LightningDataModule):
    """Batches of a source, with declared shape and classes that are checked before training starts.

    The training order is a pure function of (seed, position). The position is the number of training batches that
    reached the model; it is saved in the checkpoint, so a resumed run continues with the very next image.

    Args:
        source: Where the examples come from.
        shape: Shape of one example: [C, H, W], or [2] for points.
        num_classes: Number of classes; null leaves the labels out.
        batch_size: Training images a batch, over all ranks.
        image_size: Pixels a side; null for points.
        channels: 1 (grey) or 3 (RGB); null for points.
        eval_batch_size: Images a batch on each rank when validating or collecting reference statistics.
        in_memory: Decode once and keep every image as uint8 in memory; otherwise images are read when needed.
        workers: Processes that read ahead when not `in_memory`; 0 reads in the main process.
        augment: torchvision v2 transforms of training images (uint8), drawn anew for every image; both pictures of a
            pair, `image` and `source`, get the same draws.
        limit: Train on the first so many images only (debugging, data efficiency); null for all.
        seed: Seed of order and augmentation.
        cache_dir: Folder of decoded copies; null keeps none.
        classes: Names of the source's classes that are used, with labels 0, 1, ... in this order; null for all.
        requires_approval: What they show that training needs an approval for, as faces; null for none.
        shuffle_buffer: Training images among which their order is random, see `Stream`; null for all.

    Raises:
        ValueError: an argument is out of range, or does not fit the source.
    """

    def __init__(
        self,
        source: Source,
        shape: Sequence[int],
        num_classes: int | None,
        batch_size: int,
        image_size: int | None = None,
        channels: int | None = None,
        eval_batch_size: int = 256,
        in_memory: bool = True,
        workers: int = 0,
        augment: Sequence[nn.Module] = (),
        limit: int | None = None,
        seed: int = 0,
        cache_dir: str | Path | None = None,
        classes: Sequence[str] | None = None,
        requires_approval: str | None = None,
        shuffle_buffer: int | None = None,
    ) -> None:
        super().__init__()
        sizes = {"batch_size": batch_size, "eval_batch_size": eval_batch_size, "limit": limit}
        for name, value in {**sizes, "shuffle_buffer": shuffle_buffer}.items():
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if workers < 0:
            raise ValueError(f"workers must be at least 0, got {workers}")
        if image_size is not None and list(shape) != [channels, image_size, image_size]:
            rule = "shape must be [channels, image_size, image_size]" if len(shape) == 3 else "image_size must be null"
            raise ValueError(f"{rule}, got image_size {image_size} and shape {list(shape)}")
        self.source, self.shape, self.num_classes = source, tuple(shape), num_classes
        self.batch_size, self.image_size, self.channels = batch_size, image_size, channels
        self.eval_batch_size, self.in_memory, self.workers = eval_batch_size, in_memory, 0 if in_memory else workers
        self.augmentation = RandomTransforms(augment, seed)
        self.limit, self.seed, self.cache_dir, self.shuffle_buffer = limit, seed, cache_dir, shuffle_buffer
        self.chosen, self.requires_approval = None if classes is None else tuple(classes), requires_approval
        self.batches = 0
        self._splits: dict[str, Stored] = {}

    # Before training

    def prepare_data(self) -> None:
        """Download and decode on one process, so that the others find the result on disk."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Load and check the train and val splits, and the share of a rank."""
        self.stored("train")
        self.stored("val")
        _, ranks = self._share()
        if self.batch_size % ranks:
            raise ValueError(f"batch_size must be a multiple of the {ranks} ranks that share it, got {self.batch_size}")

    def stored(self, split: Split) -> Stored:
        """The checked examples of a split with their digest; loaded at first use."""
        require_split(split)
        if split not in self._splits:
            load = load_in_memory if self.in_memory else survey
            with told_of(self.source):
                found = load(self.source.split(split), self.cache_dir)
            self._check(split, found)
            if self.chosen is not None:
                found = of_classes(found, self.chosen, self.source, split)
            self._splits[split] = found
        return self._splits[split]

    def plane(self) -> Plane | None:
        """Where points of this data are shown, over some held-out ones; None for images.

        A source may say so by a property `plane`; else it is a quarter farther than these points reach.
        """
        if kind_of(self.shape) is not SampleKind.POINTS:
            return None
        examples = self.stored("val").examples
        target = examples.read(torch.arange(min(len(examples), 2000)))["image"]
        known = self.source.plane if isinstance(self.source, OnPlane) else None
        return replace(known or Plane(1.25 * float(target.abs().max())), target=target)

    def _check(self, split: str, found: Stored) -> None:
        example = found.examples.read(torch.zeros(1, dtype=torch.int64))
        pictures = [name for name in ("image", "content", "style") if name in example]
        for name in set(pictures) - {"style"}:  # of any size, where the model can read it
            if (shape := tuple(example[name].shape[1:])) != self.shape:
                raise ValueError(f"shape must be that of the source's {name}, {list(shape)}, got {list(self.shape)}")
        if self.augmentation and (pictures != ["image"] or example["image"].dtype != torch.uint8):
            raise ValueError(f"augment needs a source of images, got one of {sorted(example)}")
        require_classes(self.source, self.chosen, self.num_classes, "label" in example)
        count = len(self.source.classes or ()) if self._labelled else 0
        if outside := [label for label in found.labels or () if count and not 0 <= label < count]:
            raise ValueError(f"every label of {split} must lie in [0, {count}), got {outside[0]}")

    def train_dataloader(self) -> TrainLoader:
        """Endless training batches from the current position on: uint8 images, made float on the device."""
        examples = self.stored("train").examples
        size, groups = self.drawn_size("train"), examples.groups if isinstance(examples, InShards) else ()
        stream = Stream(size, self.batch_size, self.seed, self.shuffle_buffer, groups)
        return TrainLoader(examples, stream, lambda: self.batches, *self._share(), self._labelled, self.workers)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Bring a batch to a card that is not waited for, so that the next is read meanwhile."""
        return {name: sent(value, device) for name, value in batch.items()}

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment and count training batches; make images float in [-1, 1] on the device."""
        if self.trainer is not None and self.trainer.training:
            if self.augmentation:
                rank, stride = self._share()
                first = self.batches * self.batch_size + rank
                moved = [name for name in ("image", "source") if name in batch]  # a pair by the same draws
                batch = {**batch, **{name: self.augmentation(batch[name], first, stride) for name in moved}}
            self.batches += 1
        return as_float(batch)

    def state_dict(self) -> State:
        """The position: training batches that reached the model."""
        return {"batches": self.batches}

    def load_state_dict(self, state_dict: State) -> None:
        """Continue from a saved position."""
        self.batches = state_dict["batches"]

    # Held-out data

    def val_dataloader(self) -> EvalLoader:
        """The val split in order, each rank its share."""
        return self.eval_loader("val")

    def eval_loader(self, split: Split) -> EvalLoader:
        """A whole split in order, every image once over all ranks, floats in [-1, 1]."""
        examples = self.stored(split).examples
        return EvalLoader(examples, self.eval_batch_size, *self._share(), self._labelled, self.workers)

    def reference(self, split: Split) -> Iterator[Batch]:
        """A whole split in batches, floats in [-1, 1], the same on every rank: what images are compared with."""
        examples = self.stored(split).examples
        columns = examples.read(torch.zeros(1, dtype=torch.int64))
        if "image" not in columns:
            raise ValueError(f"reference statistics need a source of single images, got one of {sorted(columns)}")
        return iter(EvalLoader(examples, self.eval_batch_size, labelled=self._labelled, workers=self.workers))

    def training_images(self) -> Iterator[Batch]:
        """The images that training draws from, once, in order and without augmentation, floats in [-1, 1]."""
        examples = self.stored("train").examples
        if self.limit is not None and self.limit < len(examples):
            examples = Subset(examples, torch.arange(self.limit))
        return iter(EvalLoader(examples, self.eval_batch_size, labelled=self._labelled, workers=self.workers))

    def described(self) -> list[str]:
        """What was found, in lines for a person: numbers of images, splits and classes, and what is not used."""
        some = [] if self.chosen is None else [f"of these the classes {', '.join(self.chosen)} alone"]
        if isinstance(self.source, Noted):
            return self.source.notes(self.num_classes) + some
        sizes = f"train {self.split_size('train'):,}, val {self.split_size('val'):,}"
        classes, unused = len(self.chosen or self.source.classes or ()), "" if self._labelled else " not used"
        return [f"{sizes}, labels of {classes} classes{unused}" if classes else sizes, *some]

    def examples(self, split: Split, rows: Tensor) -> Batch:
        """The examples `rows` (B,) of a split, floats in [-1, 1] where they are bytes."""
        return as_float(self.stored(split).examples.read(rows))

    def digest(self, split: Split) -> str:
        """Sha256 of the decoded content of a split."""
        return self.stored(split).digest

    def split_size(self, split: Split) -> int:
        """Number of usable examples of a split."""
        return len(self.stored(split).examples)

    def drawn_size(self, split: Split) -> int:
        """Number of examples, the first of a split, that training draws from: of `train` at most `limit`."""
        size = self.split_size(split)
        return min(size, self.limit or size) if split == "train" else size

    def factors(self, split: Split) -> dict[str, Tensor] | None:
        """Levels (N,) of every factor that the examples of a split were made from; None where that is not known."""
        return self.source.factor_levels(split) if isinstance(self.source, Factored) and not self.chosen else None

    def label_counts(self, split: Split) -> list[int]:
        """Number of examples of every class of a split.

        Raises:
            ValueError: the data are used without labels.
        """
        if self.num_classes is None:
            raise ValueError(f"label_counts of {split} need labels, got num_classes=None")
        counts = counted(self.stored(split), self.eval_batch_size, self.workers)
        return [counts.get(label, 0) for label in range(self.num_classes)]

    @property
    def classes(self) -> Sequence[str] | None:
        """Names of the classes, None for unlabelled data."""
        return (self.chosen or self.source.classes) if self._labelled else None

    @property
    def _labelled(self) -> bool:
        return self.num_classes is not None

    def _share(self) -> tuple[int, int]:
        """The rank of this process, and how many there are."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
