"""Where the configuration lives, how it is composed, and what identifies it. This file imports no torch."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig, ListConfig, OmegaConf

from genexp.config.keys import VOLATILE
from genexp.config.projects import conf_dirs
from genexp.config.quoting import text_quoted
from genexp.config.whole_parts import require_one_part
from genexp.files.ids import new_run_id
from genexp.files.trees import Tree
from genexp.files.yaml_records import read_yaml, require_small

# Once for a configuration, with its jobs, as Hydra's own `now`.
OmegaConf.register_new_resolver("new_id", new_run_id, use_cache=True, replace=True)


def conf_dir() -> Path:
    """The folder of the YAML files: beside the package in a wheel, at the top of a checkout.

    Raises:
        FileNotFoundError: neither exists.
    """
    package = Path(__file__).resolve().parents[1]
    packaged, checkout = package / "conf", package.parents[1] / "conf"
    if packaged.is_dir():
        return packaged
    if (package.parents[1] / "pyproject.toml").is_file() and checkout.is_dir():
        return checkout
    raise FileNotFoundError(f"conf/ must be at {packaged} or {checkout}, and is at neither")


def choice_files(group: str) -> dict[str, Path]:
    """The file of every choice of a group by its name, nested ones as `folder/name`: those of genexp and of projects.

    What begins with _ is what several choices share. A name of genexp's stays its own, as in a composition.
    """
    found: dict[str, Path] = {}
    for root in (folder / group for folder in (conf_dir(), *conf_dirs())):
        for path in root.rglob("[!_]*.yaml"):
            found.setdefault(str(path.relative_to(root).with_suffix("")), path)
    return dict(sorted(found.items()))


def own_choices(group: str) -> list[str]:
    """The choices that lie in the group's own folder; those below are of its parts."""
    return [name for name in choice_files(group) if "/" not in name]


def group_names() -> list[str]:
    """Every folder of configurations, of genexp and of projects, by its path from conf/ on."""
    roots = (conf_dir(), *conf_dirs())
    return sorted({str(path.relative_to(root)) for root in roots for path in root.rglob("*") if path.is_dir()})


def may_be_empty(group: str) -> bool:
    """Whether `genexp train` chooses nothing of a group unless it is typed, as of `initial`."""
    return {group: None} in read_yaml(conf_dir() / "train.yaml")["defaults"]


def compose(name: str = "train", overrides: list[str] | None = None, with_hydra: bool = False) -> DictConfig:
    """Compose a primary configuration as the command line does.

    Args:
        name: Primary config: `train`, `sample`, ...
        overrides: Hydra overrides, as typed after the command.
        with_hydra: Keep Hydra's own node, which names the chosen groups.

    Raises:
        ValueError: a part is chosen several times.
    """
    import hydra

    from genexp.config.origins import Origins, take_as_written

    typed = [text_quoted(each) for each in overrides or []]
    require_one_part(typed, conf_dir())
    with initialised():
        config = hydra.compose(config_name=name, overrides=typed, return_hydra_config=with_hydra)
        take_as_written(config, lambda: Origins.of_composition(name, typed))
        return config


@contextmanager
def initialised() -> Iterator[None]:
    """Hydra ready to compose from our conf/, unless it already is."""
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    from genexp.config.composed_once import compose_once
    from genexp.config.shipped_files import keep_shipped_files

    if GlobalHydra.instance().is_initialized():
        yield
        return
    keep_shipped_files(conf_dir())
    compose_once()
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        yield


def resolved(config: DictConfig) -> Tree:
    """The configuration as plain containers with every interpolation carried out."""
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    plain.pop("hydra", None)
    return plain


SPLITS = ("train", "val", "test")


def data_name(text: str) -> str | None:
    """The data configuration that a text such as `cifar10:test` or `digits` names; None if it names none."""
    name, _, split = text.partition(":")
    known = "/" not in name and name in choice_files("data")
    return name if known and split in ("", *SPLITS) else None


def config_digest(plain: Tree) -> str:
    """Twelve hexadecimal digits that two runs share exactly when they compute the same."""
    text = OmegaConf.to_yaml(OmegaConf.create(_deciding(plain)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _deciding(plain: Tree, above: str = "") -> Tree:
    kept = {key: value for key, value in plain.items() if f"{above}{key}" not in VOLATILE}
    return {k: _deciding(v, f"{above}{k}.") if isinstance(v, dict) else v for k, v in kept.items()}


def load_config(path: Path, what: str) -> DictConfig:
    """Read a YAML file of a person's own that holds a mapping.

    Args:
        path: The file.
        what: What it is, for the error, such as `an ablation`.

    Raises:
        ValueError: the file is not a YAML mapping, or holds a key twice in one mapping.
    """
    try:
        require_small(path)
        config = OmegaConf.load(path)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{what} must be readable YAML, got {path}: {reason}") from error
    if not isinstance(config, DictConfig):
        raise ValueError(f"{what} must be a YAML mapping, got {type(config).__name__} in {path}")
    return config


def load_plain(path: Path, what: str) -> Tree:
    """A file that holds a mapping, as plain containers with its interpolations as they stand there.

    Raises:
        ValueError: as `load_config`.
    """
    return OmegaConf.to_container(load_config(path, what), resolve=False)


def several(value: object) -> list[str]:
    """One value, a list of them, or none."""
    given = [] if value is None else value if isinstance(value, ListConfig) else [value]
    return [str(one) for one in given]
