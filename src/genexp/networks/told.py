"""What networks have in common that are told a time, a class and further conditions by one vector."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from genexp.conditioning.base import Condition
from genexp.conditioning.estimate import ESTIMATE
from genexp.conditioning.pictures import OfPictures
from genexp.geometry import fitted
from genexp.networks.classes import ClassTable, ReadsClass, ToldBy, told_modules, vectors_of
from genexp.networks.embeddings import TimeEmbedding


def channels_beside(kind: OfPictures) -> int:
    """Channels of a condition of pictures beside the image; of frames with one more, which says where there are any."""
    return kind.row[-3] + (len(kind.row) == 4)


class ToldNetwork(ReadsClass, nn.Module):
    """A network told one vector: the embedding of the time, plus that of the class, plus those of other conditions.

    Args:
        width: Size of the sinusoidal embedding of the time, even and at least 4.
        features: Size of the vector.
        num_classes: Number of classes, or None for an unconditional network. Label `num_classes` means "no class" and
            has an embedding of its own.
        told: What makes a vector of a further condition, by its name.
        beside: Conditions that are pictures, by name, which are seen beside the image.
        self_conditioned: Whether it reads its own last answer beside the noisy samples, as further channels.

    Raises:
        ValueError: `width` is odd or below 4.
    """

    def __init__(
        self,
        width: int,
        features: int,
        num_classes: int | None = None,
        told: ToldBy | None = None,
        beside: Mapping[str, OfPictures] | None = None,
        self_conditioned: bool = False,
    ) -> None:
        super().__init__()
        self.beside = {name: channels_beside(kind) for name, kind in (beside or {}).items()}
        self.self_conditioned = self_conditioned
        self.num_classes = num_classes
        self.time = TimeEmbedding(width, features)
        self.label = None if num_classes is None else ClassTable(num_classes + 1, features)
        self.told = told_modules(told, features)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the conditions it reads."""
        label = () if self.label is None else ("label",)  # no call of super(): torch.compile cannot follow a property's
        return (*label, *self.told, *self.beside, *((ESTIMATE,) if self.self_conditioned else ()))

    def seen(self, x_t: Tensor, condition: Condition) -> Tensor:
        """Noisy samples (B, C, ...), and as further channels pictures of their size and the network's last answer."""
        if not self.beside and not self.self_conditioned:
            return x_t
        size = tuple(x_t.shape[-2:])
        pictures = [fitted(condition[name].to(x_t.dtype), size) for name in self.beside]
        estimate = [condition[ESTIMATE].to(x_t.dtype)] if self.self_conditioned else []
        return torch.cat([x_t, *pictures, *estimate], 1)

    def embedded(self, t: Tensor, condition: Condition) -> Tensor:
        """Times (B,) and a condition to vectors (B, features).

        Raises:
            ValueError: the condition does not hold what the network reads, or holds more.
        """
        self.require_told(condition)
        return sum(vectors_of(condition, self.label, self.told), self.time(t))
