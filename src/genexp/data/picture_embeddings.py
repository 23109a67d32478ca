"""Embeddings of the pictures of another source, by a frozen encoder: what a prior draws."""

import torch
from torch import Tensor

from genexp.conditioning.embedded import Encoder, unit
from genexp.contracts import Batch
from genexp.data.source import Examples, Source, Split, fingerprint
from genexp.tensors import to_float


class Embeddings:
    """Points (D,) in place of pictures: their embeddings, brought to length sqrt(D), with all other columns.

    Reference: Ramesh et al., "Hierarchical Text-Conditional Image Generation with CLIP Latents" (2022), section 2.2,
    without their reduction by principal components.

    Args:
        pictures: The source.
        encoder: A frozen network from images to vectors.
    """

    def __init__(self, pictures: Source, encoder: Encoder) -> None:
        self.pictures, self.encoder, self.classes = pictures, encoder, pictures.classes

    def split(self, name: Split) -> "EmbeddedExamples":
        """The embeddings of one split."""
        return EmbeddedExamples(self.pictures.split(name), self.encoder)


class EmbeddedExamples:
    """One split of them.

    Args:
        pictures: The same split of pictures.
        encoder: The encoder.
    """

    generated = False

    def __init__(self, pictures: Examples, encoder: Encoder) -> None:
        self.pictures, self.encoder = pictures, encoder
        self.fingerprint = fingerprint(__file__, pictures=pictures.fingerprint, encoder=encoder.digest)

    def __len__(self) -> int:
        return len(self.pictures)

    @torch.no_grad()
    def read(self, rows: Tensor) -> Batch:
        """The columns of the pictures `rows`, with embeddings (B, D) float32 as `image`."""
        found = self.pictures.read(rows)
        return {**found, "image": unit(self.encoder(to_float(found["image"])))}
