"""Weights of networks of grey pictures for those of colours, and the other way."""

from torch import Tensor, nn

GREY, COLOUR = 1, 3


def adapted(layer: nn.Module, given: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """Weights of a plain convolution that reads or gives pictures, for pictures of the other number of channels.

    What reads colours is shown a grey picture as three equal channels, and sees what it saw: the kernels of 1 channel
    are repeated and divided by 3, those of 3 channels are added up. What gives colours gives the grey in each: rows of
    kernels and biases are repeated, or their mean is taken.

    Args:
        layer: The layer that begins.
        given: Its weights or biases elsewhere.
        shape: Those that it has here.

    Returns:
        Weights of `shape`; None for any other layer, and where more differs than 1 channel for 3 or 3 for 1.
    """
    if type(layer) not in (nn.Conv2d, nn.ConvTranspose2d) or layer.groups != 1 or given.ndim != len(shape):
        return None
    other = [axis for axis, sizes in enumerate(zip(given.shape, shape, strict=True)) if sizes[0] != sizes[1]]
    if len(other) != 1 or {given.shape[other[0]], shape[other[0]]} != {GREY, COLOUR}:
        return None
    (axis,) = other
    reads = given.ndim > 1 and axis == (0 if isinstance(layer, nn.ConvTranspose2d) else 1)
    if axis > 1:
        return None
    if shape[axis] == COLOUR:
        return (given / COLOUR if reads else given).repeat_interleave(COLOUR, axis)
    return given.sum(axis, keepdim=True) if reads else given.mean(axis, keepdim=True)
