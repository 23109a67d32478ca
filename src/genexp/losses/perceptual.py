"""How far images are from others as a fixed network sees them: a distance of its feature maps, with gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class PerceptualLoss(nn.Module):
    r"""Distances of feature maps: \sum_l mean |phi_l(x) - phi_l(y)|^p over channels and positions, per sample.

    The network is a fixed function: in no optimiser and no checkpoint, and its weights get no gradient. Values of two
    networks, or of two lists of layers, are on two scales.

    References: Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution"
    (2016), equation 2 (p = 2); Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks" (2018),
    whose published code has p = 1.

    Args:
        features: Encoder: (images, layers) to feature maps by layer; `names` lists its layers, `digest` identifies its
            weights.
        layers: Names of its layers.
        power: p, 1 or 2.
        image_size: Side in pixels that images are brought to first, or None: they are seen as they are.
        weight: Factor in a sum of losses, at least 0, which whoever sums applies.

    Raises:
        ValueError: an argument is out of range, or there is no such layer.
    """

    def __init__(
        self,
        features: nn.Module,
        layers: Sequence[str],
        power: int = 2,
        image_size: int | None = None,
        weight: float = 1.0,
    ) -> None:
        super().__init__()
        if isinstance(layers, str) or not layers or any(layer not in features.names for layer in layers):
            given = layers if isinstance(layers, str) else list(layers)
            raise ValueError(f"layers must be a list of {', '.join(features.names)}, got {given}")
        if power not in (1, 2):
            raise ValueError(f"power must be 1 or 2, got {power}")
        if image_size is not None and image_size < 1:
            raise ValueError(f"image_size must be at least 1, or null, got {image_size}")
        if not weight >= 0:
            raise ValueError(f"weight must be at least 0, got {weight}")
        self.weight = weight
        self.features, self.layers, self.power, self.image_size = features, tuple(layers), power, image_size

    def forward(self, image: Tensor, target: Tensor) -> Tensor:
        """Distances (B,) of images from targets, both (B, 1 or 3, H, W) in [-1, 1]; grey ones are repeated."""
        found, wanted = (self.features(self._fitted(each), self.layers) for each in (image, target))
        return torch.stack([self._distance(found[layer], wanted[layer]) for layer in self.layers]).sum(0)

    def _distance(self, found: Tensor, wanted: Tensor) -> Tensor:
        difference = found - wanted
        return (difference.abs() if self.power == 1 else difference.square()).flatten(1).mean(1)

    def _fitted(self, image: Tensor) -> Tensor:
        size = (self.image_size, self.image_size)
        if self.image_size is not None and image.shape[2:] != size:
            image = interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
        return image.expand(-1, 3, -1, -1)
