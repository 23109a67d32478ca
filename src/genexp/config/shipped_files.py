"""The shipped files of conf/ read once in a process, and by the fast YAML reader. Imports no torch.

A composition reads some thirty files. Hydra parses each in Python, again for every composition, which is over half of
what a composition takes.
"""

import pickle
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader


def keep_shipped_files(folder: Path) -> None:
    """From now on let Hydra read each file below `folder` once, and again only after it has changed."""
    Plugins.instance()  # has registered Hydra's own source of files
    ShippedFiles.folder = f"{folder.resolve()}/"
    SourcesRegistry.instance().types[FileConfigSource.scheme()] = ShippedFiles


@dataclass
class ShippedFile(ConfigResult):
    """What a shipped file holds, and as it stood when it was read: its place, time of change and size."""

    stamp: tuple[Path, int, int] | None = None


class ShippedFiles(FileConfigSource):
    """Hydra's source of YAML files that keeps what it has read of the shipped ones, and reads all others as it does."""

    folder = ""
    kept: dict[Path, tuple[tuple[int, int], bytes]] = {}  # noqa: RUF012

    def load_config(self, config_path: str) -> ConfigResult:
        """The content of a file, for the caller to change."""
        path = Path(self.path, self._normalize_file_name(config_path)).resolve()
        if not (str(path).startswith(self.folder) and path.is_file()):
            return super().load_config(config_path)
        found = path.stat()
        stamp = found.st_mtime_ns, found.st_size
        known = self.kept.get(path)
        if known is None or known[0] != stamp:
            known = self.kept[path] = stamp, pickle.dumps(self._read(path, config_path))
        result = pickle.loads(known[1])
        result.path, result.provider, result.stamp = f"{self.scheme()}://{self.path}", self.provider, (path, *stamp)
        return result

    def _read(self, path: Path, config_path: str) -> ConfigResult:
        text = path.read_text(encoding="utf-8")
        try:
            content = yaml.load(text, Loader=_loader())
        except yaml.YAMLError:
            return super().load_config(config_path)  # which says where
        header = self._get_header_dict(text[:512])
        return ShippedFile(config=OmegaConf.create(content or {}), path="", provider="", header=header)


@cache
def _loader() -> type:
    """OmegaConf's rules for numbers, dates and keys that stand twice, over the fast parser where there is one."""
    rules = get_yaml_loader()
    if not yaml.__with_libyaml__:
        return rules

    class Loader(yaml.cyaml.CParser, rules):
        def __init__(self, stream: str | bytes | IO) -> None:
            yaml.cyaml.CParser.__init__(self, stream)
            yaml.constructor.SafeConstructor.__init__(self)
            yaml.resolver.Resolver.__init__(self)

    return Loader
