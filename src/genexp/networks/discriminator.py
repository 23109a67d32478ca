"""What every discriminator is: samples to features, features to scores."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.batch_sight import Diversity, SeesBatch
from genexp.networks.classes import ReadsFurther, Ready, ToldBy, told_modules, vectors_of
from genexp.networks.packing import require_pack, unpacked

CONDITIONINGS = ("projection", "concat")


class Judgement(NamedTuple):
    """What a discriminator says of samples."""

    score: Tensor
    """Scores (B,), or (B, P) of P patches; high for samples taken for real."""
    features: Tensor
    """The last features (B, F) under the scores; (ceil(B / n), F) of packs of n."""


class Discriminator(ReadsFurther, nn.Module):
    """Features phi(x) and the score w . phi(x) + b, and for every condition + e(condition) . phi(x), the projection.

    e is a learned vector of every class, and for a further condition, such as a caption, a module that makes a vector
    of it; its layers are under the norms that the network's weights are under.

    A subclass computes the features, in `features`, and calls `_judge_by` once it knows their number. What a sample is
    told of its batch is added to them.

    Reference: Miyato and Koyama, "cGANs with Projection Discriminator" (2018).

    Args:
        num_classes: Number of classes; None for an unconditional discriminator.
        pack: Samples that are judged together, see `genexp.networks.packing`; more than 1 only without conditions.
        conditioning: `projection`, or `concat` where the subclass tells its features the conditions instead.
        diversity: What is seen of the other samples of a batch, see `genexp.networks.batch_sight`, or None.
        told: What makes a vector of a further condition, by its name.

    Raises:
        ValueError: `pack` is below 1, or above 1 with conditions; `conditioning` is unknown.
    """

    output: nn.Module
    embedding: nn.Module | None

    def __init__(
        self,
        num_classes: int | None = None,
        pack: int = 1,
        conditioning: str = "projection",
        diversity: Diversity | None = None,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__()
        require_pack(pack, num_classes, told)
        if conditioning not in CONDITIONINGS:
            raise ValueError(f"conditioning must be one of {', '.join(CONDITIONINGS)}, got {conditioning!r}")
        self.num_classes, self.pack = num_classes, pack
        self.told, self._told_by = nn.ModuleDict(), dict(told or {})
        self.concatenated = conditioning == "concat" and bool(num_classes or told)
        self.count_beside = (bool(num_classes) + len(self._told_by)) * self.concatenated
        self.diversity = diversity
        self.sight: SeesBatch | None = None

    def _judge_by(self, features: int, ready: Ready = lambda layer: layer) -> None:
        """Score by so many features, with layers that `ready` initialises and normalises."""
        if self.diversity is not None:
            self.sight = self.diversity.layer((features,))
            features += self.sight.added
        self.feature_count = features
        self.output = ready(nn.Linear(features, 1))
        self.embedding = None if self.concatenated else self._tell(features, ready)

    def _tell(self, size: int, ready: Ready = lambda layer: layer) -> nn.Module | None:
        """Make what gives vectors of `size` numbers, `told` of further conditions; return that of classes."""
        table = ready(nn.Embedding(self.num_classes, size)) if self.num_classes else None
        self.told = told_modules(self._told_by, size, ready)
        return table

    def features(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Samples (B, ...) and what they are told to features (B, F), of packs (ceil(B / n), F)."""
        raise TypeError(f"{type(self).__name__} must define features")

    def judged(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Judgement:
        """Scores of samples (B, ...) under a condition, with the features that they rest on."""
        self.require_told(condition)
        features = self.features(image, condition)
        if self.sight is not None:
            features = self.sight(features)
        score = unpacked(self.output(features).squeeze(1), self.pack, len(image))
        for vector in [] if self.concatenated else vectors_of(condition, self.embedding, self.told):
            score = score + (vector * features).sum(1)
        return Judgement(score, features)

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Samples (B, ...) under a condition to scores (B,)."""
        return self.judged(image, condition).score


def with_planes(image: Tensor, vectors: Sequence[Tensor]) -> Tensor:
    """Images (B, C, H, W) and vectors (B, E) in E further planes each, the same at every pixel."""
    planes = (vector[:, :, None, None].expand(-1, -1, *image.shape[-2:]).to(image.dtype) for vector in vectors)
    return torch.cat([image, *planes], 1)
