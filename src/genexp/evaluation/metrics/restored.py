"""How well a model restores whole pictures: PSNR and SSIM of the luminance, by the protocol of super-resolution."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from genexp.conditioning.bicubic import resized
from genexp.conditioning.chance import OfContent
from genexp.conditioning.degraded import Degraded
from genexp.contracts import Batch, LatentDecoder
from genexp.data.content_style import Root
from genexp.data.decoding import MAX_PIXELS
from genexp.data.embedded import PHOTOGRAPHS, scikit_learn_file
from genexp.data.own_pictures import files_of
from genexp.data.photographs import decoded
from genexp.evaluation.dealing import group_numbers
from genexp.evaluation.metrics.base import Better, MetricKind, Value
from genexp.evaluation.over_model import mean_over_images
from genexp.losses.structural_similarity import structural_similarity
from genexp.restoration.colours import luma_of, luminance
from genexp.restoration.restorer import Restorer
from genexp.tensors import to_float, to_uint8
from genexp.terminal import counted


class Restored:
    """`restored_psnr_y` and `restored_ssim_y` of whole pictures, and `restored_psnr_rgb` of colour pictures.

    Every picture is cut at the right and below to a multiple of the model's scale, degraded as in training (what is
    random depends on the picture alone), restored, and held against the picture in 8 bits. Y is the luminance of
    ITU-R BT.601 from 16 to 235 as Matlab's rgb2ycbcr gives it, rounded; 255 is the peak of PSNR. `border` pixels at
    every side are not measured. Values are means over pictures. The detail `bicubic` is what the picture itself scores,
    enlarged by the bicubic filter, and `restored_gain_y` by how many decibels the model is above that.

    A model of grey images makes Y directly, rounded once, as papers measure it; red, green and blue are then those of
    the picture of which it makes the luma.

    References: Dong et al., "Image Super-Resolution Using Deep Convolutional Networks" (2016), whose code measures
    so; Wang et al., "Image Quality Assessment" (2004), for SSIM with a Gaussian window of 11 pixels.

    Args:
        root: A folder of pictures such as Set5, a picture file, `china.jpg` or `flower.jpg` of scikit-learn, or a list
            of these.
        border: Pixels that are cut from every side; None for the model's scale, and none where nothing is enlarged.
        tile: Side of a tile in pixels of the degraded picture, see `Restorer`; None for whole pictures. It changes no
            value.

    Raises:
        ValueError: `border` or `tile` is out of range.
    """

    kind: ClassVar[MetricKind] = "model"
    split: ClassVar[str] = "val"
    values: ClassVar[dict[str, Better]] = {
        "restored_psnr_y": "higher",
        "restored_ssim_y": "higher",
        "restored_psnr_rgb": "higher",
        "restored_gain_y": "higher",
    }

    def __init__(self, root: Root | Sequence[Root], border: int | None = None, tile: int | None = 256) -> None:
        if border is not None and border < 0:
            raise ValueError(f"border must be at least 0 pixels or null, got {border}")
        if tile is not None and tile < 16:
            raise ValueError(f"tile must be at least 16 pixels or null, got {tile}")
        self._roots = [root] if isinstance(root, str | Path) else list(root)
        self.border, self._tile = border, tile

    @cached_property
    def _files(self) -> list[str]:
        return [str(file) for root in self._roots for file in _files_at(str(root))]

    @cached_property
    def _digest(self) -> str:
        """Digest of the decoded pictures in order."""
        found = hashlib.sha256()
        for file in self._files:
            picture = decoded(file, 3, MAX_PIXELS)
            found.update(repr(tuple(picture.shape)).encode() + picture.numpy().tobytes())
        return found.hexdigest()[:12]

    def require(self, model: object) -> None:
        """Check that the model restores pictures that a degradation makes, and that there are pictures.

        Raises:
            TypeError: it does not.
            FileNotFoundError: there are no such pictures.
            ValueError: there are none, or one cannot be read.
        """
        if Restorer(model).degradation is None:
            raise TypeError("Restored measures a model whose picture a degradation makes, got one of pairs")
        self._digest  # noqa: B018 - reads all pictures now, so that a bad one is told before training

    def subject(self, model: LatentDecoder) -> str:
        """The pictures, what is done to them, and the border."""
        restorer = Restorer(model)
        named = ", ".join(Path(root).name for root in self._roots)
        how = "luma" if restorer.kind.picture[0] == 1 and restorer.degradation.shape[0] == 1 else "RGB"
        what = f"{restorer.degradation.degradation}{', 8 bits' * restorer.degradation.eight_bits} of {how}"
        border = f"border of {_border(self.border, restorer.scale)}"
        return f"{counted(len(self._files), 'whole picture')} of {named} ({self._digest}), {what}, {border}"

    @torch.no_grad()
    def compute(self, model: LatentDecoder, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """The values, over the pictures; the batches are not looked at."""
        restorer = Restorer(model, seed)
        measured = torch.stack([self._of(restorer, decoded(file, 3, MAX_PIXELS)) for file in self._files])
        groups = group_numbers(torch.arange(len(measured)))
        found = {}
        for name, column, unit in (("psnr_y", 0, "dB"), ("ssim_y", 1, ""), ("psnr_rgb", 2, "dB")):
            ours, theirs = measured[:, :, column].unbind(1)
            if not ours.isnan().any():
                found[f"restored_{name}"] = mean_over_images(ours, groups, unit)
                found[f"restored_{name}"].details["bicubic"] = float(theirs.mean())
        gain = measured[:, 0, 0] - measured[:, 1, 0]
        return {**found, "restored_gain_y": mean_over_images(gain, groups, "dB")}

    def _of(self, restorer: Restorer, picture: Tensor) -> Tensor:
        """Numbers (2, 3) of a picture (3, H, W) uint8: of its restoration and of its plain enlargement."""
        scale, kind = restorer.scale, restorer.degradation
        height, width = (size - size % scale for size in picture.shape[1:])
        real = to_float(picture[None, :, :height, :width])
        border = _border(self.border, scale)
        degraded = degraded_of(kind, real if kind.shape[0] == 3 else luma_of(real))
        made = restorer.floats(degraded, self._tile)
        plain = resized(degraded, scale) if scale > 1 else degraded
        return torch.stack([closeness(each, real, border) for each in (made, plain)])


def degraded_of(kind: Degraded, image: Tensor) -> Tensor:
    """What a model is given of whole pictures (1, C, H, W), whatever the size of its training images."""
    return kind.of(image, OfContent(image))


def closeness(image: Tensor, real: Tensor, border: int) -> Tensor:
    """PSNR and SSIM of Y, and PSNR of RGB, (3,) float64; the last is NaN of grey images.

    Args:
        image: An image (1, 1 or 3, H, W) in [-1, 1], grey or RGB; RGB is brought to 8 bits.
        real: The picture (1, 3, H, W) of 8 bits.
        border: Pixels that are not measured at every side.
    """
    inside = slice(border, image.shape[-2] - border), slice(border, image.shape[-1] - border)
    image, real = image[(..., *inside)], real[(..., *inside)]
    rgb = torch.tensor(float("nan"), dtype=torch.float64)
    if image.shape[1] == 3:
        image = to_float(to_uint8(image))
        rgb = psnr((image.double() - real.double()) * 127.5)
    ours, theirs = luminance(image), luminance(real)
    similar, _ = structural_similarity(ours / 127.5 - 1, theirs / 127.5 - 1)
    return torch.stack([psnr(ours - theirs), similar[0].double(), rgb]).cpu()


def psnr(difference: Tensor) -> Tensor:
    """Decibels () of differences in levels of 255."""
    return 10 * (255**2 / difference.double().square().mean()).log10()


def _border(asked: int | None, scale: int) -> int:
    return asked if asked is not None else (scale if scale > 1 else 0)


def _files_at(root: str) -> list[Path]:
    if root in PHOTOGRAPHS and not Path(root).exists():
        return [scikit_learn_file("images", root)]
    return files_of(root, "root")
