"""VGG-16 and VGG-19 as frozen feature encoders whose layers are addressed by name."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn import functional

from genexp.networks.compact_vgg import layers_of_stages
from genexp.on_disk import OnDisk
from genexp.sample_kinds import require_images
from genexp.weights_files import checked_digest, read_state, torchvision_file

log = logging.getLogger(__name__)

CONVOLUTIONS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)
PADDING = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate"}
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class VGG(nn.Module):
    """The convolutional part of VGG, as a frozen map from images to named feature maps.

    Layers are `conv1_1, relu1_1, conv1_2, relu1_2, pool1, conv2_1, ...`; those up to `last` are built. Rectification is
    out of place, so a captured `conv` map is the map before rectification. The encoder owns its preprocessing: it takes
    images in [-1, 1] and standardises them with the ImageNet channel statistics. Its weights are buffers outside the
    state dict: they follow the module to its device and enter neither an optimiser nor a checkpoint; `digest`
    identifies them. The encoder stays in evaluation mode.

    References: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2015);
    He, Wang and Hopcroft, "A Powerful Generative Model Using Random Weights for the Deep Image Representation" (2016).

    Args:
        weights: "torchvision" (ImageNet weights, downloaded once), the path of a torchvision state dict (`.pth`, `.pt`
            or `.safetensors`), or "random" (He initialisation, the same tensors in every run with the same `seed`).
        depth: 16 or 19 layers.
        last: The deepest layer that is built.
        pooling: "max" or "average".
        pooling_scale: Factor on every pooled map; 2 makes up for the activation that average pooling loses.
        padding: What surrounds a feature map: "zeros", "reflect" or "replicate".
        seed: Seed of the random weights; unused with trained ones.

    Attributes:
        names: All built layers, from the image to `last`.
        digest: SHA-256 of the built layers' weights.

    Raises:
        ValueError: an unknown option, or a file that holds no such weights.
        FileNotFoundError: `weights` names no file.
        ConnectionError: the torchvision weights are neither cached nor reachable.
    """

    def __init__(
        self,
        weights: Annotated[str, OnDisk("file", ("random", "torchvision"))],
        depth: int = 19,
        last: str = "relu5_1",
        pooling: str = "max",
        pooling_scale: float = 1.0,
        padding: str = "zeros",
        seed: int = 0,
    ) -> None:
        super().__init__()
        _require_one_of("depth", depth, CONVOLUTIONS)
        _require_one_of("pooling", pooling, ("max", "average"))
        _require_one_of("padding", padding, PADDING)
        _require_one_of("last", last, layer_names(depth))
        self.names = layer_names(depth)[: layer_names(depth).index(last) + 1]
        self.pool = functional.max_pool2d if pooling == "max" else functional.avg_pool2d
        self.pooling_scale = pooling_scale
        self.padding = padding
        self.weights = str(weights)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1), persistent=False)
        for name, tensor in self._weights(depth, seed):
            self.register_buffer(name, tensor, persistent=False)
        self.digest = _digest(self.named_buffers())
        self.eval()

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Feature maps of `layers`; nothing deeper than the deepest of them is computed.

        Args:
            image: (B, 3, H, W) in [-1, 1].
            layers: Names out of `names`, in any order.

        Returns:
            Maps (B, C, H / 2^p, W / 2^p) by layer, p being the number of poolings before it, in the order of `layers`.
        """
        for layer in layers:
            _require_one_of("layers", layer, self.names)
        require_images(image, 3)
        found: dict[str, Tensor] = {}
        features = ((image + 1) / 2 - self.mean) / self.std
        for name in self.names[: max((self.names.index(layer) for layer in layers), default=-1) + 1]:
            asked_before = f"conv{name[4:]}" in layers  # a map that is asked for is not overwritten
            features = self._layer(name, features, overwrite=not asked_before)
            if name in layers:
                found[name] = features
        return {layer: found[layer] for layer in layers}

    def train(self, mode: bool = True) -> "VGG":
        """Stay in evaluation mode, whatever `mode` the parent module enters."""
        return super().train(False)

    def _layer(self, name: str, features: Tensor, overwrite: bool) -> Tensor:
        height, width = features.shape[-2:]
        if name.startswith("relu"):
            return functional.relu(features, inplace=overwrite)
        if name.startswith("pool"):
            if min(height, width) < 2:
                raise ValueError(f"image is too small for {name}: the map before it is {height} x {width}")
            pooled = self.pool(features, 2)
            return pooled if self.pooling_scale == 1 else pooled * self.pooling_scale
        if self.padding == "reflect" and min(height, width) < 2:
            raise ValueError(f"image is too small to reflect at {name}: the map before it is {height} x {width}")
        weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
        if self.padding == "zeros":
            return functional.conv2d(features, weight, bias, padding=1)
        return functional.conv2d(functional.pad(features, (1, 1, 1, 1), PADDING[self.padding]), weight, bias)

    def _weights(self, depth: int, seed: int) -> Iterator[tuple[str, Tensor]]:
        if self.weights == "random":
            log.warning(
                f"VGG-{depth} has RANDOM weights (seed {seed}): they carry over colours and simple textures, short of "
                "the papers' quality; set features.weights=torchvision, or the path of a torchvision "
                f"VGG-{depth} state dict"
            )
            state = _random_state(depth, seed, self.names)
        else:
            path = _file_of(self.weights, depth)
            checked_digest(path)
            state = read_state(path, "a torchvision state dict")
        for name, index, shape in convolutions(depth):
            if name in self.names:
                for kind, wanted in (("weight", shape), ("bias", shape[:1])):
                    tensor = state.get(f"features.{index}.{kind}")
                    if tensor is None or tuple(tensor.shape) != wanted:
                        held = "missing" if tensor is None else tuple(tensor.shape)
                        raise ValueError(
                            f"weights must hold torchvision VGG-{depth} tensors: features.{index}.{kind} of shape "
                            f"{wanted} is {held} in {self.weights}"
                        )
                    yield f"{name}_{kind}", tensor.detach().float().clone()


