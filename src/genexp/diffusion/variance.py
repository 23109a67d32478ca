"""The variance of a step back: fixed, or learned by the network in further channels."""

from typing import Literal, Protocol, get_args, runtime_checkable

from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition

Variance = Literal["fixed_small", "fixed_large", "learned_range"]
"""That of x_s given x_t and the image, that of x_t given x_s, or one between the two, as the network learns."""

LEARNED = "learned_range"


@runtime_checkable
class LearnedVariance(Protocol):
    """A denoiser that also says how certain a step back is, where its `variance` is `learned_range`."""

    variance: str

    def moments(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> tuple[Tensor, Tensor | None]:
        """The posterior mean, and where a step's log-variance lies, from 0 for that given the image to 1."""
        ...


@runtime_checkable
class SeveralOutputs(Protocol):
    """A network of images that can give several at once, side by side in its channels."""

    outputs: int


def require_variance(variance: str) -> None:
    """Refuse an unknown variance.

    Raises:
        ValueError: `variance` is none of them.
    """
    if variance not in get_args(Variance):
        raise ValueError(f"variance must be one of {', '.join(get_args(Variance))}, got {variance!r}")


def require_outputs(network: nn.Module, variance: str) -> None:
    """Check that a network which can have several outputs has those that the variance wants.

    Raises:
        ValueError: it has others.
    """
    wanted = 2 if variance == LEARNED else 1
    if isinstance(network, SeveralOutputs) and network.outputs != wanted:
        raise ValueError(f"variance must fit network.outputs, {wanted} for {variance}, got {network.outputs}")


def output_and_share(output: Tensor, channels: int, variance: str) -> tuple[Tensor, Tensor | None]:
    """What a network gives for images, apart: its prediction, and the share in [0, 1] of a learned variance.

    Args:
        output: (B, channels, ...), or (B, 2 channels, ...) where the variance is learned, its half from -1 to 1.
        channels: Of the images.
        variance: Of the steps back.

    Raises:
        ValueError: the channels are not twice as many for a learned variance.
    """
    if variance != LEARNED:
        return output, None
    if output.shape[1] != 2 * channels:
        raise ValueError(f"network must have {2 * channels} output channels for {LEARNED}, got {output.shape[1]}")
    output, share = output.chunk(2, 1)
    return output, (share + 1) / 2
