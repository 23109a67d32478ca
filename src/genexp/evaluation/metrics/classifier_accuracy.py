"""Whether generated images teach a classifier what real ones would."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from genexp.contracts import FeatureExtractor
from genexp.evaluation.extractors.resizing import resized
from genexp.evaluation.extractors.whole_images import Images, whole_images_of
from genexp.evaluation.metrics.base import Better, OfSets, Value
from genexp.evaluation.summaries import FeatureStore, require_labels
from genexp.networks.classifier import ConvClassifier


@dataclass(frozen=True)
class Lesson:
    """What generated images are examined with.

    Args:
        images: Real images to test on, (N, C, size, size).
        label: Their classes, (N,).
        num_classes: Number of classes.
        real: Accuracy of the same classifier after training on other real images.
    """

    images: Tensor
    label: Tensor
    num_classes: int
    real: float


class ClassifierAccuracy(OfSets):
    """Classification accuracy score: the accuracy, on real images, of a classifier that saw generated images only.

    Higher is better. The real images are dealt into two halves at random: the detail `real` is the accuracy of the same
    classifier when trained on the first, and both are tested on the second. Low accuracy says that classes are missing,
    mixed up or lack variety. Traps: it grows with the number of generated images; a generator that copies the training
    set scores like real images; the classifier is small and its training short, so the value compares with others of
    the same settings only, and repetitions with other seeds differ by a few tenths of a per cent to a per cent.

    Reference: Ravuri and Vinyals, "Classification Accuracy Score for Conditional Generative Models" (2019).

    Args:
        extractor: The images, with their shape.
        steps: Training steps.
        batch_size: Images a step.
        learning_rate: Largest learning rate of Adam, reached linearly over the first tenth of the steps and left along
            a cosine.
        width: Channels of the classifier's first stage; the second has twice, the third four times as many.
        image_size: Side that images are brought to, 4 times a power of two; None: the largest such side that is no
            larger than the images, at most 32.
        seed: Seed of halves, weights and batches.
    """

    values: ClassVar[dict[str, Better]] = {"cas": "higher"}
    reacts: ClassVar[dict[str, str]] = {"collapse": "worse", "missing_class": "worse", "blur": "worse"}

    def __init__(
        self,
        extractor: Images,
        steps: int = 300,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        width: int = 16,
        image_size: int | None = None,
        seed: int = 0,
    ) -> None:
        self.extractor = whole_images_of(type(self).__name__, extractor)
        settings = {"steps": steps, "batch_size": batch_size, "learning_rate": learning_rate, "width": width}
        for name, value in settings.items():
            if value <= 0:
                raise ValueError(f"{name} must be positive, got {value}")
        self.steps, self.batch_size, self.learning_rate = steps, batch_size, learning_rate
        self.width, self.seed = width, seed
        side = min(32, *extractor.shape[1:])
        if image_size is None and side < 4:
            raise ValueError(f"extractor must give images of at least 4 x 4 pixels, got {list(extractor.shape)}")
        self.image_size = image_size or 4 << ((side // 4).bit_length() - 1)

    def prepare(self, reference: FeatureStore, extractor: FeatureExtractor) -> Lesson:
        """Deal the real images into halves and train on the first.

        Raises:
            ValueError: the extractor is another than `Images`, labels are missing, or there are too few images.
        """
        whole_images_of(type(self).__name__, extractor)
        require_labels(type(self).__name__, reference)
        num_classes = int(reference.label.max()) + 1
        if num_classes < 2 or reference.count < 4:
            raise ValueError(
                f"ClassifierAccuracy needs at least 4 real images of 2 classes, got {reference.count} of {num_classes}"
            )
        order = torch.randperm(reference.count, generator=torch.Generator().manual_seed(self.seed))
        images, label = self._images(reference)[order], reference.label[order]
        half = reference.count // 2
        network = self._trained(images[:half], label[:half], num_classes)
        return Lesson(images[half:], label[half:], num_classes, _accuracy(network, images[half:], label[half:]))

    def compute(self, generated: FeatureStore, prepared: Lesson) -> dict[str, Value]:
        """Train on generated images, test on real ones.

        Raises:
            ValueError: generated images have no labels, or one that no real image has.
        """
        require_labels(type(self).__name__, generated)
        if int(generated.label.max()) >= prepared.num_classes:
            raise ValueError(
                f"generated labels must lie in [0, {prepared.num_classes}), got {int(generated.label.max())}"
            )
        network = self._trained(self._images(generated), generated.label, prepared.num_classes)
        accuracy = _accuracy(network, prepared.images, prepared.label)
        return {"cas": Value(accuracy, details={"real": prepared.real})}

    def _images(self, store: FeatureStore) -> Tensor:
        return resized(self.extractor.restored(store.features), self.image_size, "torch_antialias")

    @torch.enable_grad()
    def _trained(self, images: Tensor, label: Tensor, num_classes: int) -> ConvClassifier:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            widths = (self.width, 2 * self.width, 4 * self.width)
            network = ConvClassifier(images.shape[1], self.image_size, num_classes, widths, dropout=0)
        optimizer = torch.optim.Adam(network.parameters(), self.learning_rate)
        warm_up = max(1, self.steps // 10)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.learning_rate, total_steps=self.steps + 1, pct_start=warm_up / (self.steps + 1)
        )
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.steps):
            rows = torch.randint(len(images), (self.batch_size,), generator=generator)
            loss = cross_entropy(network(images[rows]), label[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return network.eval()


@torch.no_grad()
def _accuracy(network: ConvClassifier, images: Tensor, label: Tensor) -> float:
    guesses = torch.cat([network(part).argmax(1) for part in images.split(256)])
    return float((guesses == label).double().mean())
