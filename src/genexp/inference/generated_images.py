"""The generated images of an evaluation: drawn batch by batch, kept on disk, and read back when it is repeated."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from genexp.config.instantiate import build
from genexp.contracts import Batch, FittedSampler
from genexp.data.source import Split
from genexp.evaluation.cache import TensorCache
from genexp.evaluation.dealing import dealt
from genexp.evaluation.images import quantised
from genexp.evaluation.protocol import describe
from genexp.evaluation.scores import described
from genexp.files.trees import Tree
from genexp.inference.conditions import conditions_of
from genexp.inference.following import Following
from genexp.inference.run import Run
from genexp.sample_kinds import kind_of
from genexp.sampling.base import DiffusionSampler
from genexp.sampling.draw import draw, network_evaluations, shares, told_by
from genexp.sampling.latent_mixture import fit_to_training_images
from genexp.tensors import to_float


class Samples:
    """The samples 0 to `num` - 1 of a run, in order.

    Every batch is kept as 8-bit images under a key that names weights, sampler, seed and labels, so that an interrupted
    evaluation continues where it stopped, and another metric needs no new images.

    Args:
        run: The loaded run.
        sampler: Configuration of the sampler.
        num: Number of images.
        seed: Seed of their noise.
        batch_size: Images drawn at a time.
        device: Where they are drawn.
        after: What says what is told after another run; None for a run alone.
        told: Split whose conditions they are drawn under; None for that of the run's own evaluations.
    """

    def __init__(
        self,
        run: Run,
        sampler: DictConfig,
        num: int,
        seed: int,
        batch_size: int,
        device: torch.device,
        after: Following | None = None,
        told: Split | None = None,
    ) -> None:
        self.num, self.seed, self.batch_size, self.device = num, seed, batch_size, device
        self.source, self.sampler = run.model.to(device).source(), build(sampler)
        told_of = told_by(self.sampler, self.source, run.model.conditioning)
        self.told = told or default_told(run)
        alone = after is None
        self.conditions = conditions_of(run, None, told_of, seed, self.told) if alone else after.conditions(told_of)
        before = self.conditions if alone else after.rest(told_of)  # without drawing
        given = {} if before is None else before.of(range(num))
        self.group, self.dealing = dealt(num, given.get("label"))
        self._run, self._fitted = run, False
        self.cache = TensorCache(run.folder.path / "evaluations" / "images")
        self._key = {
            "checkpoint": run.digest,
            "weights": run.weights,
            "sampler": json.dumps(OmegaConf.to_container(sampler, resolve=True), sort_keys=True),
            "seed": seed,
            "conditions": repr(self.conditions),
        }
        if isinstance(self.sampler, DiffusionSampler):  # what a spacing means may change, the times may not
            times = [level.time for level in self.sampler.levels(self.source.schedule)]
            self._key["times"] = hashlib.sha256(json.dumps(times).encode()).hexdigest()
            self._key["described"] = describe(self.sampler)  # with the digest of a model that guides
        self._seconds: list[float] = []
        self._drawn = 0

    @property
    def sampling(self) -> Tree | None:
        """How fast images were drawn, or None if all of them came from the disk.

        `sampling_seconds` is the wall time of an image: the median over the batches that were drawn anew, of a batch's
        seconds divided by its images. Beside it stands what it depends on: sampler and, of a sampler that goes on in
        steps, how often it evaluates the network for an image; weights, images a batch, device and threads.
        """
        if not self._seconds:
            return None
        evaluations = network_evaluations(self.sampler, self.source)
        return {
            "sampling_seconds": median(self._seconds),
            "images": self._drawn,
            **({"evaluations": evaluations} if evaluations else {}),
            "sampler": self.described,
            "weights": self._key["weights"],
            "batch_size": self.batch_size,
            "device": str(self.device),
            "threads": torch.get_num_threads(),
        }

    @property
    def words(self) -> str:
        """Everything that the images depend on, in one text."""
        return json.dumps(self._key, sort_keys=True)

    @property
    def described(self) -> str:
        """The sampler of a protocol."""
        return described(self.sampler, self.told)

    def of(self, indices: Sequence[int]) -> Tensor:
        """The samples (B, *shape) of one batch of indices that follow each other."""
        return self._batch(range(indices[0], indices[-1] + 1))["image"]

    def batches(self, advance: Callable[[float], None] = lambda count: None) -> Iterator[Batch]:
        """The samples with `image`, `index`, `group` and, for a conditional model, `label`."""
        for indices in shares(self.num, self.batch_size):
            yield {**self._batch(indices), "group": self.group[indices.start : indices.stop]}
            advance(len(indices))

    def _fit_once(self) -> None:
        """Fit a sampler that learns from the run's training images, when the first images are drawn."""
        if isinstance(self.sampler, FittedSampler) and not self._fitted:
            fit_to_training_images(self.sampler, self.source, build(self._run.data), self.device)
            self._fitted = True

    def _batch(self, indices: range) -> Batch:
        key = self._key | {"first": indices.start, "last": indices[-1]}
        stored = self.cache.load(key)
        if stored is None:
            self._fit_once()
            begun = time.perf_counter()
            batch = draw(self.source, self.sampler, indices, self.seed, self.conditions, self.device)
            images = quantised(batch["image"])
            kept = {"image": kind_of(images.shape[1:]).stored(images)}
            stored = {name: value.cpu() for name, value in (batch | kept).items()}
            self._seconds.append((time.perf_counter() - begun) / len(indices))
            self._drawn += len(indices)
            self.cache.store(key, stored)
        image = stored["image"]
        found = {**stored, "image": to_float(image) if image.dtype == torch.uint8 else image}
        return {name: value.to(self.device) for name, value in found.items()}


def default_told(run: Run) -> Split:
    """The split whose conditions the run's own evaluations told."""
    evaluate = run.config.callbacks.get("evaluate")
    return "train" if evaluate is None else evaluate.get("told", "train")


def default_num(run: Run) -> int:
    """As many images as the run's own evaluations compared."""
    evaluate = run.config.callbacks.get("evaluate")
    return 1000 if evaluate is None else int(evaluate.num)
