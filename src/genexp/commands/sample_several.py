"""genexp sample of several runs: opened, and drawn from as one."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

if TYPE_CHECKING:
    from genexp.inference.cascade import CascadeStage
    from genexp.inference.run import Run


def opened(config: DictConfig) -> "list[Run]":
    """The runs that are named.

    Raises:
        FileNotFoundError: there is no such run or checkpoint.
    """
    from genexp.config.compose import several
    from genexp.inference.run import load_run

    return [load_run(each, config.weights, config.checkpoint, config.trust) for each in several(config.run)]


def opened_one(config: DictConfig) -> "Run":
    """The run that is named, or several as one with the mean of their weights.

    Raises:
        ValueError: the runs are not of one network, or W&B is asked for, where several have no run.
        FileNotFoundError: there is no such run or checkpoint.
    """
    from genexp.inference.soup import soup_of

    if config.soup is not None and config.wandb:
        raise ValueError("wandb must be false with soup, of which no W&B run is")
    runs = opened(config)
    return in_parts(config, runs if config.soup is None else [soup_of(config, runs)])[0]


def in_parts(config: DictConfig, runs: "list[Run]") -> "list[Run]":
    """Runs whose codes are decoded in parts, where that is asked for.

    Raises:
        ValueError: none is of codes that are maps, or the parts do not fit these.
    """
    if config.get("tile") is not None:
        from genexp.inference.codes import decode_in_tiles

        decode_in_tiles([each.model.source() for each in runs], config.tile)
    return runs


def sample_ensemble_of(config: DictConfig) -> None:
    """Draw from several runs as one.

    Raises:
        ValueError: an option is of one run's pictures, or the runs do not go together.
    """
    from genexp.inference.ensemble import sample_ensemble
    from genexp.terminal import print_table, shown_path

    alone = ("edit", "images", "sheet", "condition", "caption", "wandb")
    for key, given in ((key, config.get(key)) for key in alone):
        if given not in (None, False) and given != {} and given != []:
            raise ValueError(f"{key} must be left as it is with shares, got {given}")
    runs = in_parts(config, opened(config))
    folder = sample_ensemble(config, runs)
    print_table([("drawn", f"{config.num} images of {len(runs)} runs"), ("images", shown_path(folder))])


def opened_stages(config: DictConfig, told: Mapping[str, object]) -> "list[CascadeStage]":
    """The runs that are named, each told what the one before draws.

    Args:
        config: The configuration of `genexp sample`.
        told: Conditions that a person gave, by name.

    Raises:
        ValueError: pictures are given to begin with, or the runs do not follow each other.
    """
    return require_stages(config, in_parts(config, opened(config)), told)


def require_stages(config: DictConfig, runs: "Sequence[Run]", told: Mapping[str, object]) -> "list[CascadeStage]":
    """Runs, each told what the one before draws.

    Raises:
        ValueError: as `opened_stages`.
    """
    from genexp.inference.cascade import stages_of
    from genexp.inference.watermarks import watermark_of

    if (mark := watermark_of(config)) is not None:
        if mark.place == "noise":
            raise ValueError("watermark_in must be pixels with several runs, which follow each other, got noise")
        mark.require(tuple(runs[-1].config.data.shape), None)
    if config.get("edit") is not None or config.images is not None or config.mask is not None:
        raise ValueError("edit, images and mask must be null with several runs, of which the first begins with noise")
    return stages_of(runs, config.get("sampler"), told, config.seed, "sample")
