"""genexp restore: pictures of any size through a trained network that restores them."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from genexp.commands.first_checks import require_first
from genexp.inference.picture_origins import origin_of
from genexp.inference.restoring import Work, planned, require_sizes, restore_all
from genexp.runs.newest import newest_hint

if TYPE_CHECKING:
    from genexp.families.base import Family
    from genexp.inference.run import Run
    from genexp.restoration.restorer import Restorer


def restore(config: DictConfig) -> None:
    """Restore the pictures that `config` names, write them as PNG, and say where they are and how long it took.

    Raises:
        ValueError: an option is out of range, a picture cannot be used, or the run restores nothing.
        FileNotFoundError: there is no such run, checkpoint or picture.
    """
    require_named(config)

    require_first(config, "restore")
    work = planned(config.input, config.out, config.degrade)

    import torch

    from genexp.hardware import chosen_threads, device_of
    from genexp.inference.published import published_restoration
    from genexp.inference.untrained_run import untrained
    from genexp.inference.watermarks import pixel_watermark_of

    torch.set_num_threads(chosen_threads(config.threads))
    if config.published is None:
        runs = runs_of(config)
        require_work(config, work, *(untrained(run).model for run in runs))
        model = mixed([run.model for run in runs], config.share)
    else:
        runs, model = [], published_restoration(config.published)
        require_work(config, work, model)
    restorer = restorer_of(model.to(device_of(config.device)), config)
    begun = time.monotonic()
    origin = origin_of(config, runs)
    mark = pixel_watermark_of(config, "restore")
    restore_all(work, restorer, config.tile, config.max_pixels, config.degrade, print, origin, mark)
    _report(work, time.monotonic() - begun)


def require_named(config: DictConfig) -> None:
    """Raise ValueError where no run or file of weights, or both, or no picture is named, or keys have no effect."""
    given = "photo.png" if config.input is None else config.input
    if config.published is not None and config.run is not None:
        raise ValueError(f"published must be null with run, in whose place it stands, got {config.published}")
    if config.published is None and config.run is None:
        hint = newest_hint(f"genexp restore input={given}", model="restoration")
        raise ValueError(f"run must name the run that restores, got none; {hint}")
    if config.other_run is not None and config.published is not None:
        raise ValueError(f"other_run must be null with published, got {config.other_run}")
    if config.other_run is None and config.share is not None:
        raise ValueError(f"share must be null without other_run=<run>, whose share it is, got {config.share}")
    if config.other_run is not None and "+" in config.weights:
        raise ValueError(f"weights must be as they were trained with other_run, got {config.weights}")
    if config.input is None:
        raise ValueError("input must name a picture or a folder of them: genexp restore run=<run> input=photo.png")


def runs_of(config: DictConfig) -> "list[Run]":
    """The run, and the other one where weights between both are asked for.

    Raises:
        FileNotFoundError: there is no such run or checkpoint.
    """
    from genexp.inference.run import load_run

    run = load_run(config.run, config.weights, config.checkpoint, config.trust)
    if config.other_run is None:
        return [run]
    try:
        return [run, load_run(config.other_run, config.weights, trust=config.trust)]
    except FileNotFoundError as error:
        raise FileNotFoundError(f"other_run: {error}") from error


def mixed(models: "Sequence[Family]", share: float | None) -> "Family":
    """The first model, whose generator has `share` of the weights of the second's, where there is one."""
    from genexp.sampling.interpolated import between

    first, *others = models
    for other in others:
        state = between(first.generator, other.generator, 0.5 if share is None else share)
        first.generator.load_state_dict(dict(state))
    return first


def restorer_of(model: "Family", config: DictConfig) -> "Restorer":
    """What restores pictures by a model.

    Raises:
        ValueError: its model restores none, or `degrade` is asked of one whose pictures no degradation makes.
    """
    from genexp.restoration.restorer import Restorer

    try:
        restorer = Restorer(model.source(), config.seed)
    except TypeError as error:
        raise ValueError(f"run must be one that restores pictures: {error}") from error
    if config.degrade and restorer.degradation is None:
        raise ValueError("degrade must be false for a run whose pictures the data have (no degradation makes them)")
    return restorer


def require_work(config: DictConfig, work: Work, model: "Family", *others: "Family") -> None:
    """Raise ValueError where a model restores no pictures or others have no such generator, or a picture cannot be."""
    from genexp.contracts.generating import HasGenerator
    from genexp.inference.watermarks import pixel_watermark_of
    from genexp.sampling.interpolated import require_alike

    for other in others:
        for key, each in (("run", model), ("other_run", other)):
            if not isinstance(each, HasGenerator):
                raise ValueError(f"{key} must be of a model with a generator with other_run, got {type(each).__name__}")
        require_alike(model.generator, other.generator)
    mark = pixel_watermark_of(config, "restore")
    require_sizes(work, restorer_of(model, config), config.max_pixels, config.degrade, mark)


def _report(work: Work, seconds: float) -> None:
    from genexp.terminal import counted, duration, print_table, shown_path

    several = work.results != (work.out,)
    rows = [("pictures" if several else "picture", shown_path(work.out))]
    if not several:
        from genexp.data.decoding import read_header

        header = read_header(str(work.out), 2**62)
        rows.append(("pixels", f"{header.width} x {header.height}"))
    rows.append(("time", f"{duration(seconds)}, {counted(len(work.results), 'picture')}"))
    print_table(rows)
