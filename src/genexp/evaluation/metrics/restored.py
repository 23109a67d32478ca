"""How well a model restores whole pictures: PSNR and SSIM of the luminance, by the protocol of super-resolution."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from genexp.contracts import Batch, LatentDecoder
from genexp.data.content_style import Root
from genexp.data.decoding import MAX_PIXELS, read_header
from genexp.data.own_pictures import files_of
from genexp.data.photographs import decoded
from genexp.data.scikit_learn_files import PHOTOGRAPHS, scikit_learn_file
from genexp.data.source import BadImage
from genexp.evaluation.dealing import group_numbers
from genexp.evaluation.metrics.base import Better, MetricKind, Value
from genexp.evaluation.over_model import mean_over_images
from genexp.restoration.restorer import Restorer
from genexp.restoration.whole import border_of, least_side, tried
from genexp.terminal import counted


class Restored:
    """`restored_psnr_y` and `restored_ssim_y` of whole pictures, and `restored_psnr_rgb` of colour pictures.

    Every picture is cut at the right and below to a multiple of the model's scale, degraded as in training (what is
    random depends on the picture alone), restored, and held against the picture in 8 bits. Y is the luminance of
    ITU-R BT.601 from 16 to 235 as Matlab's rgb2ycbcr gives it, rounded, and of a grey picture its own levels; 255 is
    the peak of PSNR. `border` pixels at every side are not measured. Values are means over pictures. The detail
    `bicubic` is what the picture itself scores, enlarged by the bicubic filter, and `restored_gain_y` by how many
    decibels the model is above that.

    A model of grey images makes Y directly, rounded once, as papers measure it; red, green and blue are then those of
    the picture of which it makes the luma.

    References: Dong et al., "Image Super-Resolution Using Deep Convolutional Networks" (2016), whose code measures so;
    Wang et al., "Image Quality Assessment" (2004), for SSIM with a Gaussian window of 11 pixels.

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

    def _pictures(self) -> Iterator[Tensor]:
        """The pictures (1 or 3, H, W) uint8; a grey file is grey."""
        for file in self._files:
            yield decoded(file, read_header(file, MAX_PIXELS).channels, MAX_PIXELS)

    @cached_property
    def _digest(self) -> str:
        """Digest of the decoded pictures in order."""
        found = hashlib.sha256()
        for picture in self._pictures():
            found.update(repr(tuple(picture.shape)).encode() + picture.numpy().tobytes())
        return found.hexdigest()[:12]

    def require(self, model: object) -> None:
        """Check that the model restores pictures that a degradation makes, and that there are pictures.

        Raises:
            TypeError: it does not.
            FileNotFoundError: there are no such pictures.
            ValueError: there are none, or one cannot be read, or is too small to be measured within the border.
        """
        restorer = Restorer(model)
        if restorer.degradation is None:
            raise TypeError("Restored measures a model whose picture a degradation makes, got one of pairs")
        least = least_side(restorer.scale, self.border)
        for file in self._files:
            header = read_header(file, MAX_PIXELS)
            if min(header.width, header.height) < least:
                told = f"it has {header.width} x {header.height} pixels, and Restored measures what has at least"
                raise BadImage(file, f"{told} {least} at every side")
        self._digest  # noqa: B018 - reads all pictures now, so that a bad one is told before training

    def subject(self, model: LatentDecoder) -> str:
        """The pictures, what is done to them, and the border."""
        restorer = Restorer(model)
        named = ", ".join(Path(root).name for root in self._roots)
        how = "luma" if restorer.kind.picture[0] == 1 and restorer.degradation.shape[0] == 1 else "RGB"
        what = f"{restorer.degradation.degradation}{', 8 bits' * restorer.degradation.eight_bits} of {how}"
        border = f"border of {border_of(self.border, restorer.scale)}"
        return f"{counted(len(self._files), 'whole picture')} of {named} ({self._digest}), {what}, {border}"

    @torch.no_grad()
    def compute(self, model: LatentDecoder, batches: Iterable[Batch], seed: int) -> dict[str, Value]:
        """The values, over the pictures; the batches are not looked at."""
        restorer = Restorer(model, seed)
        trials = [tried(restorer, picture, self._tile, self.border) for picture in self._pictures()]
        ours, theirs = (
            torch.tensor(each).double() for each in zip(*((each.ours, each.plain) for each in trials), strict=True)
        )
        groups = group_numbers(torch.arange(len(trials)))
        found = {}
        for column, (name, unit) in enumerate((("psnr_y", "dB"), ("ssim_y", ""), ("psnr_rgb", "dB"))):
            if not ours[:, column].isnan().any():
                value = mean_over_images(ours[:, column], groups, unit)
                found[f"restored_{name}"] = replace(value, details={"bicubic": float(theirs[:, column].mean())})
        return {**found, "restored_gain_y": mean_over_images(ours[:, 0] - theirs[:, 0], groups, "dB")}


def _files_at(root: str) -> list[Path]:
    if root in PHOTOGRAPHS and not Path(root).exists():
        return [scikit_learn_file("images", root)]
    return files_of(root, "root")
