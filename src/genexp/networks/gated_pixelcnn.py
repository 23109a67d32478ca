"""Gated PixelCNN: two stacks of convolutions that together see every earlier pixel, and remember rows."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import pad

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts.in_order import Place, Steps
from genexp.networks.classes import ToldBy
from genexp.networks.told_pixels import PixelHead, ToldPixels, require_at_least

_GAIN = 1.7
"""Of the first weights of convolutions before a gate, which about halves what passes."""


class GatedPixelCNN(ToldPixels):
    """A vertical stack sees all rows above, a horizontal one the row itself to the left and the vertical one.

    Every layer is y = tanh(a) sigmoid(b) with a and b from convolutions and from the vector of class and conditions;
    the horizontal stack has shortcuts. There is no blind spot. The paper deals features into groups of channels; here
    both stacks see earlier pixels alone, and the head sees the earlier channels of the pixel itself.

    Drawn place by place, the vertical stack of a row is computed once, the horizontal one pixel by pixel. `shape`,
    `levels`, `num_classes` and `told` are those of all `ToldPixels`.

    Reference: van den Oord et al., "Conditional Image Generation with PixelCNN Decoders" (2016), section 2, figure 2.

    Args:
        width: Features of a stack.
        depth: Layers, at least 1.
        kernel_size: Side of the kernels, odd.
        first_kernel_size: Side of those of the first layer, odd.
        mixtures: Components of a mixture of logistics whose numbers are the outputs; None for logits of levels.

    Raises:
        ValueError: `shape` is none of an image, or a size is out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: int,
        width: int = 32,
        depth: int = 6,
        kernel_size: int = 3,
        first_kernel_size: int = 7,
        num_classes: int | None = None,
        told: ToldBy | None = None,
        mixtures: int | None = None,
    ) -> None:
        super().__init__(shape, levels, width, num_classes, told)
        require_at_least(1, width=width, depth=depth)
        for name, size in (("kernel_size", kernel_size), ("first_kernel_size", first_kernel_size)):
            if size < 3 or size % 2 == 0:
                raise ValueError(f"{name} must be odd and at least 3, got {size}")
        self.mixtures = mixtures
        rest = [_Layer(width, width, kernel_size, told=bool(self.reads), shortcut=True) for _ in range(depth - 1)]
        first = _Layer(shape[0], width, first_kernel_size, told=bool(self.reads), shortcut=False)
        self.layers = nn.ModuleList([first, *rest])
        self.head = PixelHead(width, shape[0], levels, mixtures)

    def forward(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) in [-1, 1] to logits (B, levels, C, H, W), or to numbers (B, N, H, W) of mixtures."""
        vector = self.vector(condition)
        vertical, horizontal = pad(image, (0, 0, 1, -1)), pad(image, (1, -1))  # a pixel's own row or value is not seen
        for layer in self.layers:
            side = layer.reach
            down = layer.down(pad(vertical, (side, side, side, 0)))
            vertical = layer.gated(down, vector, 0)
            horizontal = layer.onward(pad(horizontal, (side, 0)), layer.across(down), vector)
        return self.head(horizontal, image)

    def steps(self, num: int, condition: Condition = UNCONDITIONAL) -> Steps:
        """The outputs of the network for `num` images, place by place."""
        return _RowSteps(self, num, condition)


class _Layer(nn.Module):
    """Both stacks of one layer; `down` and `right` are convolutions without padding over what lies before."""

    def __init__(self, inputs: int, width: int, kernel_size: int, told: bool, shortcut: bool) -> None:
        super().__init__()
        self.inputs, self.reach, self.shortcut = inputs, kernel_size // 2, shortcut
        self.down = nn.Conv2d(inputs, 2 * width, (self.reach + 1, kernel_size))
        self.right = nn.Conv2d(inputs, 2 * width, (1, self.reach + 1))
        self.across = nn.Conv2d(2 * width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.told = nn.Linear(width, 4 * width, bias=False) if told else None
        for layer, gain in ((self.down, _GAIN), (self.right, _GAIN), (self.across, 1.0), (self.out, 1.0)):
            nn.init.normal_(layer.weight, std=gain * layer.weight[0].numel() ** -0.5)
            nn.init.zeros_(layer.bias)

    def gated(self, features: Tensor, vector: Tensor, stack: int) -> Tensor:
        """tanh(a) sigmoid(b) of features (B, 2 width, H, W) and a vector (B, width), in stack 0 or 1."""
        if self.told is not None:
            features = features + self.told(vector).chunk(2, dim=1)[stack][:, :, None, None]
        signal, gate = features.chunk(2, dim=1)
        return signal.tanh() * gate.sigmoid()

    def onward(self, padded: Tensor, link: Tensor, vector: Tensor) -> Tensor:
        """The horizontal stack, of its inputs with `reach` more columns before them, and what the other stack says."""
        found = self.out(self.gated(self.right(padded) + link, vector, 1))
        return found + padded[..., self.reach :] if self.shortcut else found


class _RowSteps:
    """The stacks of rows and columns that were asked for, kept with the zeros around them."""

    def __init__(self, network: GatedPixelCNN, num: int, condition: Condition) -> None:
        self.network, self.vector = network, network.vector(condition)
        _, height, width = network.shape
        self.above = [
            self.vector.new_zeros(num, layer.inputs, height + layer.reach, width + 2 * layer.reach)
            for layer in network.layers
        ]
        self.before = [self.vector.new_zeros(num, layer.inputs, 1, width + layer.reach) for layer in network.layers]
        self.links: list[Tensor] = []
        self.rows, self.columns = 0, 0  # of the vertical stack in all, of the horizontal one in the last of them
        self.features = self.vector

    def __call__(self, image: Tensor, place: Place) -> Tensor:
        """Logits (B, levels) of the value, or the numbers (B, N) of its pixel's mixture."""
        channel, row, column = place
        image = image.to(self.vector.dtype)
        if row >= self.rows:
            self._down_to(image, row)
        if column >= self.columns:
            self._right_to(image, row, column)
        pixel = image[:, :, row : row + 1, column : column + 1]
        found = self.network.head(self.features, pixel)[..., 0, 0]
        return found[..., channel] if self.network.mixtures is None else found

    def _down_to(self, image: Tensor, row: int) -> None:
        """The vertical stack of all rows up to this one that are not there yet; of this one what the other is told."""
        some = slice(self.rows, row + 1)
        new = pad(image, (0, 0, 1, -1))[:, :, some]
        self.links = []
        for layer, kept in zip(self.network.layers, self.above, strict=True):
            side = layer.reach
            kept[:, :, some.start + side : some.stop + side, side : kept.shape[3] - side] = new
            found = layer.down(kept[:, :, some.start : some.stop + side])
            self.links.append(layer.across(found[:, :, -1:]))
            new = layer.gated(found, self.vector, 0)
        self.rows, self.columns = row + 1, 0

    def _right_to(self, image: Tensor, row: int, column: int) -> None:
        """The horizontal stack of all columns of a row up to this one that are not there yet."""
        some = slice(self.columns, column + 1)
        new = pad(image[:, :, row : row + 1], (1, -1))[..., some]
        for layer, kept, link in zip(self.network.layers, self.before, self.links, strict=True):
            kept[..., some.start + layer.reach : some.stop + layer.reach] = new
            new = layer.onward(kept[..., some.start : some.stop + layer.reach], link[..., some], self.vector)
        self.features, self.columns = new[..., -1:], column + 1
