"""Images and texts told apart: every image belongs to its own text of the batch, and every text to its image."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


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
