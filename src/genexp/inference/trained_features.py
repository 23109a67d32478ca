"""What a finished run sees in pictures: the latents of an autoencoder, the features of a classifier."""

from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.contracts import LatentEncoder
from genexp.evaluation.extractors.classifiers import HasFeatures, Penultimate
from genexp.families.classifier import Classifier
from genexp.inference.run import Run
from genexp.inference.trained import TrainedPart


@dataclass(eq=False)
class TrainedFeatures(TrainedPart):
    """Pictures to the mean of their posterior, flattened, by the autoencoder of a finished run."""

    def _begin(self, opened: Run) -> None:
        self._coder = self._source(LatentEncoder, "an autoencoder")
        if self._family.conditioning.names:
            told = self._family.conditioning
            raise ValueError(f"run must be of an autoencoder that is told nothing, got {self._given}, told {told}")
        self.dimensions = torch.Size(self._coder.latent_shape).numel()

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, dimensions) of images (B, C, H, W) in [-1, 1]."""
        self._follow(image)
        return self._coder.encode(image).flatten(1)


@dataclass(eq=False)
class TrainedClassifierFeatures(TrainedPart):
    """The penultimate layer of the classifier of a finished run, as features to compare images in; it classifies.

    Attributes:
        name, dimensions, image_size, resize: As of every `genexp.contracts.FeatureExtractor`.
    """

    def _begin(self, opened: Run) -> None:
        network = self._family.network if isinstance(self._family, Classifier) else None
        if not isinstance(network, HasFeatures):
            kind = type(network or self._family).__name__
            raise ValueError(f"run must be of a classifier of images with features, got {self._given} of {kind}")
        size = opened.config.data.image_size
        self._layer = Penultimate(network.eval().requires_grad_(False), size, "trained_classifier", self.digest)
        self.name, self.image_size, self.resize = self._layer.name, size, self._layer.resize
        self.dimensions = self._layer.dimensions

    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, dimensions) of images (B, C, H, W) in [-1, 1], brought to the size that it was trained at."""
        return self._layer(image)

    def logits(self, features: Tensor) -> Tensor:
        """Class logits (B, num_classes) of features (B, dimensions)."""
        return self._layer.logits(features)
