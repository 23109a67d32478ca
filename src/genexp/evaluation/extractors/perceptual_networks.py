"""Networks that compare two images by their feature maps."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torchmetrics.functional.image import lpips

from genexp.evaluation.extractors.frozen import digest_of, frozen
from genexp.evaluation.extractors.whole_images import in_colour
from genexp.weights_files import checked_digest, read_state, require_tensors, torchvision_file

BACKBONES = {"alex": ("alexnet", 31), "vgg": ("vgg16", 16), "squeeze": ("squeezenet1_1", 17)}
"""LPIPS networks: the backbone's name in torchvision, and the smallest side that it can look at."""


class LpipsDistance:
    """LPIPS 0.1: differences of unit-length feature vectors, weighted by trained heads, summed over five or seven maps.

    The heads come with torchmetrics. The backbone is torchvision's, from a file or downloaded with a notice. Grey
    images are repeated to three channels; nothing is resized.

    Reference: Zhang, Isola, Efros, Shechtman and Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric" (2018).

    Args:
        net: `alex` (the authors' choice for measuring), `vgg` or `squeeze`.
        weights: Path of the backbone's torchvision state dict, or None for torchvision's ImageNet weights.
        digest: First digits, at least eight, that the SHA-256 of the backbone's file must have, or None.

    Raises:
        FileNotFoundError: `weights` names no file.
        ConnectionError: torchvision's file is needed and cannot be downloaded.
        ValueError: there is no such net, or the file is not the backbone's.
        WrongDigest: the file has another digest.
    """

    def __init__(self, net: str = "alex", weights: str | None = None, digest: str | None = None) -> None:
        if net not in BACKBONES:
            raise ValueError(f"net must be one of {', '.join(BACKBONES)}, got {net}")
        self.net, (model, self.smallest) = net, BACKBONES[net]
        path = torchvision_file(model, weights)
        self.digest = checked_digest(path, digest)
        with torch.device("meta"):
            network = lpips._NoTrainLpips(net=net, pnet_rand=True, pretrained=False)
        network.scaling_layer = lpips.ScalingLayer()
        network.load_state_dict(_lpips_state(network, net, path), assign=True)
        self.network = frozen(network)

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """LPIPS (B,) of images (B, 1 or 3, H, W) in [-1, 1].

        Raises:
            ValueError: the images are too small, or have another number of channels.
        """
        if min(first.shape[2:]) < self.smallest:
            raise ValueError(
                f"LPIPS with net={self.net} needs images of at least {self.smallest} x {self.smallest} pixels, got "
                f"{tuple(first.shape[2:])}"
            )
        with torch.no_grad():
            return self.network.to(first.device)(in_colour(first, 3), in_colour(second, 3)).flatten()


class NamedMaps(Protocol):
    """A network with named feature maps of images (B, channels, H, W) in [-1, 1]."""

    channels: int

    def maps(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]: ...


class MapDistance:
    r"""Mean over layers of the squared differences of unit-length feature vectors, without trained heads.

    d(a, b) = (1 / L) \sum_l (1 / P_l) \sum_p |u_l(a)_p - u_l(b)_p|^2 with u = f / |f| at each of P_l positions; between
    0 and 2 for rectified maps. This is not LPIPS: the network is another, and no weights were fitted to judgements.

    Args:
        network: Gives the maps; grey images are repeated to its channels.
        layers: Names of the maps.

    Raises:
        ValueError: `layers` is empty.
    """

    def __init__(self, network: NamedMaps, layers: Sequence[str]) -> None:
        if not layers:
            raise ValueError("layers must name at least one map, got none")
        self.network, self.layers = frozen(network), list(layers)
        text = f"{digest_of(network)} {' '.join(self.layers)}"
        self.digest = hashlib.sha256(text.encode()).hexdigest()

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """Distances (B,) of images (B, C, H, W) in [-1, 1]."""
        network = self.network.to(first.device)
        images = in_colour(torch.cat([first, second]), network.channels)
        with torch.no_grad():
            maps = network.maps(images, self.layers)
        total = first.new_zeros(len(first))
        for features in maps.values():
            unit = features / (features.square().sum(1, keepdim=True) + 1e-8).sqrt()
            a, b = unit.split(len(first))
            total = total + (a - b).square().sum(1).mean((1, 2))
        return total / len(maps)


def _lpips_state(network: nn.Module, net: str, path: Path) -> dict[str, Tensor]:
    heads = read_state(Path(lpips.__file__).parent / "lpips_models" / f"{net}.pth")
    wanted = network.state_dict()
    places = {name: re.sub(r"^net\.slices?\.?\d+\.", "features.", name) for name in wanted if name.startswith("net.")}
    backbone = require_tensors(path, {places[name]: wanted[name] for name in places}, read_state(path))
    state = {name: backbone[place] for name, place in places.items()}
    for name in wanted.keys() - places.keys():
        state[name] = heads[re.sub(r"^lins\.(\d+)\.", r"lin\1.", name)]
    return state
