"""genexp stylize: paint photographs in the style of others, or more of a texture."""

import time
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from genexp.inference.stylising.method import require_own_options
from genexp.inference.stylising.methods import METHODS
from genexp.inference.stylising.painting_jobs import PaintingJob, content_files, planned, style_files
from genexp.inference.stylising.sequences import Steadiness

if TYPE_CHECKING:
    from genexp.inference.stylising.method import Painted


def stylize(config: DictConfig) -> None:
    """Make the pictures that `config` asks for, write them as PNG, and say where they are and how long it took.

    Raises:
        ValueError: an option is out of range or belongs to another method, or a picture cannot be used.
        FileNotFoundError: a picture, a run or a file of weights does not exist.
    """
    required_pictures(config)

    from genexp.config.validation import require_options, require_valid

    require_options(config, "stylize")
    job = required_job(config)

    import torch

    from genexp.hardware import chosen_threads
    from genexp.inference.stylising.painting import paint_all

    torch.set_num_threads(chosen_threads(config.threads))
    require_valid(config, "stylize")
    begun = time.monotonic()
    steadiness = Steadiness() if config.sequence else None
    painted = list(paint_all(config, job, METHODS[config.method], steadiness))
    _report(job, painted, time.monotonic() - begun, steadiness)


def required_pictures(config: DictConfig) -> None:
    """Raise FileNotFoundError where a picture that is named does not exist; BadImage where a folder cannot be read."""
    for key in ("content", "style", "masks"):
        if config[key] is not None:
            if key == "content":
                content_files(str(config.content))
            else:
                style_files(config[key], key)


def required_job(config: DictConfig) -> PaintingJob:
    """What is painted where.

    Raises:
        ValueError: an option belongs to another method, the method lacks a picture, a run or a model, or `out` is no
            place for the results.
        FileNotFoundError: a picture does not exist.
    """
    require_own_options(config, METHODS)
    METHODS[config.method].require(config)
    return planned(
        config.content, content_files(config.content), config.style, config.masks, config.out, config.sequence
    )


def _report(job: PaintingJob, painted: list["Painted"], seconds: float, steadiness: Steadiness | None) -> None:
    from genexp.terminal import counted, duration, print_table, shown_path

    several = len(painted) > 1 or job.results != (job.out,)
    sizes = sorted({f"{each.image.shape[-1]} x {each.image.shape[-2]}" for each in painted})
    rows = [
        ("pictures" if several else "picture", shown_path(job.out)),
        ("pixels", sizes[0] if len(sizes) == 1 else f"{len(sizes)} sizes, as the contents"),
        ("time", f"{duration(seconds)}, {counted(len(painted), 'picture') + ': ' if several else ''}{painted[-1].how}"),
    ]
    print_table([*rows, ("steadiness", steadiness.words())] if steadiness is not None and len(painted) > 1 else rows)
