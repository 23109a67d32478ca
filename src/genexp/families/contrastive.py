"""Images and captions in one space, as CLIP learns it: no generator, but what says how well a text fits an image."""

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import nn

from genexp.conditioning.base import Conditioning, ConditionKind
from genexp.contracts import Batch
from genexp.families.base import Family, Terms, Update
from genexp.losses.contrastive import MOST, InOneSpace, contrastive_loss, retrieval, same_texts
from genexp.ramps import Constant, Ramp


class Contrastive(InOneSpace, Family):
    """Two networks whose vectors, brought to length 1, are near each other for an image and its own caption.

    The temperature is learned: cosines are multiplied by exp(s), which begins at 1 / 0.07 and is held to 100 at most.

    Reference: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021), section
    2.3 to 2.5 and figure 3.

    Args:
        network: Maps images (B, C, H, W) in [-1, 1] to vectors (B, features).
        text: Builds the network that maps captions (B, L) to vectors (B, features), without further arguments.
        optimizer: Builds the optimiser from the parameters of both.
        conditions: The caption alone, by the name of its column in the data.
        learning_rate: Factor on the optimiser's learning rate as a function of images seen.
        clip: Largest gradient norm, or None.

    Raises:
        ValueError: there is not one condition.
    """

    averaged_modules = ()
    needs_whole_batches = "model=contrastive"

    def __init__(
        self,
        network: nn.Module,
        text: Callable[[], nn.Module],
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        conditions: Mapping[str, ConditionKind],
        learning_rate: Ramp = Constant(),
        clip: float | None = None,
    ) -> None:
        super().__init__()
        if len(conditions) != 1:
            raise ValueError(f"conditions must be the caption alone, got {', '.join(conditions) or 'none'}")
        self.conditioning = Conditioning(conditions)
        self.network, self.text = network, text()
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.register_update(
            "network",
            Update(optimizer, parameters=lambda: list(self.parameters()), learning_rate=learning_rate, clip=clip),
        )

    def source(self) -> object:
        """The family itself; nothing is drawn from it."""
        return self

    def train_batch(self, batch: Batch) -> Terms:
        """One step; terms `train/loss`, `train/accuracy` and `train/scale`."""
        terms = self.update("network", batch, self._terms)
        with torch.no_grad():
            self.scale.clamp_(max=MOST - 1e-6)  # the parameter itself: at the limit it has no gradient to come back by
        return {f"train/{name}": value for name, value in {**terms, "scale": self.scale.detach().exp()}.items()}

    def validate_batch(self, batch: Batch) -> Terms:
        """Terms `val/loss`, and `val/accuracy`, the share of images and captions that find each other in the batch."""
        return {f"val/{name}": value for name, value in self._terms(batch).items()}

    def _terms(self, batch: Batch) -> Terms:
        (caption,) = self.conditioning.told(batch).values()
        similarity, same = self.similarity(batch["image"], caption), same_texts(caption)
        return {"loss": contrastive_loss(similarity, same), "accuracy": retrieval(similarity, same).mean()}
