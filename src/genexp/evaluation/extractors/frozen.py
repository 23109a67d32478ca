"""What extractors share: their networks are frozen, told apart by a digest, and see images of so many channels."""

import hashlib

from torch import Tensor, nn


def frozen(network: nn.Module) -> nn.Module:
    """Put a network into evaluation mode for good, without gradients."""
    return network.eval().requires_grad_(False)


def require_channels(name: str, image: Tensor, channels: int) -> None:
    """Check the images of an extractor.

    Raises:
        ValueError: they are not (B, `channels`, H, W).
    """
    if image.ndim != 4 or image.shape[1] != channels:
        raise ValueError(
            f"extractor {name} takes images (B, {channels}, H, W), got {tuple(image.shape)}; "
            "extractor=random and extractor=pixels take any number of channels"
        )


def digest_of(network: nn.Module) -> str:
    """SHA-256 over the names, shapes and bytes of a network's tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
