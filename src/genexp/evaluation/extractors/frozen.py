"""What extractors share: their networks are frozen, told apart by a digest, and see images of so many channels."""

import hashlib

import torch
from torch import Tensor, nn

from genexp.sample_kinds import require_images


def frozen(network: nn.Module) -> nn.Module:
    """Put a network into evaluation mode for good, without gradients."""
    return network.eval().requires_grad_(False)


def require_channels(name: str, image: Tensor, channels: int) -> None:
    """Check the images of an extractor.

    Raises:
        ValueError: they are not (B, `channels`, H, W).
    """
    hint = "; extractor=random and extractor=pixels take any number of channels"
    require_images(image, channels, rule=f"extractor {name} takes images", hint=hint)


def digest_of(network: nn.Module) -> str:
    """SHA-256 over the names, shapes and bytes of a network's tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def features_in_pieces(network: nn.Module, image: Tensor, piece: int) -> Tensor:
    """The `features` of a network of images (B, C, H, W), on a CPU channels last and `piece` images at a time.

    The maps of so many stay in the caches of a CPU; another device takes all at once.
    """
    if image.device.type != "cpu":
        return network.to(image.device, memory_format=torch.contiguous_format).features(image)
    network = network.to(image.device, memory_format=torch.channels_last)
    pieces = image.contiguous(memory_format=torch.channels_last).split(piece)
    return torch.cat([network.features(each) for each in pieces])
