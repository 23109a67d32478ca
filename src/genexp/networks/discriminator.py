"""What every discriminator is: samples to features, features to scores."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.batch_sight import Diversity, SeesBatch
from genexp.networks.classes import ReadsClass
from genexp.networks.packing import require_pack, unpacked

CONDITIONINGS = ("projection", "concat")
Wrap = Callable[[nn.Module], nn.Module]


class Judgement(NamedTuple):
    """What a discriminator says of samples."""

    score: Tensor
    """Scores (B,), or (B, P) of P patches; high for samples taken for real."""
    features: Tensor
    """The last features (B, F) under the scores; (ceil(B / n), F) of packs of n."""


class Discriminator(ReadsClass, nn.Module):
    """Features phi(x) and the score w . phi(x) + b, with classes + e(label) . phi(x), the projection.

    A subclass computes the features, in `features`, and calls `_judge_by` once it knows their number. What a sample is
    told of its batch is added to them.

    Reference: Miyato and Koyama, "cGANs with Projection Discriminator" (2018).

    Args:
        num_classes: Number of classes; None for an unconditional discriminator.
        pack: Samples that are judged together, see `genexp.networks.packing`; more than 1 only without classes.
        conditioning: `projection`, or `concat` where the subclass tells its features the class instead.
        diversity: What is seen of the other samples of a batch, see `genexp.networks.batch_sight`, or None.

    Raises:
        ValueError: `pack` is below 1, or above 1 with classes; `conditioning` is unknown.
    """

    output: nn.Module
    embedding: nn.Module | None

    def __init__(
        self,
        num_classes: int | None = None,
        pack: int = 1,
        conditioning: str = "projection",
        diversity: Diversity | None = None,
    ) -> None:
        super().__init__()
        require_pack(pack, num_classes)
        if conditioning not in CONDITIONINGS:
            raise ValueError(f"conditioning must be one of {', '.join(CONDITIONINGS)}, got {conditioning!r}")
        self.num_classes, self.pack = num_classes, pack
        self.concatenated = conditioning == "concat" and bool(num_classes)
        self.diversity = diversity
        self.sight: SeesBatch | None = None

    def _judge_by(self, features: int, wrap: Wrap = lambda layer: layer) -> None:
        """Score by so many features, with layers that `wrap` initialises and normalises."""
        if self.diversity is not None:
            self.sight = self.diversity.layer((features,))
            features += self.sight.added
        self.feature_count = features
        self.output = wrap(nn.Linear(features, 1))
        projected = self.num_classes and not self.concatenated
        self.embedding = wrap(nn.Embedding(self.num_classes, features)) if projected else None

    def features(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Samples (B, ...) and their classes (B,) to features (B, F), of packs (ceil(B / n), F)."""
        raise TypeError(f"{type(self).__name__} must define features")

    def judged(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Judgement:
        """Scores of samples (B, ...) of classes (B,), with the features that they rest on."""
        label = self.label_of(condition)
        features = self.features(image, label)
        if self.sight is not None:
            features = self.sight(features)
        score = unpacked(self.output(features).squeeze(1), self.pack, len(image))
        if self.embedding is not None:
            score = score + (self.embedding(label) * features).sum(1)
        return Judgement(score, features)

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Samples (B, ...) and labels (B,) to scores (B,)."""
        return self.judged(image, condition).score


def with_label_planes(image: Tensor, embedding: nn.Module, label: Tensor) -> Tensor:
    """Images (B, C, H, W) and an embedded class (B, E) in E further planes, the same at every pixel."""
    planes = embedding(label)[:, :, None, None].expand(-1, -1, *image.shape[-2:])
    return torch.cat([image, planes.to(image.dtype)], 1)
