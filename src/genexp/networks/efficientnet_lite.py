"""EfficientNet-Lite0: a small network of photographs whose layers are addressed by name, and its published weights."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from genexp.sample_kinds import require_images

MEAN, STD = 127.0, 128.0
"""Of pixels in 0 to 255, as the weights were trained in TensorFlow."""

EPS = 1e-3
"""Of the batch normalisations of the published weights."""


class Stage(NamedTuple):
    """Blocks of one kind; the first of them has the stride and the change of width."""

    count: int
    kernel: int
    stride: int
    expansion: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280


class InvertedResidual(nn.Module):
    """An inverted bottleneck: 1 x 1 to more channels, a filter for each of them, 1 x 1 to few that are not rectified.

    Reference: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (2018).

    Args:
        inputs: Channels of the maps that come in.
        stage: Kernel, stride, expansion and width.
        stride: Of this block, 1 or 2.
    """

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        inner = inputs * stage.expansion
        self.expand = nn.Conv2d(inputs, inner, 1) if stage.expansion > 1 else None
        self.depthwise = nn.Conv2d(inner, inner, stage.kernel, stride, groups=inner)
        self.project = nn.Conv2d(inner, stage.width, 1)
        self.residual = stride == 1 and inputs == stage.width

    def expanded(self, features: Tensor) -> Tensor:
        """The rectified maps (B, expansion C, H, W) of features (B, C, H, W)."""
        return features if self.expand is None else functional.relu6(self.expand(features))

    def forward(self, features: Tensor, expanded: Tensor) -> Tensor:
        """The block's maps (B, width, H / stride, W / stride) of its input and of what `expanded` gives of it."""
        found = self.project(functional.relu6(self.depthwise(_padded(expanded, self.depthwise))))
        return features + found if self.residual else found


class EfficientNetLite0(nn.Module):
    """Sixteen inverted bottlenecks with ReLU6, without squeezing and excitation; batch normalisation is in the weights.

    Layers are `stem, block1, expand2, block2, ..., expand16, block16, head`: `expandN` is the rectified inside of block
    N before its own filters, `blockN` what it gives, not rectified. The network owns its preprocessing: images are
    standardised with the ImageNet statistics. A map is half as large as the one before at `stem`, `block2`, `block4`,
    `block6` and `block12`, padded as TensorFlow pads even sizes, at every size.

    References: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019); the Lite
    variants are those of the TensorFlow TPU repository (2020).

    Attributes:
        names: All layers from the image on.
        channels: Of the images, 3.
        num_features: Length of the feature vector, 1280.
    """

    channels, num_features = 3, HEAD

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM, 3, 2)
        self.names, width = ["stem"], STEM
        for i, (stage, stride) in enumerate(_blocks(), start=1):
            self.add_module(f"block{i}", InvertedResidual(width, stage, stride))
            self.names += [f"expand{i}"] * (stage.expansion > 1) + [f"block{i}"]
            width = stage.width
        self.head = nn.Conv2d(width, HEAD, 1)
        self.classify = nn.Linear(HEAD, 1000)
        self.names.append("head")

    def maps(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Feature maps of `layers`; nothing deeper than the deepest of them is computed.

        Args:
            image: (B, 3, H, W) in [-1, 1].
            layers: Names out of `names`, in any order.

        Returns:
            Maps (B, width, h, w) by layer, in the order given.

        Raises:
            ValueError: an unknown layer, another number of channels, or an image too small to be halved.
        """
        for layer in layers:
            if layer not in self.names:
                raise ValueError(f"layers must be among {', '.join(self.names)}, got {layer}")
        require_images(image, self.channels)
        found: dict[str, Tensor] = {}
        inside = features = standardised(image)
        for name in self.names[: max((self.names.index(layer) for layer in layers), default=-1) + 1]:
            if name.startswith("block"):
                block = self.get_submodule(name)
                features = block(features, inside if block.expand is not None else features)
            elif name.startswith("expand"):
                inside = self.get_submodule(f"block{name.removeprefix('expand')}").expanded(features)
            else:
                layer = self.get_submodule(name)
                features = functional.relu6(layer(_padded(features, layer)))
            if name in layers:
                found[name] = inside if name.startswith("expand") else features
        return {layer: found[layer] for layer in layers}

    def features(self, image: Tensor) -> Tensor:
        """The mean of the last map over its positions, (B, 1280), of images (B, 3, H, W) in [-1, 1]."""
        return self.maps(image, ["head"])["head"].mean((2, 3))

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B, 1000) of ImageNet's classes, of images (B, 3, H, W) in [-1, 1]."""
        return self.classify(self.features(image))


def published_layout() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of the published state dict, but for the counters of batch normalisation."""
    found: dict[str, tuple[int, ...]] = {}
    for _, convolution, norm, weight in _folded_layers():
        found[f"{convolution}.weight"] = weight
        found |= {f"{norm}.{kind}": weight[:1] for kind in ("weight", "bias", "running_mean", "running_var")}
    return found | {"_fc.weight": (1000, HEAD), "_fc.bias": (1000,)}


def folded(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict as this network has it: batch normalisation is in the weights and biases.

    With scale g, shift b, running mean m and variance v, weights become w g / sqrt(v + eps) and the bias
    b - m g / sqrt(v + eps).
    """
    own = {"classify.weight": state["_fc.weight"], "classify.bias": state["_fc.bias"]}
    for name, convolution, norm, _ in _folded_layers():
        scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + EPS).sqrt()
        own[f"{name}.weight"] = state[f"{convolution}.weight"] * scale.reshape(-1, 1, 1, 1)
        own[f"{name}.bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
    return own


def standardised(image: Tensor) -> Tensor:
    """Images in [-1, 1] as the weights want them: pixels of 0 to 255, less 127, over 128."""
    return (127.5 * (image + 1) - MEAN) / STD


def _blocks() -> list[tuple[Stage, int]]:
    return [(stage, stage.stride if i == 0 else 1) for stage in STAGES for i in range(stage.count)]


def _folded_layers() -> list[tuple[str, str, str, tuple[int, ...]]]:
    """Every convolution: its name here, its name and its normalisation's in the published file, its weight's shape."""
    found: list[tuple[str, str, str, tuple[int, ...]]] = [("stem", "_conv_stem", "_bn0", (STEM, 3, 3, 3))]
    width = STEM
    for i, (stage, _) in enumerate(_blocks()):
        inner, here, there = width * stage.expansion, f"block{i + 1}", f"_blocks.{i}"
        if stage.expansion > 1:
            found.append((f"{here}.expand", f"{there}._expand_conv", f"{there}._bn0", (inner, width, 1, 1)))
        square = (stage.kernel, stage.kernel)
        found.append((f"{here}.depthwise", f"{there}._depthwise_conv", f"{there}._bn1", (inner, 1, *square)))
        found.append((f"{here}.project", f"{there}._project_conv", f"{there}._bn2", (stage.width, inner, 1, 1)))
        width = stage.width
    return [*found, ("head", "_conv_head", "_bn1", (HEAD, width, 1, 1))]


def _padded(features: Tensor, layer: nn.Conv2d) -> Tensor:
    """Zeros around maps, one side more than the other where a layer halves them."""
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    if stride > 1 and min(features.shape[2:]) < stride:
        raise ValueError(f"image is too small to be halved once more: a map is {tuple(features.shape[2:])}")
    total = kernel - stride
    return functional.pad(features, [total // 2, total - total // 2] * 2) if total else features
