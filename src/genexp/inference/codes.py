"""Between images and codes of maps: what autoencoders share that are trained, shipped or of another library."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from genexp.contracts.codecs import as_codes_ask, codec_of
from genexp.contracts.maps import MapCoder
from genexp.restoration.tiled_decoding import in_tiles, require_tile


def shape_of_codes(coder: MapCoder, image_shape: Sequence[int]) -> tuple[int, ...]:
    """Shape (C, H / f, W / f) of the code of an image (c, H, W).

    Raises:
        ValueError: the coder's factor does not divide the image.
    """
    _, height, width = image_shape
    if height % coder.factor or width % coder.factor:
        raise ValueError(
            f"image_shape must have sides that the codec's factor {coder.factor} divides, got {list(image_shape)}"
        )
    return coder.latent_maps, height // coder.factor, width // coder.factor


def in_the_cache(act: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """What an autoencoder makes of a batch, on a CPU of eight at a time: features of more do not stay in its cache."""
    if batch.device.type != "cpu" or torch.compiler.is_compiling():  # a graph takes any number of samples at once
        return act(batch)
    return torch.cat([act(each).contiguous() for each in batch.split(_EIGHT)])


_EIGHT = 8


@runtime_checkable
class InParts(Protocol):
    """A codec that may decode maps in parts, of a side in pixels, or whole where `tile` is None."""

    image_shape: tuple[int, ...]
    code_shape: tuple[int, ...]
    tile: int | None


def decode_in_tiles(models: Sequence[object], tile: int) -> None:
    """Let models of codes that are maps decode them in parts, whatever they were trained with.

    Args:
        models: What is drawn from, some of them perhaps of images.
        tile: Side of a part in pixels of the image.

    Raises:
        ValueError: no model is of such codes, or `tile` is no multiple of a codec's factor.
    """
    codecs = [codec for each in models if isinstance(codec := codec_of(each), InParts) and len(codec.code_shape) == 3]
    if not codecs:
        raise ValueError(f"tile must be null for a run that draws no codes which are maps, got {tile}")
    for codec in codecs:
        require_tile(tile, codec.image_shape[-1] // codec.code_shape[-1])
        codec.tile = tile


class FrozenCodec:
    """An autoencoder of maps that is not trained here, between images and (latents - shift) scale.

    Attributes:
        image_shape: Shape (c, H, W) of the images.
        code_shape: Shape of the codes.
        scale: Codes over latents.
        tile: Side in pixels of the parts in which images are decoded; None for whole.
        digest: Of its weights.
    """

    image_shape: Sequence[int]
    scale: float | None
    tile: int | None
    digest: str | None

    def _begin(self, network: nn.Module, scale: float, shift: float = 0.0) -> None:
        """Take over a network that is a `MapCoder`.

        Raises:
            ValueError: the scale is out of range, or the network's factor does not divide the image.
        """
        require_scale(scale)
        self._network, self.scale, self.shift = network, scale, shift
        self.image_shape = tuple(self.image_shape)
        self.code_shape = shape_of_codes(network, self.image_shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and (self.digest, self.scale) == (other.digest, other.scale)

    @property
    def fingerprint(self) -> str:
        """Of what codes follow from, beside the image."""
        return f"{type(self).__name__} {self.digest} {self.scale!r}"

    @torch.no_grad()
    def encode(self, image: Tensor) -> Tensor:
        """Images (B, *image_shape) in [-1, 1] to codes (B, *code_shape), in float32 under any autocast."""
        self._follow(image)
        with torch.autocast(image.device.type, enabled=False):
            return self.scale * (in_the_cache(self._network.encode, image.float()) - self.shift)

    def decode(self, code: Tensor) -> Tensor:
        """Codes (B, *code_shape) to images (B, *image_shape) in [-1, 1], in float32 under any autocast."""
        self._follow(code)
        with as_codes_ask(code), torch.autocast(code.device.type, enabled=False):
            maps = code.float() / self.scale + self.shift
            return in_the_cache(self._decoded, maps)

    def _decoded(self, maps: Tensor) -> Tensor:
        return self._network.decode(maps) if self.tile is None else in_tiles(self._network, maps, self.tile)

    def _follow(self, tensor: Tensor) -> None:
        if next(self._network.parameters()).device != tensor.device:
            self._network.to(tensor.device)


def require_scale(scale: float | str) -> None:
    """Check a scale of codes.

    Raises:
        ValueError: it is neither above 0 nor `measured`.
    """
    if scale != MEASURED and (isinstance(scale, str) or not scale > 0):
        raise ValueError(f"scale must be above 0, or {MEASURED}, got {scale}")


MEASURED = "measured"
