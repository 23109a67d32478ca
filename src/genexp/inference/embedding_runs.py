"""Runs that draw embeddings of pictures, and those that draw pictures of embeddings."""

from typing import TYPE_CHECKING

import torch

from genexp.conditioning.embedded import Embedded
from genexp.config.instantiate import build
from genexp.data.picture_embeddings import Embeddings

if TYPE_CHECKING:
    from genexp.inference.run import Run


def require_embeddings(before: "Run", after: "Run", name: str) -> None:
    """Check that one run draws embeddings as another has seen them: of one encoder, and of pictures of one size.

    Args:
        before: Draws them.
        after: Is told them; a condition of another kind is not looked at.
        name: Of that condition.

    Raises:
        ValueError: it draws others.
    """
    kind = after.model.conditioning.kinds[name]
    if not isinstance(kind, Embedded):
        return
    source = build(before.data).source
    found = source.encoder.digest[:12] if isinstance(source, Embeddings) else "no embeddings"
    if found != kind.digest[:12]:
        raise ValueError(
            f"run must name runs of one encoder, {kind.digest[:12]} of the second, got {found} of the first"
        )
    wanted, seen = tuple(after.config.data.shape), _shape_of(source)
    if seen != wanted:
        raise ValueError(
            f"run must name runs of pictures of one shape, {list(wanted)} of the second, got embeddings of pictures of "
            f"{list(seen)} of the first: set data.source.pictures.image_size of that run"
        )


def _shape_of(source: Embeddings) -> tuple[int, ...]:
    """That of the pictures that are embedded."""
    return tuple(source.pictures.split("train").read(torch.tensor([0]))["image"].shape[1:])
