"""A classifier: no generator, but what evaluation looks through, and what guidance and perceptual losses need."""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from genexp.contracts import Batch
from genexp.families.base import Family, Terms, Update
from genexp.ramps import Constant, Ramp


class Classifier(Family):
    """Cross entropy between a network's logits and the labels.

    Args:
        network: Maps images (B, C, H, W) in [-1, 1] to logits (B, num_classes).
        optimizer: Builds the optimiser from the network's parameters.
        learning_rate: Factor on the optimiser's learning rate as a function of images seen.
        label_smoothing: Probability spread evenly over the classes in the target, in [0, 1).
        clip: Largest gradient norm, or None.

    Raises:
        ValueError: `label_smoothing` lies outside [0, 1).
    """

    averaged_modules = ()

    def __init__(
        self,
        network: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        learning_rate: Ramp = Constant(),
        label_smoothing: float = 0.0,
        clip: float | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing}")
        self.network, self.label_smoothing = network, label_smoothing
        self.register_update(
            "network",
            Update(optimizer, parameters=lambda: list(network.parameters()), learning_rate=learning_rate, clip=clip),
        )

    def train_batch(self, batch: Batch) -> Terms:
        """One step; terms `train/loss` and `train/accuracy`."""
        terms = self.update("network", batch, lambda part: self._terms(part, self.label_smoothing))
        return {f"train/{name}": value for name, value in terms.items()}

    def validate_batch(self, batch: Batch) -> Terms:
        """Terms `val/loss`, without label smoothing, and `val/accuracy`."""
        return {f"val/{name}": value for name, value in self._terms(batch, 0.0).items()}

    def _terms(self, batch: Batch, label_smoothing: float) -> Terms:
        if "label" not in batch:
            raise ValueError(f"a classifier needs labelled data, got a batch of {sorted(batch)}")
        logits, label = self.network(batch["image"]), batch["label"]
        loss = cross_entropy(logits, label, reduction="none", label_smoothing=label_smoothing)
        return {"loss": loss.mean(), "accuracy": (logits.argmax(1) == label).float().mean()}
