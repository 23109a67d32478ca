"""genexp sample: pictures from a trained run."""

import hashlib
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from genexp.commands.first_checks import require_first
from genexp.commands.sample_several import opened_one, opened_stages, sample_ensemble_of
from genexp.files.trees import Tree
from genexp.files.writing import naming
from genexp.hardware import chosen_threads
from genexp.inference.picture_origins import origin_of
from genexp.inference.refining import settle_several
from genexp.inference.sampler_config import checked_sampler, sampler_label, varied
from genexp.runs.newest import newest_hint
from genexp.runs.staging import staged

if TYPE_CHECKING:
    from torch import Tensor

    from genexp.figures.samples import Figure
    from genexp.inference.drawing import Drawing
    from genexp.inference.run import Run
    from genexp.runs.picture_origin import Origin
    from genexp.tensors import Grid


def sample(config: DictConfig) -> None:
    """Draw the images that `config` asks for and write them as PNG, with a record of how they were drawn.

    Raises:
        ValueError: an option is out of range or does not fit the model.
        FileNotFoundError: there is no such run or checkpoint.
    """
    if OmegaConf.is_missing(config, "run") or config.run is None:
        raise ValueError(f"run must name the run to draw from, got none; {newest_hint('genexp sample')}")

    require_first(config, "sample")

    import torch

    from genexp.inference.noise_found import found_again

    torch.set_num_threads(chosen_threads(config.threads))
    settle_several(config)
    if config.shares is not None:
        sample_ensemble_of(config)
        return
    alone = config.soup is not None or not OmegaConf.is_list(config.run)
    runs, name, draws, known = _of_run(config) if alone else _of_stages(config)
    (drawing, beside), run = draws, runs[-1]
    origin = origin_of(config, runs, () if drawing.editing is None else drawing.editing.files)
    folder = Path(config.out).resolve() if config.out else run.folder.samples / name
    images, seconds = _timed(lambda: drawing.images(config.num))
    known |= {"num": len(images), "seconds": round(seconds, 3)} | found_again(run, drawing.watermark, images)
    with staged(folder, _PARTS, _RECORD) as partial:
        written = [folder / name for name in _write(drawing, images, beside, config, partial, origin)]
        with naming(folder / _RECORD):
            (partial / _RECORD).write_text(json.dumps(known, indent=2) + "\n")
    sync = _to_wandb(run, written) if config.wandb else None
    _report(folder, written, len(images), seconds, drawing.evaluations, sync)


_Beside = dict[str, Callable[[], "Figure | Grid"]]
_Draws = tuple["Drawing", _Beside]  # of images, and of pictures beside them


def _of_run(config: DictConfig) -> tuple[list["Run"], str, _Draws, Tree]:
    """One run, the name of what is drawn, what draws, and how."""
    run = opened_one(config)
    node, told, *draws = prepared(config, run, config.device)
    return [run], run.name_of(*_how(node, config, told)), tuple(draws), _record(draws[0], config, node, told)


def _of_stages(config: DictConfig) -> tuple[list["Run"], str, _Draws, Tree]:
    """Several runs that follow each other, the name of what is drawn, what draws, and how."""
    from genexp.inference.cascade import drawings, stage_pictures
    from genexp.inference.watermarks import watermark_of

    told = typed_conditions(config)
    stages = opened_stages(config, told)
    every = drawings(stages, config.device, config.batch_size, watermark_of(config))
    run, drawing, node = stages[-1].run, every[-1], stages[-1].sampler
    draws = drawing, stage_pictures(every, config.num) | _beside(drawing, config, node)
    before = "-".join(stage.run.folder.record["id"][-4:] for stage in stages[:-1])
    known = _record(drawing, config, node, told) | {"stages": [stage.record() for stage in stages]}
    return [stage.run for stage in stages], run.name_of(f"after-{before}", *_how(node, config, told)), draws, known


def prepared(config: DictConfig, run: "Run", device: str) -> tuple[DictConfig, Tree, "Drawing", _Beside]:
    """The sampler's configuration, what is told beside the noise, what draws, and what draws the pictures beside.

    Raises:
        ValueError: an option does not fit the model; a key or a value is wrong.
    """
    from genexp.inference.drawing import Drawing
    from genexp.inference.editing import editing
    from genexp.inference.watermarks import watermark_of

    node, told = checked_sampler(run.config, config.get("sampler"), "sample"), typed_conditions(config)
    mark, edited = watermark_of(config), editing(config, run)
    drawing = Drawing(run, node, device, config.seed, config.batch_size, told, edited, watermark=mark)
    return node, told, drawing, _beside(drawing, config, node)


def _record(drawing: "Drawing", config: DictConfig, node: DictConfig, told: Tree) -> Tree:
    """How images are drawn."""
    run = drawing.run
    return {
        **run.subject,
        "weights": run.weights,
        "sampler": OmegaConf.to_container(node, resolve=True),
        "evaluations": drawing.evaluations,
        "seed": config.seed,
        "condition": told,
        "sheet": OmegaConf.to_container(config.sheet, resolve=True),
        **({} if drawing.editing is None else drawing.editing.record(config)),
        **({} if config.watermark is None else {"watermark_in": config.watermark_in}),
        **({} if config.tile is None else {"tile": config.tile}),
    }


def _timed(draw: Callable[[], "Figure | Grid"]) -> tuple["Figure | Grid", float]:
    begun = time.monotonic()
    return draw(), time.monotonic() - begun


