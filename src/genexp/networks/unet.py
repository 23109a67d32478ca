"""The UNet of diffusion models: what a noisy image holds, at every scale."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.conditioning.pictures import OfPictures
from genexp.networks.attending import AttendingNetwork
from genexp.networks.attention import PixelAttention
from genexp.networks.blocks import ResidualBlock, group_norm, initialise
from genexp.networks.classes import ToldBy
from genexp.networks.control import Control
from genexp.networks.cross_attention import start_at_nothing
from genexp.networks.tokens import Tokens
from genexp.networks.unet_levels import (
    After,
    Common,
    DownLevel,
    Middle,
    UpLevel,
    downsample,
    heads_of,
    unchanged,
    upsample,
)


class UNet(AttendingNetwork):
    """Residual blocks down to the smallest resolution and up again, joined by skips, told the time and the class.

    Level i has `width` * `multipliers[i]` channels at `image_size` / 2^i pixels. Every level has `blocks` residual
    blocks on the way down and one more on the way up, with self-attention after each at the resolutions of
    `attention`; the middle is a residual block, self-attention and a residual block. The last layer of every residual
    branch starts at almost zero.

    With `patch_size` p every p x p pixels are one, of p^2 as many channels, from the first layer to the last, and
    resolutions are counted in these: large images then cost what small ones do (Hoogeboom et al., "simple diffusion",
    2023).

    With `scale_shift`, `residual_resize` and `head_channels=64` it is the network of Dhariwal and Nichol. Every
    self-attention is followed by cross-attention to what is attended to, which starts at zero, and its pooled vector is
    added to the embedding of the time. `num_classes`, `told`, `beside`, `self_conditioned` and `attended` are those of
    every `AttendingNetwork`.

    References: Ho et al., "Denoising Diffusion Probabilistic Models" (2020); Ronneberger et al., "U-Net" (2015);
    Dhariwal and Nichol, "Diffusion Models Beat GANs on Image Synthesis" (2021), section 3.

    Args:
        channels: Channels of an image.
        image_size: Pixels a side; divisible by 2^(levels - 1).
        width: Channels of the first level.
        multipliers: Width of every level over `width`.
        blocks: Residual blocks a level.
        attention: Resolutions with self-attention; those that the network does not have are left out.
        heads: Attention heads; must divide the channels wherever there is attention.
        head_channels: Channels of an attention head, in place of a number of heads; divides the channels wherever there
            is attention.
        scale_shift: Scale and shift by the embedding in the residual blocks, not add it.
        residual_resize: Change resolutions inside residual blocks, by means and by repetition of pixels, not by single
            convolutions.
        dropout: Dropout probability inside the residual blocks, in [0, 1).
        groups: Largest number of normalisation groups.
        outputs: Images in the output, side by side in its channels; 2 for a learned variance.
        patch_size: Side of a patch in pixels; `image_size` is divisible by `patch_size` 2^(levels - 1).
        steered_by: Conditions that are pictures, by name, which a copy of the way down sees, see `Control`.

    Raises:
        ValueError: `image_size` is not divisible, there are no levels or blocks, heads do not divide the channels, or
            are given by their number and by their channels.
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        width: int = 128,
        multipliers: Sequence[int] = (1, 2, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] = (16,),
        heads: int = 1,
        dropout: float = 0.0,
        groups: int = 32,
        num_classes: int | None = None,
        outputs: int = 1,
        told: ToldBy | None = None,
        head_channels: int | None = None,
        scale_shift: bool = False,
        residual_resize: bool = False,
        beside: Mapping[str, OfPictures] | None = None,
        self_conditioned: bool = False,
        attended: ToldBy | None = None,
        patch_size: int = 1,
        steered_by: Mapping[str, OfPictures] | None = None,
    ) -> None:
        features = 4 * width
        super().__init__(width, features, num_classes, told, beside, self_conditioned, attended)
        attends = bool(self.attends)
        self.steered_by = {name: kind.row[0] for name, kind in (steered_by or {}).items()}
        _require_sizes(image_size, patch_size, multipliers, blocks)
        self.outputs, self.patch_size = outputs, patch_size
        side, patch = image_size // patch_size, patch_size**2
        widths = [width * factor for factor in multipliers]
        at = [side // 2**i in attention for i in range(len(widths))]
        counts = [heads_of(each, heads, head_channels) if here else 0 for each, here in zip(widths, at, strict=True)]
        common = Common(features=features, dropout=dropout, groups=groups, scale_shift=scale_shift)
        seen = channels * (1 + self_conditioned) + sum(self.beside.values())
        self.stem = nn.Conv2d(seen * patch, width, 3, padding=1)
        self.down = nn.ModuleList()
        skips = [width]
        for i, level in enumerate(widths):
            last = i == len(widths) - 1
            resize = None if last else downsample(level, residual_resize, common)
            inputs = [skips[-1]] + [level] * (blocks - 1)
            self.down.append(DownLevel(inputs, level, counts[i], resize, common, attends))
            skips += [level] * (blocks if last else blocks + 1)
        kept = [*skips, widths[-1]]
        self.middle = Middle(widths[-1], heads_of(widths[-1], heads, head_channels), common, attends)
        self.up = nn.ModuleList()
        current = widths[-1]
        for i, level in reversed(list(enumerate(widths))):
            inputs = [before + skips.pop() for before in [current] + [level] * blocks]
            resize = None if i == 0 else upsample(level, residual_resize, common)
            self.up.append(UpLevel(inputs, level, counts[i], resize, common, attends))
            current = level
        self.norm = group_norm(width * multipliers[0], groups)
        self.head = nn.Conv2d(width * multipliers[0], outputs * channels * patch, 3, padding=1)
        self._initialise()
        self.control = Control(self, self.steered_by, kept) if self.steered_by else None

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the conditions it reads."""
        return (*AttendingNetwork.reads.fget(self), *self.steered_by)

    def forward(
        self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL, texts: Tokens | None = None
    ) -> Tensor:
        """Noisy images (B, channels, H, W), times (B,) and a condition to outputs (B, outputs * channels, H, W).

        `texts` is what `encode` makes of the condition, where that is known.

        Raises:
            ValueError: levels and patches do not divide a side.
        """
        texts = self.encode(condition) if texts is None else texts
        h, embedding, skips = self.way_down(x_t, t, condition, texts)
        if self.control is not None:
            moves = self.control(x_t, t, condition, texts)
            *skips, h = (each + move for each, move in zip([*skips, h], moves, strict=True))
        return self.way_up(h, embedding, skips, texts)

    def way_down(
        self, x_t: Tensor, t: Tensor, condition: Condition, texts: Tokens | None, hint: Tensor | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """What the middle gives, what every block is told, and the skips; `hint` is added to the first layer."""
        divisor, (height, width) = self.patch_size * 2 ** (len(self.down) - 1), x_t.shape[-2:]
        if height % divisor or width % divisor:
            raise ValueError(f"sides must be divisible by {divisor} for {len(self.down)} levels, got {height}x{width}")
        embedding = self.vector(t, condition, texts)
        h = self.stem(F.pixel_unshuffle(self.seen(x_t, condition), self.patch_size))
        return self.through_down(h if hint is None else h + hint, embedding, texts)

    def through_down(
        self, h: Tensor, embedding: Tensor, texts: Tokens | None, after: After = unchanged
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """From the first layer to the middle, the vectors, and the skips; `after` follows every attention."""
        skips = [h]
        for level in self.down:
            h = level(h, embedding, skips, texts, after)
        return self.middle(h, embedding, texts, after), embedding, skips

    def way_up(
        self, h: Tensor, embedding: Tensor, skips: list[Tensor], texts: Tokens | None, after: After = unchanged
    ) -> Tensor:
        """From the middle to the outputs."""
        for level in self.up:
            h = level(h, embedding, skips, texts, after)
        return F.pixel_shuffle(self.head(F.silu(self.norm(h))), self.patch_size)

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                initialise(module)
        for module in self.modules():
            if isinstance(module, ResidualBlock):
                initialise(module.conv2, scale=1e-10)
            elif isinstance(module, PixelAttention):
                initialise(module.project_out, scale=1e-10)
        start_at_nothing(self.modules())
        initialise(self.head, scale=1e-10)


def _require_sizes(image_size: int, patch_size: int, multipliers: Sequence[int], blocks: int) -> None:
    if not multipliers or blocks < 1:
        raise ValueError(f"multipliers and blocks must name at least one block, got {multipliers} and {blocks}")
    if patch_size < 1:
        raise ValueError(f"patch_size must be at least 1 pixel, got {patch_size}")
    divisor = patch_size * 2 ** (len(multipliers) - 1)
    if image_size % divisor:
        patched = f" of patches of {patch_size}" if patch_size > 1 else ""
        raise ValueError(
            f"image_size must be divisible by {divisor} for {len(multipliers)} levels{patched}, got {image_size}"
        )
