"""Which file or command-line override set a configuration key. Reads Hydra's own list of composed files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genexp.config.keys import as_typed
from genexp.config.text_keys import is_text


@dataclass
class Origins:
    """Answers `of("model.network.width")` with `conf/model/network/unet.yaml`, or the override that was typed."""

    files: list[tuple[str, str, Any]] = field(default_factory=list)  # (name shown, package, content) in merge order
    overrides: list[str] = field(default_factory=list)
    folder: Path = Path()  # that the names of our own files begin in

    @classmethod
    def of_running_hydra(cls) -> "Origins":
        """The files and overrides of the Hydra application that is running; empty when none is."""
        from hydra.core.global_hydra import GlobalHydra
        from hydra.core.hydra_config import HydraConfig

        if not (GlobalHydra.instance().is_initialized() and HydraConfig.initialized()):
            return cls()
        job, overrides = HydraConfig.get().job, HydraConfig.get().overrides
        if job.config_name is None:
            return cls(overrides=list(overrides.task))
        return cls.of_composition(job.config_name, list(overrides.task))

    @classmethod
    def of_composition(cls, name: str, overrides: list[str]) -> "Origins":
        """The files that compose the primary config `name` under `overrides`; Hydra must be initialised."""
        from hydra.core.global_hydra import GlobalHydra
        from hydra.types import RunMode

        loader, own = GlobalHydra.instance().config_loader(), Path()
        chosen = loader.compute_defaults_list(config_name=name, overrides=overrides, run_mode=RunMode.RUN)
        _, repository = loader._parse_overrides_and_create_caching_repo(config_name=name, overrides=overrides)
        files = []
        for default in chosen.defaults:
            if default.config_path is None or default.config_path.startswith("hydra"):
                continue
            found = repository.load_config(default.config_path)
            folder = found.path.removeprefix("file://")
            if found.provider == "main":
                own, folder = Path(folder).parent, Path(folder).name
            files.append((f"{folder}/{default.config_path}.yaml", default.package or "", found.config))
        return cls(files, overrides, own)

    def of(self, key: str) -> str | None:
        """The last place that set `key`, or nothing when no place did (a missing key)."""
        path = key.replace("[", ".").replace("]", "")
        for override in reversed(self.overrides):
            if override.lstrip("+~").split("=")[0].split("@")[0] == path:
                return f"the command line: {as_typed(override)}"
        found = self._file(path)
        return found[0] if found else None

    def written(self, key: str) -> str | None:
        """The scalar of a key as it stands in the file that set it, before YAML makes a number or a truth of it.

        Args:
            key: Dotted; places in lists are words of it.
        """
        found = self._file(key)
        return None if found is None else _scalar(self.folder / found[0], found[1].split("."))

    def _file(self, path: str) -> tuple[str, str] | None:
        """The last file that sets a dotted key, and the key inside that file."""
        for name, package, content in reversed(self.files):
            inside = _below(path, "" if package == "_global_" else package)
            if inside is not None and _has(content, inside):
                return name, inside
        return None


def take_as_written(config: DictConfig, origins: Callable[[], Origins]) -> None:
    """Give keys that mean text the text that was written, where YAML or Hydra has read a number or a truth.

    `name: 007` in a file is octal for YAML and the text 007 for who wrote it.

    Args:
        config: A composed configuration, which is changed.
        origins: Finds its files; asked where there is such a value.
    """
    known: Origins | None = None
    for path, value in _values(OmegaConf.to_container(config, resolve=False)):
        node, last = config if len(path) == 1 else OmegaConf.select(config, ".".join(map(str, path[:-1]))), path[-1]
        if isinstance(value, str):
            try:
                value = node[last]  # what an interpolation stands for
            except OmegaConfBaseException:
                continue
            text = None
        elif isinstance(value, bool | int | float):
            known = known or origins()
            text = known.written(".".join(map(str, path)))
        if isinstance(value, bool | int | float):
            node[last] = text if text is not None else str(value).lower() if isinstance(value, bool) else str(value)


def _values(node: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The values of keys that mean text which are no plain text, each with its path."""
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            if path or key != "hydra":
                yield from _values(value, (*path, key))
    elif (isinstance(node, bool | int | float) or "${" in str(node)) and is_text(".".join(map(str, path))):
        yield path, node


def _scalar(path: Path, words: list[str]) -> str | None:
    """The scalar that a YAML file holds at a key, as its letters stand there."""
    node = yaml.compose(path.read_text(), Loader=yaml.SafeLoader)
    for word in words:
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == word), None)
        elif isinstance(node, yaml.SequenceNode) and word.isdigit() and int(word) < len(node.value):
            node = node.value[int(word)]
        else:
            return None
    return node.value if isinstance(node, yaml.ScalarNode) else None


def _below(path: str, package: str) -> str | None:
    if not package:
        return path
    return path[len(package) + 1 :] if path.startswith(f"{package}.") else None


def _has(content: Any, path: str) -> bool:
    node = content
    for part in path.split("."):
        if isinstance(node, DictConfig):
            if part not in node:
                return False
            if OmegaConf.is_missing(node, part) or OmegaConf.is_interpolation(node, part):
                return True
            node = node[part]
        elif OmegaConf.is_list(node) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            return False
    return True
