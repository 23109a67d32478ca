"""genexp import: a folder that diffusers has saved, made a run."""

from shlex import quote

from omegaconf import DictConfig


def import_folder(config: DictConfig) -> None:
    """Make the run that `config` asks for, and say what can be typed of it.

    Raises:
        ValueError: the folder holds something that has no counterpart here, or an override is wrong.
        FileNotFoundError: there is no such folder, or it lacks a file.
    """
    from genexp.config.validation import require_options

    require_options(config, "import")

    from genexp.inference.importing.imported import planned
    from genexp.terminal import print_table, shown_path, typed_path

    plan = planned(config)
    folder = plan.write()
    place = typed_path(folder.path)
    further = " ".join(quote(each) for each in plan.overrides if each.startswith(_KEPT))
    print_table(
        [
            ("run folder", shown_path(folder.path)),
            ("draw", f"genexp sample run={place}"),
            ("measure", f"genexp evaluate run={place} metrics=[fd]"),
            ("train on", f"genexp train {further} initial=run initial.run={place}"),
        ]
    )


_KEPT = ("experiment", "model", "+model", "data", "sampler")
