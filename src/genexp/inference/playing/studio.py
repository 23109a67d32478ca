"""What the page may ask of runs: draw, interpolate, paint a picture, restore one."""

import io
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from genexp.contracts.blending import Blender
from genexp.data.decoding import read_header
from genexp.data.source import BadImage
from genexp.figures.samples import drawn
from genexp.files.trees import Tree
from genexp.inference.drawing import Drawing
from genexp.inference.picture_origins import origin_of
from genexp.inference.playing.asked import MOST_IMAGES, changes_of, checked, offers_of
from genexp.inference.restoring import read
from genexp.inference.run import Run
from genexp.inference.sampler_config import checked_sampler
from genexp.inference.stylising.method import StylePicture
from genexp.inference.stylising.one_pass import OnePass
from genexp.inference.stylising.painting_jobs import in_strides, read_picture
from genexp.restoration.restorer import Restorer
from genexp.sampling.draw import draw
from genexp.sampling.visualisation import require_path
from genexp.tensors import Grid, to_uint8

SLOTS = ("content", "style")
"""Pictures that may be given, each under a name of its own in a folder of this process."""
MOST_PIXELS = 4_000_000


class Studio:
    """Opened runs and the pictures that were given; one thing is made at a time.

    Args:
        runs: The runs.
        device: `auto`, `cpu` or `cuda`.
        folder: A folder of this process alone, for given pictures.

    Raises:
        ValueError: a run can do nothing that the page has.
    """

    def __init__(self, runs: list[Run], device: str, folder: Path) -> None:
        self.runs, self.device, self.folder = runs, device, folder
        self.done, self.total = 0, 0
        self._busy = threading.Lock()
        self.can = [_abilities(run, device) for run in runs]

    def about(self) -> Tree:
        """What every run is and can do, for the page."""
        return {"runs": [_about(*each) for each in zip(self.runs, self.can, strict=True)], "most": MOST_IMAGES}

    def sample(self, asked: Mapping[str, Any]) -> bytes:
        """Images of the samples 0 to `num` - 1 in a grid, as PNG: those of `genexp sample` of this seed."""
        return self._made(asked, "sample", self._sampled)

    def interpolate(self, asked: Mapping[str, Any]) -> bytes:
        """Rows of images on the arc between two noises, as PNG."""
        return self._made(asked, "sample", self._between)

    def stylize(self, asked: Mapping[str, Any]) -> bytes:
        """The given content in the given style, or in the run's own, as PNG."""
        return self._made(asked, "stylize", self._painted)

    def restore(self, asked: Mapping[str, Any]) -> bytes:
        """The given content restored, as PNG."""
        return self._made(asked, "restore", self._restored)

    def take(self, slot: str, content: bytes) -> str:
        """Keep a given picture; returns its size in words.

        Raises:
            ValueError: there is no such slot, or this is no picture, or one that is too large.
        """
        if slot not in SLOTS:
            raise ValueError(f"slot must be one of {', '.join(SLOTS)}")
        with self._busy:
            (self.folder / f"{slot}.new").write_bytes(content)
            try:
                header = read_header(str(self.folder / f"{slot}.new"), MOST_PIXELS)
            except ValueError as error:
                reason = error.reason if isinstance(error, BadImage) else error
                raise ValueError(f"this is no picture that can be used: {reason}") from error
            (self.folder / f"{slot}.new").replace(self.folder / slot)
        return f"{header.width} x {header.height}"

    def _made(self, asked: Mapping[str, Any], ability: str, make: Callable[[Run, Tree], Tensor]) -> bytes:
        values = checked(asked)
        place = values["run"]
        if place >= len(self.runs) or ability not in self.can[place]:
            raise ValueError(f"run must be one that can {ability}, got number {place}")
        with self._busy:
            self.done, self.total, begun = 0, 0, time.monotonic()
            picture = make(self.runs[place], values)
            self.done = self.total
            told = {"provenance": True, "seed": values["seed"], "watermark": None}
            origin = origin_of(OmegaConf.create(told), [self.runs[place]], self._given(ability))
            return _png(picture, {**origin.text(picture), "Seconds": f"{time.monotonic() - begun:.2f}"})

    def _given(self, ability: str) -> list[Path]:
        wanted = {"sample": (), "restore": SLOTS[:1], "stylize": SLOTS}[ability]
        return [self.folder / slot for slot in wanted if (self.folder / slot).is_file()]

    def _drawing(self, run: Run, values: Tree) -> Drawing:
        node = checked_sampler(run.config, changes_of(run.config.sampler, values), "sample")
        told = {name: values[name] for name in ("label", "caption") if values[name] is not None}
        return Drawing(run, node, self.device, values["seed"], MOST_IMAGES, told)

    def _sampled(self, run: Run, values: Tree) -> Tensor:
        drawing = self._drawing(run, values)
        batch = draw(
            drawing.source,
            drawing.sampler,
            range(values["num"]),
            values["seed"],
            drawing.conditions,
            drawing.device,
            self._progress,
        )
        return drawn(Grid(batch["image"].cpu(), plane=None if drawing.is_pictured else drawing.plane))

    def _between(self, run: Run, values: Tree) -> Tensor:
        drawing = self._drawing(run, values)
        require_path(drawing.sampler)
        return drawn(drawing.pictures.interpolation(min(4, values["num"]), 8))

    def _painted(self, run: Run, values: Tree) -> Tensor:
        any_style = run.model.any_style
        content = read_picture(self._slot("content"), values["size"])
        style = [StylePicture(in_strides(read_picture(self._slot("style"), values["size"])))] if any_style else []
        config = OmegaConf.create({"run": str(run.folder.path), "device": self.device, "alpha": values["alpha"]})
        painted = OnePass("style", any_style).painter(config)(in_strides(content), style)
        return to_uint8(painted.image[0, :, : content.shape[-2], : content.shape[-1]])

    def _restored(self, run: Run, values: Tree) -> Tensor:
        picture, _ = read(self._slot("content"), MOST_PIXELS)
        restorer = Restorer(run.model.source(), values["seed"])
        if picture.shape[-1] * picture.shape[-2] * restorer.scale**2 > 4 * MOST_PIXELS:
            raise ValueError(f"content must be smaller: enlarged it has more than {4 * MOST_PIXELS:,} pixels")
        return restorer(picture, 256, self._progress)

    def _slot(self, slot: str) -> Path:
        if not (self.folder / slot).is_file():
            raise ValueError(f"{slot} must be given: drop a picture there")
        return self.folder / slot

    def _progress(self, done: int, total: int) -> None:
        self.done, self.total = done, total