_RECORD, _LONGEST, _ARC = "sample.json", 30, 8
_PICTURES = ("grid", "edited", "interpolation", "pairs", "stages", "classes", "embeddings", "texts")
_PICTURES += ("denoising", "sheet")
_PARTS = (*(f"{name}.{kind}" for name in _PICTURES for kind in ("png", "gif")), "images", "videos", "points.csv")
"""What a drawing can consist of."""


def typed_conditions(config: DictConfig) -> Tree:
    """What is typed of the conditions, by name; `label` and `caption` are short for those of `condition`."""
    typed = OmegaConf.to_container(config.condition, resolve=True)
    for name in ("label", "caption"):
        given = OmegaConf.to_container(config[name]) if OmegaConf.is_list(config[name]) else config[name]
        if given is not None and typed.get(name) not in (None, given):
            raise ValueError(f"{name} must be that of condition.{name}, {typed[name]}, got {given}")
        if given is not None:
            typed[name] = given
    return {name: value for name, value in typed.items() if value is not None}


def _how(node: DictConfig, config: DictConfig, told: Tree) -> list[str]:
    """What makes these images others than those that were drawn before, for the name of their folder."""
    how = [f"seed{config.seed}", sampler_label(node), *(_under(*each) for each in sorted(told.items()))]
    how += [] if config.tile is None else [f"tile{config.tile}"]
    if config.get("edit") is None:
        return how
    given = {key: config[key] for key in ("images", "mask") if config[key] is not None}
    return [*how, sampler_label(config.edit), *(_under(*each) for each in given.items())]


def _under(name: str, value: object) -> str:
    """A condition as a part of a folder's name; a long one by its beginning and a digest."""
    words = re.sub(r"[^\w.-]+", "_", str(value))
    short = len(words) <= _LONGEST
    return name + (words if short else f"{words[:_LONGEST]}-{hashlib.sha256(str(value).encode()).hexdigest()[:8]}")


def _columns(drawing: "Drawing", config: DictConfig) -> int | None:
    """Images a row as asked for, or as many as there are classes, where these are few; else None."""
    return config.columns or (drawing.num_classes if drawing.num_classes and drawing.num_classes <= 20 else None)


def _beside(drawing: "Drawing", config: DictConfig, node: DictConfig) -> dict[str, Callable[[], "Figure | Grid"]]:
    """What draws the pictures beside the grid, by their files; what is asked for and cannot be drawn is refused here.

    Raises:
        ValueError: the sampler has no such picture, or a row of the sheet is none of it.
    """
    from genexp.sampling.visualisation import has_path, require_path

    pictured, found, count = drawing.is_pictured, {}, config.interpolate
    if drawing.editing is not None and count not in (0, "auto"):
        raise ValueError(f"interpolate must be 0 where images begin with given ones, not with noise alone, got {count}")
    if drawing.has_start and pictured and count != 0 and drawing.editing is None:
        if count != "auto":
            require_path(drawing.sampler)
        if has_path(drawing.sampler):
            arcs = _ARC if count == "auto" else count
            found["interpolation.png"] = lambda: drawing.pictures.interpolation(config.rows, arcs)
            found |= drawing.between(config.rows, arcs)
    if config.frames and drawing.has_trajectory and pictured:
        found["denoising.png"] = lambda: drawing.pictures.denoising(config.rows, config.frames)
    if drawing.has_pairs:
        found["pairs.png"] = lambda: drawing.pairs(config.num)
    if sheet := config.sheet:
        if not (drawing.has_start and pictured):
            raise ValueError("sheet must be empty for a model of points or one that maps images, got rows for it")
        found["sheet.png"] = drawing.sheet(varied(drawing.run.config, node, sheet), _columns(drawing, config) or _ARC)
    return found if drawing.watermark is None else drawing.watermark.beside(found)


def _write(
    drawing: "Drawing",
    images: "Tensor",
    beside: dict[str, Callable[[], "Figure | Grid"]],
    config: DictConfig,
    folder: Path,
    origin: "Origin | None",
) -> list[str]:
    """Write what was drawn; returns the names of files and folders."""
    from genexp.figures.captioned import captioned
    from genexp.inference.saving import save_each, save_grid
    from genexp.tensors import Grid

    pictured, said = drawing.is_pictured, typed_conditions(config).get("caption")
    grids = {"grid.png": lambda: Grid(images, _columns(drawing, config), plane=None if pictured else drawing.plane)}
    if pictured and said is not None:
        grids["grid.png"] = lambda: captioned(images, [said] if isinstance(said, str) else said, config.columns)
    if drawing.editing is not None and drawing.editing.pictures is not None:
        grids["edited.png"] = lambda: drawing.editing.grid(images, config.rows)
    written = []
    for name, draw in {**grids, **beside}.items():
        written += save_grid(draw(), folder / name, origin)
    if config.singles or not pictured:
        written.append(save_each(images, folder, origin))
    return written


def _to_wandb(run: "Run", written: list[Path]) -> str | None:
    from genexp.inference.results import to_wandb

    pictures = {f"sample/{path.name.removesuffix('.png')}": path for path in written if path.suffix in (".png", ".gif")}
    return to_wandb(run, {}, pictures)


def _report(
    folder: Path, written: list[Path], count: int, seconds: float, evaluations: int | None, sync: str | None
) -> None:
    from genexp.terminal import duration, print_table, shown_path

    each = "" if evaluations is None else f", {evaluations} network evaluations an image"
    rows = [("drawn", f"{count} images in {duration(seconds)}, {count / max(seconds, 1e-9):,.1f} images/s{each}")]
    rows += [(path.name if path.suffix == ".gif" else path.stem, shown_path(path)) for path in written]
    rows += [("upload to W&B", sync)] if sync else []
    print_table([*rows, ("record", shown_path(folder / _RECORD))])
    sys.stdout.flush()
