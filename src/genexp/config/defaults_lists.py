"""What the defaults lists of configuration files name: groups, choices, and the files that name them. No torch."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from genexp.config.compose import choice_files, conf_dir
from genexp.files.yaml_records import read_yaml


def choices_of(experiment: str) -> dict[str, str]:
    """The model, data and sampler that an experiment chooses; without a word its model is that of train.

    Nothing is known of one that a person has elsewhere.
    """
    own = _defaults_of(conf_dir() / "train.yaml") if experiment in choice_files("experiment") else []
    chosen = [*own, *(named[1:] for named in named_by(experiment))]
    return {group: name for group, name in chosen if group in ("model", "data", "sampler")}


def named_by(experiment: str) -> Iterator[tuple[str, str, str]]:
    """Every choice in the defaults of an experiment and of those that it builds on: the file, the group, the name."""
    file = choice_files("experiment").get(experiment, conf_dir() / "experiment" / f"{experiment}.yaml")
    for group, name in _defaults_of(file):  # also of what several share, which no one chooses
        yield shown_file(f"experiment/{experiment}"), group, name
        if group == "experiment":
            yield from named_by(name)


def shown_file(choice: str) -> str:
    """The file of `group/name` for people: below conf/ where it is genexp's own, else where a project has it."""
    group, _, name = choice.partition("/")
    file, own = choice_files(group).get(name), conf_dir()
    return str(file) if file is not None and not file.is_relative_to(own) else f"conf/{choice}.yaml"


def _defaults_of(file: Path) -> list[tuple[str, str]]:
    """The groups and choices that the defaults of a file name, for which a word alone is an experiment."""
    try:
        entries = read_yaml(file).get("defaults") or ()
        own = [each.removeprefix("/experiment/") for each in entries if isinstance(each, str) and each != "_self_"]
        of_groups = [pair for each in entries if isinstance(each, dict) for pair in each.items()]
    except (OSError, AttributeError, TypeError, ValueError, yaml.YAMLError):
        return []  # what Hydra says of it stands
    return [
        *(("experiment", each) for each in own),
        *((key.removeprefix("override ").lstrip("/").split("@")[0], name) for key, name in of_groups),
    ]