def layer_names(depth: int) -> list[str]:
    """All layers of VGG-`depth`, from the image on: `conv1_1, relu1_1, conv1_2, relu1_2, pool1, ..., pool5`."""
    return layers_of_stages(CONVOLUTIONS[depth])


def convolutions(depth: int) -> list[tuple[str, int, tuple[int, int, int, int]]]:
    """Every convolution of VGG-`depth`: its name, its index in torchvision's `features`, and its weight's shape."""
    found, width = [], 3
    for index, name in enumerate(layer_names(depth)):
        if name.startswith("conv"):
            channels = CHANNELS[int(name[4]) - 1]
            found.append((name, index, (channels, width, 3, 3)))
            width = channels
    return found


def _random_state(depth: int, seed: int, names: Sequence[str]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for _, index, shape in (layer for layer in convolutions(depth) if layer[0] in names):
        scale = (2 / (shape[1] * 9)) ** 0.5  # variance 2 / fan-in: rectification halves the second moment
        state[f"features.{index}.weight"] = torch.randn(shape, generator=generator) * scale
        state[f"features.{index}.bias"] = torch.zeros(shape[0])
    return state


def _file_of(weights: str, depth: int) -> Path:
    if weights != "torchvision":
        path = Path(weights)
        if not path.is_file():
            raise FileNotFoundError(f"weights must be torchvision, random or the path of a file, got {path}")
        return path
    try:
        return torchvision_file(f"vgg{depth}", None)
    except ConnectionError as error:
        raise ConnectionError(f"{error}; weights=random needs no file") from error


def _digest(tensors: Iterator[tuple[str, Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _require_one_of(name: str, value: object, choices: object) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(str, choices))}, got {value}")
