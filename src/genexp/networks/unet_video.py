"""The factorised space-time UNet of video diffusion: a UNet of every frame, and attention across the frames."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.conditioning.pictures import OfPictures
from genexp.networks.classes import ToldBy
from genexp.networks.frames import TemporalAttention, ToldVideo
from genexp.networks.unet import UNet


class VideoUNet(ToldVideo, UNet):
    """A UNet whose convolutions and attention see one frame at a time, with attention across frames behind them.

    Behind every residual block of the resolutions `temporal`, and in the middle, every pixel looks at the frames of its
    video. That starts at zero: a network that has learned nothing of time yet is `UNet` of every frame, with the same
    names of layers, so that a run of images can be the beginning of a run of videos. Videos may have any number of
    frames. `num_classes`, `told` and `self_conditioned` are those of every `ToldNetwork`. All other arguments are those
    of `UNet`, of a frame; pictures beside may be first frames.

    Reference: Ho et al., "Video Diffusion Models" (2022), section 3: the factorised 3D U-Net, whose convolutions are
    1 x 3 x 3.

    Args:
        width: Channels of the first level, even.
        attention: Resolutions with self-attention within a frame; those that the network does not have are left out.
        temporal: Resolutions with attention across frames, alike; it is always in the middle.
        heads: Attention heads of both; must divide the channels wherever there is attention.

    Raises:
        ValueError: a size does not divide as it must.
    """

    def __init__(
        self,
        channels: int,
        image_size: int,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 1,
        attention: Sequence[int] = (8,),
        temporal: Sequence[int] = (16, 8),
        heads: int = 2,
        dropout: float = 0.0,
        groups: int = 8,
        num_classes: int | None = None,
        told: ToldBy | None = None,
        beside: Mapping[str, OfPictures] | None = None,
        self_conditioned: bool = False,
    ) -> None:
        super().__init__(
            channels,
            image_size,
            width,
            multipliers,
            blocks,
            attention,
            heads,
            dropout,
            groups,
            num_classes,
            told=told,
            beside=beside,
            self_conditioned=self_conditioned,
        )
        levels = [(width * factor, image_size // 2**i in temporal) for i, factor in enumerate(multipliers)]
        down = [level for level in levels for _ in range(blocks)]
        up = [level for level in reversed(levels) for _ in range(blocks + 1)]
        self.temporal = nn.ModuleList(
            TemporalAttention(count, heads, groups) if there else nn.Identity()
            for count, there in [*down, (levels[-1][0], True), *up]
        )

    def forward(self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Noisy videos (B, T, C, H, W), times (B,) and a condition to outputs (B, T, C, H, W)."""
        batch, frames = x_t.shape[:2]
        across = iter(self.temporal)

        def after(h: Tensor) -> Tensor:
            layer = next(across)
            return layer(h, frames) if isinstance(layer, TemporalAttention) else h

        embedding = self.embedded(t, condition).repeat_interleave(frames, 0)
        h, _, skips = self.through_down(self.stem(self.seen(x_t, condition).flatten(0, 1)), embedding, None, after)
        out = self.way_up(h, embedding, skips, None, after)
        return out.unflatten(0, (batch, frames))
