"""genexp augment: a labelled folder of pictures from a run of classes."""

from pathlib import Path

from omegaconf import DictConfig

from genexp.commands.first_checks import require_first
from genexp.runs.newest import newest_hint
from genexp.runs.records import AUGMENTED
from genexp.runs.staging import require_own_place


def augment(config: DictConfig) -> None:
    """Write the pictures that `config` asks for, so many of every class.

    Raises:
        ValueError: an option is out of range, or the run is told no classes.
        FileExistsError: `out` holds something else.
        FileNotFoundError: there is no such run or checkpoint.
    """
    out = required_place(config)

    require_first(config, "augment")

    import torch

    from genexp.hardware import chosen_threads
    from genexp.inference.augmenting import Augmenting
    from genexp.inference.run import load_run
    from genexp.terminal import print_table, shown_path

    torch.set_num_threads(chosen_threads(config.threads))
    run = load_run(config.run, config.weights, config.checkpoint, config.trust)
    record = Augmenting(run, config).write(out)
    count = len(record["classes"])
    size, channels = run.config.data.shape[-1], run.config.data.shape[0]
    train = f"genexp train data=folder data.source.root={shown_path(out)} data.image_size={size} "
    rows = [("drawn", f"{config.per_class:,} pictures of each of {count} classes"), ("folder", shown_path(out))]
    rows += [("record", shown_path(out / AUGMENTED))]
    print_table([*rows, ("train with it", f"{train}data.channels={channels} data.num_classes={count}")])


def required_place(config: DictConfig) -> Path:
    """The folder that is written.

    Raises:
        ValueError: no run, folder or number is named.
        FileExistsError: the folder holds something else than an earlier augmentation.
    """
    for key, what in {"run": "the run to draw from", "per_class": "a number", "out": "the folder to write"}.items():
        if config[key] is None:
            raise ValueError(
                f"{key} must name {what}, got none; {newest_hint('genexp augment per_class=100 out=<folder>')}"
            )
    return require_own_place(config.out, AUGMENTED, "augmented")
