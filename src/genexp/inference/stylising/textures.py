"""Textures made of the pixels or patches of a style, and a content picture painted with its patches."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from genexp.inference.stylising.method import Painted, Painter, StylePicture
from genexp.terminal import counted, progress

if TYPE_CHECKING:
    from torch import Tensor


class Growing:
    """A texture that grows pixel by pixel, a square of `size` pixels a side (Efros and Leung, 1999)."""

    options = frozenset(["window"])
    wants_content = False
    wants_style = True
    tells_progress = True

    def require(self, config: DictConfig) -> None:
        """Raise ValueError where the window has no middle, or the texture no size."""
        if config.window % 2 == 0:
            raise ValueError(f"window must be odd, got {config.window}")
        _require_size(config)

    def painter(self, config: DictConfig) -> Painter:
        """What grows a texture of the style."""
        from genexp.textures.growing import EfrosLeung

        grow = EfrosLeung(config.window)

        def paint(content: "Tensor | None", styles: Sequence[StylePicture]) -> Painted:
            (style,) = styles
            with progress("stylize", config.size**2) as advance:
                texture = grow(style.image[0], config.size, config.size, config.seed, advance)
            return Painted(texture[None], f"pixel by pixel, window {config.window}")

        return paint


class Quilted:
    """A texture quilted of patches, or a content painted with them (Efros and Freeman, 2001).

    Args:
        transfer: Whether there is a content; else the texture is a square of `size` pixels a side.
    """

    wants_style = True
    tells_progress = True

    def __init__(self, transfer: bool) -> None:
        self.wants_content = transfer
        self.options = frozenset(["patch", "alpha"] if transfer else ["patch"])

    def require(self, config: DictConfig) -> None:
        """Raise ValueError where a texture has no size."""
        if not self.wants_content:
            _require_size(config)

    def painter(self, config: DictConfig) -> Painter:
        """What quilts patches of the style."""
        from genexp.textures.quilting import Quilting

        quilting = Quilting(config.patch) if config.alpha is None else Quilting(config.patch, alpha=config.alpha)

        def paint(content: "Tensor | None", styles: Sequence[StylePicture]) -> Painted:
            (style,) = styles
            height, width = (config.size,) * 2 if content is None else content.shape[-2:]
            down, across = quilting.grid(height, width)
            picture = None if content is None else content[0]
            with progress("stylize", down * across) as advance:
                quilt = quilting(style.image[0], height, width, config.seed, picture, advance)
            return Painted(quilt[None], f"{counted(down * across, 'square')} of {config.patch} pixels a side")

        return paint


def _require_size(config: DictConfig) -> None:
    if config.size is None:
        raise ValueError(f"size must be the texture's pixels a side for method={config.method}, got null")