def _abilities(run: Run, device: str) -> set[str]:
    """What the page can do with a run: paint, restore, or draw.

    Raises:
        ValueError: nothing.
    """
    if isinstance(run.model, Blender):
        return {"stylize"}
    try:
        Restorer(run.model.source())
        return {"restore"}
    except TypeError:
        drawing = Drawing(run, checked_sampler(run.config, None, "sample"), device, 0, MOST_IMAGES)
    if not drawing.has_start:
        raise ValueError(f"run must be one that draws, paints or restores, got {type(run.model).__name__}")
    return {"sample"}


def _about(run: Run, can: set[str]) -> Tree:
    told = run.model.conditioning
    return {
        "name": str(run.folder.record["name"]),
        "id": str(run.folder.record["id"]),
        "can": sorted(can),
        "classes": told.num_classes if "label" in told.names else None,
        "captions": "caption" in told.names,
        "values": offers_of(run.config.sampler) if "sample" in can else {},
        "any_style": isinstance(run.model, Blender) and run.model.any_style,
    }


def _png(picture: Tensor, texts: Mapping[str, str]) -> bytes:
    values, info, file = picture.movedim(0, -1).contiguous().numpy(), PngInfo(), io.BytesIO()
    for key, value in texts.items():
        info.add_text(key, value)
    Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values).save(file, "PNG", pnginfo=info)
    return file.getvalue()
