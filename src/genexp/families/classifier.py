"""A classifier: no generator, but what evaluation looks through, and what guidance and perceptual losses need."""

import inspect
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from genexp.contracts import Batch
from genexp.diffusion.noising import Noising, NoisyClassifier
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
        noising: Makes noisy images of the data's, which a network of images and times then classifies; None for images
            as they are.

    Raises:
        ValueError: `label_smoothing` lies outside [0, 1), or the network is not of what it is shown.
    """

    averaged_modules = ()

    def __init__(
        self,
        network: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        learning_rate: Ramp = Constant(),
        label_smoothing: float = 0.0,
        clip: float | None = None,
        noising: Noising | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), got {label_smoothing}")
        _require_times(network, noising is not None)
        self.network, self.label_smoothing, self.noising = network, label_smoothing, noising
        self.register_update(
            "network",
            Update(optimizer, parameters=lambda: list(network.parameters()), learning_rate=learning_rate, clip=clip),
        )

    def source(self) -> object:
        """The classifier of noisy images, or the family itself."""
        return self if self.noising is None else NoisyClassifier(self.network, self.noising.schedule)

    def train_batch(self, batch: Batch) -> Terms:
        """One step; terms `train/loss` and `train/accuracy`."""
        terms = self.update("network", self._noisy(batch), lambda part: self._terms(part, self.label_smoothing))
        return {f"train/{name}": value for name, value in terms.items()}

    def validate_batch(self, batch: Batch) -> Terms:
        """Terms `val/loss`, without label smoothing, and `val/accuracy`."""
        return {f"val/{name}": value for name, value in self._terms(self._noisy(batch), 0.0).items()}

    def _noisy(self, batch: Batch) -> Batch:
        """The batch with all that is random in its noise."""
        return batch if self.noising is None else {**batch, **self.noising.draw(batch["image"])}

    def _logits(self, batch: Batch) -> Tensor:
        if self.noising is None:
            return self.network(batch["image"])
        t = batch["time"]
        return self.source().logits(self.noising(batch["image"], t, batch["noise"]), t)

    def _terms(self, batch: Batch, label_smoothing: float) -> Terms:
        if "label" not in batch:
            raise ValueError(f"a classifier needs labelled data, got a batch of {sorted(batch)}")
        logits, label = self._logits(batch), batch["label"]
        loss = cross_entropy(logits, label, reduction="none", label_smoothing=label_smoothing)
        return {"loss": loss.mean(), "accuracy": (logits.argmax(1) == label).float().mean()}


def _require_times(network: nn.Module, noisy: bool) -> None:
    """Check that a network takes what it is shown.

    Raises:
        ValueError: it takes times where there is no noise, or none where there is.
    """
    takes = "t" in inspect.signature(network.forward).parameters
    if takes != noisy:
        rule = "of images and times (unet_classifier) with noising" if noisy else "of images alone without noising"
        raise ValueError(f"network must be {rule}, got {type(network).__name__}")
