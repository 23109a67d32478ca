"""genexp export: a run as files that other libraries load."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from genexp.commands.first_checks import require_first
from genexp.inference.exporting import FILES, FORMATS
from genexp.runs.newest import newest_hint
from genexp.runs.staging import require_own_place, staged

if TYPE_CHECKING:
    from genexp.inference.run import Run


def export(config: DictConfig) -> None:
    """Write the run that `config` names as files of another library, held against what the run itself draws.

    Raises:
        ValueError: the format has no word for something of the run, or draws other images; an option is out of range.
        FileExistsError: `out` holds something else.
        FileNotFoundError: there is no such run or checkpoint.
        ConnectionError: the hub, where `push` names a repository of it, does not answer; the files are written then.
    """
    out = required_place(config)

    require_first(config, "export")

    import torch

    from genexp.hardware import chosen_threads
    from genexp.inference import hub_repositories as hub
    from genexp.inference.copies import verdict_on_copies
    from genexp.inference.exporting.card import Release
    from genexp.inference.untrained_run import untrained
    from genexp.terminal import print_table, shown_path

    torch.set_num_threads(chosen_threads(config.threads))
    run = opened(config)
    release = Release(config.licence, config.intended_use)
    FORMATS[config.format](untrained(run), config, release)
    if config.push is not None:
        hub.require_account(config.push)
    if config.copies is not None:
        release = replace(release, copies=verdict_on_copies(run, config.copies).words)
    write, files = FORMATS[config.format](run, config, release), FILES[config.format]
    earlier = ", in the place of an earlier export" if (out / files[0]).is_file() else ""
    with staged(out, files, files[0]) as partial:
        told = write(partial)
    head = [("exported", f"{shown_path(out)}{earlier}"), ("format", config.format), ("weights", run.name_of())]
    verdict = [] if release.copies is None else [("copies", release.copies)]
    pushed = [] if config.push is None else [("hub", hub.push(out, config.push, files, config.public))]
    print_table([*head, *told, *verdict, *pushed])


def opened(config: DictConfig) -> "Run":
    """The run that is named, or several as one with the mean of their weights.

    Raises:
        ValueError: several are named without `soup`, or they are not of one network; a fingerprint cannot be found
            in the format.
        FileNotFoundError: there is no such run or checkpoint.
    """
    from genexp.config.compose import several
    from genexp.inference.fingerprints import with_fingerprint
    from genexp.inference.run import load_run
    from genexp.inference.soup import soup_of

    runs = [load_run(each, config.weights, config.checkpoint) for each in several(config.run)]
    if config.soup is None and len(runs) > 1:
        raise ValueError(f"run must be one run without soup, got {len(runs)}")
    run = runs[0] if config.soup is None else soup_of(config, runs)
    if config.fingerprint is None:
        return run
    if config.format != "safetensors":
        raise ValueError(f"fingerprint must be null for format={config.format}: it is looked for in safetensors alone")
    return with_fingerprint(run, config.fingerprint)


def required_place(config: DictConfig) -> Path:
    """The folder that is written.

    Raises:
        ValueError: no run or no folder is named.
        FileExistsError: the folder holds something else than an earlier export.
    """
    if config.run is None:
        raise ValueError(f"run must name the run to export, got none; {newest_hint('genexp export out=<folder>')}")
    if config.out is None:
        raise ValueError("out must name the folder that is written: genexp export run=<run> out=<folder>")
    return require_own_place(config.out, FILES.get(config.format, ("",))[0], "exported")
