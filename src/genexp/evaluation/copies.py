"""Whether a model gives back its training images: the verdict that goes with what is handed to others."""

from dataclasses import asdict, dataclass

import torch
from scipy.stats import binomtest
from torch import Tensor

from genexp.evaluation.neighbours import nearest, require_more_than
from genexp.files.trees import Tree

NEAR = 0.01
"""Share of the training images that is nearer to another training image than the distance below which is `near`."""
SIGNIFICANT = 1e-3


@dataclass(frozen=True)
class CopyVerdict:
    """What was found of the nearest training images of generated images.

    Attributes:
        generated: Number of generated images.
        training: Number of training images.
        near: Share of generated images that are as near to a training image as the nearest few of these are to each
            other.
        usual: That share among the training images, each without itself; about `NEAR`.
        exact: Generated images that have the features of a training image exactly.
        p_value: How likely at least so many near ones would be among new real images: a binomial test.
        features: What the features are of, with the digest of their weights.
    """

    generated: int
    training: int
    near: float
    usual: float
    exact: int
    p_value: float
    features: str = ""

    @property
    def copies(self) -> bool:
        """Whether more images are near than chance explains."""
        return self.p_value < SIGNIFICANT

    @property
    def words(self) -> str:
        """The verdict in a sentence."""
        verdict = "gives back training images" if self.copies else "no sign of training images given back"
        return (
            f"{verdict}: {100 * self.near:.2g} % of {self.generated:,} samples are as near to one of {self.training:,} "
            f"training images as {100 * self.usual:.2g} % of these are to another one (p {self.p_value:.2g}, "
            f"{self.exact} exact copies, features {self.features})"
        )

    def record(self) -> Tree:
        """All of it, for a card or a record."""
        return {**asdict(self), "copies": self.copies, "words": self.words}


def judged(generated: Tensor, training: Tensor, features: str = "") -> CopyVerdict:
    """Compare features of generated images with those of the images that a model was trained on.

    New real images are near a training image as often as training images are near each other (of which the share
    `NEAR` is, but for ties); more near ones than that are copies. It tells nothing of what the features do not see.

    Args:
        generated: Features (N, D).
        training: Features (M, D) of the training images.
        features: Name and digest of what made them.

    Raises:
        ValueError: there is no generated image, or fewer than 100 training images.
    """
    if not len(generated):
        raise ValueError("a verdict on copies needs at least 1 generated image, got 0")
    require_more_than(99, len(training), "training images")
    spacing, _ = nearest(training, training, torch.arange(len(training)))
    distance, _ = nearest(generated, training)
    limit = spacing.sort().values[max(0, round(NEAR * len(spacing)) - 1)]
    usual = float((spacing <= limit).double().mean())
    near = int((distance <= limit).sum())
    chance = binomtest(near, len(distance), usual, alternative="greater").pvalue
    exact = int((distance == 0).sum())
    return CopyVerdict(len(distance), len(training), near / len(distance), usual, exact, float(chance), features)
