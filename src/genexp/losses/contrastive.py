"""Images and texts told apart: every image belongs to its own text of the batch, and every text to its image."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

MOST = math.log(100)
"""Largest logarithm of what cosines are multiplied by."""


class InOneSpace:
    """Pictures and texts as vectors of length 1 of one space, by two networks and a learned temperature.

    Attributes:
        network: Maps images (B, C, H, W) in [-1, 1] to vectors (B, features).
        text: Maps texts (B, L) to vectors (B, features).
        scale: Logarithm of what cosines are multiplied by, 100 at most.
    """

    network: nn.Module
    text: nn.Module
    scale: Tensor

    def of_images(self, image: Tensor) -> Tensor:
        """Vectors (B, features) of length 1 of images (B, C, H, W) in [-1, 1]."""
        return normalize(self.network(image), dim=1)

    def of_texts(self, caption: Tensor) -> Tensor:
        """Vectors (B, features) of length 1 of captions (B, L), numbers of words."""
        return normalize(self.text(caption), dim=1)

    def similarity(self, image: Tensor, caption: Tensor) -> Tensor:
        """Scaled cosines (B, N) of every image (B, C, H, W) with every caption (N, L)."""
        return self._factor * self.of_images(image) @ self.of_texts(caption).T

    def fit(self, image: Tensor, caption: Tensor) -> Tensor:
        """Scaled cosines (B,) of images (B, C, H, W), each with its own caption (B, L)."""
        return self._factor * (self.of_images(image) * self.of_texts(caption)).sum(1)

    @property
    def _factor(self) -> Tensor:
        return self.scale.clamp(max=MOST).exp()


def same_texts(text: Tensor) -> Tensor:
    """Which texts of a batch (B, L) are equal, (B, B)."""
    return (text[:, None] == text).all(2)


def contrastive_loss(similarity: Tensor, same: Tensor) -> Tensor:
    """Mean of the cross entropies over rows and over columns; of several equal texts each is as right as the others.

    For different texts it is the symmetric loss of Radford et al., "Learning Transferable Visual Models From Natural
    Language Supervision" (2021), figure 3. Equal texts, of which few words make many, are no false answers there: the
    target is uniform over them.

    Args:
        similarity: Scaled cosines (B, B) of every image (a row) with every text (a column).
        same: Which texts are equal, (B, B).
    """
    target = same / same.sum(1, keepdim=True)
    return (cross_entropy(similarity, target) + cross_entropy(similarity.T, target)) / 2


def retrieval(similarity: Tensor, same: Tensor) -> Tensor:
    """Share of images (B, 2) whose nearest text of the batch is theirs, and of texts whose nearest image is."""
    rows = torch.arange(len(similarity), device=similarity.device)
    return torch.stack([same[rows, similarity.argmax(1)], same[rows, similarity.argmax(0)]], 1).float()
