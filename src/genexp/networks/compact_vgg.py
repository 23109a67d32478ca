"""A small VGG-style network for 32 x 32 images: a classifier to train, and named feature maps once it is trained."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from genexp.sample_kinds import require_images

WIDTHS = ((64,), (128, 256), (256, 256), (256,))


class CompactVGG(nn.Module):
    """Stages of 3 x 3 convolutions with 2 x 2 max pooling between them, the mean over positions, and a linear layer.

    Layers are named as in VGG: `conv1_1, relu1_1, conv1_2, ..., pool1, conv2_1, ...`. While training, every convolution
    is followed by batch normalisation; `folded` gives the same function with it absorbed into the weights. Rectifiers
    work out of place, so that a captured map stays what it was. Any image size works from 2^(stages - 1) pixels on.

    Reference: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2015), of
    which this keeps the pattern and not the sizes.

    Args:
        channels: Channels of the images.
        num_classes: Number of classes.
        widths: Channels of the convolutions of every stage.
        batch_norm: Whether convolutions are followed by batch normalisation; without it they have a bias.

    Attributes:
        names: All layers from the image on.
        num_features: Length of the feature vector.

    Raises:
        ValueError: a stage has no convolution.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        widths: Sequence[Sequence[int]] = WIDTHS,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        if not widths or not all(widths):
            raise ValueError(f"widths must name at least one convolution in every stage, got {widths}")
        self.settings = {
            "channels": channels,
            "num_classes": num_classes,
            "widths": [list(stage) for stage in widths],
            "batch_norm": batch_norm,
        }
        self.names = layers_of_stages([len(stage) for stage in widths])[:-1]  # the last stage ends without pooling
        self.channels, self.num_features = channels, widths[-1][-1]
        sizes = pairwise([channels, *(width for stage in widths for width in stage)])
        for name, (inputs, outputs) in zip(filter(_is_convolution, self.names), sizes, strict=True):
            layer: nn.Module = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not batch_norm)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            self.add_module(name, nn.Sequential(layer, nn.BatchNorm2d(outputs)) if batch_norm else layer)
        self.head = nn.Linear(self.num_features, num_classes)

    def maps(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Feature maps of `layers`; nothing deeper than the deepest of them is computed.

        Args:
            image: (B, C, H, W) in [-1, 1].
            layers: Names out of `names`, in any order.

        Returns:
            Maps (B, width, H / 2^p, W / 2^p) by layer, p being the number of poolings before it, in the order given.

        Raises:
            ValueError: an unknown layer, another number of channels, or an image too small to be pooled.
        """
        for layer in layers:
            if layer not in self.names:
                raise ValueError(f"layers must be among {', '.join(self.names)}, got {layer}")
        require_images(image, self.channels)
        found: dict[str, Tensor] = {}
        features = image
        for name in self.names[: max((self.names.index(layer) for layer in layers), default=-1) + 1]:
            features = self._layer(name, features)
            if name in layers:
                found[name] = features
        return {layer: found[layer] for layer in layers}

    def features(self, image: Tensor) -> Tensor:
        """The mean of the last map over its positions, (B, num_features), of images (B, C, H, W) in [-1, 1]."""
        last = self.names[-1]
        return self.maps(image, [last])[last].mean((2, 3))

    def forward(self, image: Tensor) -> Tensor:
        """Class logits (B, num_classes) of images (B, C, H, W) in [-1, 1]."""
        return self.head(self.features(image))

    @torch.no_grad()
    def folded(self) -> "CompactVGG":
        """The same function in evaluation mode, without batch normalisation.

        With scale g, shift b, running mean m and variance v, weights become w g / sqrt(v + eps) and the bias
        b - m g / sqrt(v + eps).

        Raises:
            ValueError: the network has no batch normalisation.
        """
        if not self.settings["batch_norm"]:
            raise ValueError("only a network with batch_norm=True can be folded, got batch_norm=False")
        network = CompactVGG(**self.settings | {"batch_norm": False}).eval().requires_grad_(False)
        for name in filter(_is_convolution, self.names):
            convolution, norm = self.get_submodule(name)
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            plain = network.get_submodule(name)
            plain.weight.copy_(convolution.weight * scale.reshape(-1, 1, 1, 1))
            plain.bias.copy_(norm.bias - norm.running_mean * scale)
        network.head.load_state_dict(self.head.state_dict())
        return network

    def _layer(self, name: str, features: Tensor) -> Tensor:
        if name.startswith("relu"):
            return functional.relu(features)
        if _is_convolution(name):
            return self.get_submodule(name)(features)
        if min(features.shape[2:]) < 2:
            raise ValueError(f"image is too small for {name}: the map before it is {tuple(features.shape[2:])}")
        return functional.max_pool2d(features, 2)


def layers_of_stages(counts: Sequence[int]) -> list[str]:
    """Names of the layers of stages with so many convolutions: `conv1_1, relu1_1, conv1_2, relu1_2, pool1, ...`."""
    names = []
    for stage, count in enumerate(counts, start=1):
        for i in range(1, count + 1):
            names += [f"conv{stage}_{i}", f"relu{stage}_{i}"]
        names.append(f"pool{stage}")
    return names


def _is_convolution(name: str) -> bool:
    return name.startswith("conv")
