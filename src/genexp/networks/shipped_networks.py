"""Networks that this project trained and ships: built from their card, frozen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from genexp.files.json_records import reason_of
from genexp.files.trees import Tree
from genexp.networks.classifier import ConvClassifier
from genexp.networks.compact_vgg import CompactVGG
from genexp.networks.map_codec import MapCodec
from genexp.networks.pictures_and_words import PicturesAndWords
from genexp.shipped import ASSETS, load_asset

ARCHITECTURES = {each.__name__: each for each in (ConvClassifier, CompactVGG, MapCodec, PicturesAndWords)}


def trained_network(asset: str, folder: str | Path = ASSETS) -> nn.Module:
    """A shipped network in evaluation mode, without gradients.

    Args:
        asset: Name of the shipped weights.
        folder: Where they and their card lie.

    Raises:
        FileNotFoundError: there is no such asset.
        WrongDigest: the weights are not those of their card.
        ValueError: the card names an architecture that is not known, or describes other weights.
    """
    return trained_with_card(asset, folder)[0]


def trained_with_card(asset: str, folder: str | Path = ASSETS) -> tuple[nn.Module, Tree]:
    """As `trained_network`, with the card."""
    state, card = load_asset(asset, Path(folder))
    if card.get("architecture") not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ValueError(f"the card of {asset} must name one of {known}, got {card.get('architecture')!r}")
    try:
        with torch.device("meta"):
            network = ARCHITECTURES[card["architecture"]](**card["network"])
        network.load_state_dict(state, assign=True)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"the card of {asset} must describe its weights: {reason_of(error)}") from error
    return network.eval().requires_grad_(False), card


class NamedNetwork(Protocol):
    """A network with named feature maps."""

    names: list[str]

    def maps(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]: ...


class FrozenEncoder(nn.Module):
    """The named feature maps of a trained network, as a fixed function of images.

    Its weights are buffers outside the state dict: they follow the module to its device and enter neither an optimiser
    nor a checkpoint; `digest` identifies them. The encoder stays in evaluation mode.

    Args:
        network: Gives the maps; it is taken over.
        digest: SHA-256 of its weights file.
        last: The deepest layer that is offered; None for all.

    Attributes:
        names: All layers, from the image to `last`.
        digest: As given.

    Raises:
        ValueError: there is no layer `last`.
    """

    def __init__(self, network: NamedNetwork, digest: str, last: str | None = None) -> None:
        super().__init__()
        if last is not None and last not in network.names:
            raise ValueError(f"last must be one of {', '.join(network.names)}, got {last}")
        self.names = network.names[: None if last is None else network.names.index(last) + 1]
        self.digest = digest
        self.network = _with_buffers_for_parameters(network)
        self.eval()

    def forward(self, image: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Feature maps of `layers` of images (B, 3, H, W) in [-1, 1], by layer.

        Raises:
            ValueError: an unknown layer, or another number of channels.
        """
        for layer in layers:
            if layer not in self.names:
                raise ValueError(f"layers must be one of {', '.join(self.names)}, got {layer}")
        return self.network.maps(image, layers)

    def train(self, mode: bool = True) -> "FrozenEncoder":
        """Stay in evaluation mode, whatever `mode` the parent module enters."""
        return super().train(False)


class TrainedEncoder(FrozenEncoder):
    """The named feature maps of a shipped `CompactVGG`, for style transfer without a download.

    Args:
        asset: Name of the shipped weights.
        last: The deepest layer that is offered; None for all.
        folder: Where they lie.

    Raises:
        ValueError: the asset has no named maps, or no layer `last`.
    """

    def __init__(self, asset: str = "cifar_vgg", last: str | None = None, folder: str | Path = ASSETS) -> None:
        network, card = trained_with_card(asset, folder)
        if not isinstance(network, CompactVGG):
            raise ValueError(f"asset must be a network with named maps, got {asset}, a {type(network).__name__}")
        super().__init__(network, card["sha256"], last)


def _with_buffers_for_parameters(network: nn.Module) -> nn.Module:
    for module in network.modules():
        for name in list(module._parameters):
            parameter = module._parameters.pop(name)
            module.register_buffer(name, parameter.data, persistent=False)
    return network
