"""What Hydra does alike in every composition, done once in a process. Imports no torch.

A command composes several times: Hydra itself to see whether this is a sweep, a check of what was typed, every job.
Nearly all of these choose the same files and differ in values. Here the merged content of files is kept by the files
that were chosen, as they stood; interpolations are parsed once; and the map of choices by which a defaults list is
interpolated is made only for a list that has interpolations. What is composed is the same, node by node.
"""

import pickle
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, wraps

import omegaconf.base
from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_loader import ConfigLoader
from hydra.core.default_element import InputDefault, ResultDefault
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig

from genexp.config.shipped_files import ShippedFile

MOST_KEPT = 64
"""Merged contents that are kept, of some 30 KB each."""

_merged: dict[tuple, bytes] = {}
_HYDRAS = ("pkg://hydra.", "structured://")
"""Where Hydra's own files and the settings of its plugins come from; they do not change."""


@cache
def compose_once() -> None:
    """From now on let Hydra do these things once."""
    defaults_list._create_interpolation_map = _where_needed(defaults_list._create_interpolation_map)
    omegaconf.base.parse = lru_cache(maxsize=4096)(omegaconf.base.parse)
    for source in hydras_sources():
        source.load_config = _read_once(source.load_config)
    ConfigLoaderImpl._compose_config_from_defaults_list = _kept(ConfigLoaderImpl._compose_config_from_defaults_list)


def hydras_sources() -> list[type[ConfigSource]]:
    """Where Hydra's own files and the settings of its plugins come from, as Hydra itself has imported these classes."""
    Plugins.instance()
    return [SourcesRegistry.instance().resolve(scheme) for scheme in ("pkg", "structured")]


def _where_needed(make: Callable) -> Callable:
    @wraps(make)
    def made(overrides: defaults_list.Overrides, defaults: list[InputDefault], self_added: bool) -> DictConfig | None:
        needed = any(not each.is_self() and each.is_interpolation() for each in defaults)
        return make(overrides, defaults, self_added) if needed else None

    return made


def _read_once(read: Callable) -> Callable:
    """What comes with Hydra and its plugins does not change."""
    kept: dict[tuple[str, str, str], bytes] = {}

    @wraps(read)
    def load_config(self: ConfigSource, config_path: str) -> ConfigResult:
        key = self.provider, self.path, config_path
        if key not in kept:
            kept[key] = pickle.dumps(read(self, config_path))
        return pickle.loads(kept[key])

    return load_config


def _kept(merge: Callable) -> Callable:
    @wraps(merge)
    def merged(self: ConfigLoader, defaults: Sequence[ResultDefault], repo: IConfigRepository) -> DictConfig:
        key = _key(defaults, repo)
        if key is None:
            return merge(self, defaults, repo)
        if key in _merged:
            return pickle.loads(_merged[key])
        config = merge(self, defaults, repo)
        while len(_merged) >= MOST_KEPT:
            del _merged[next(iter(_merged))]
        _merged[key] = pickle.dumps(config)
        return config

    return merged


def _key(defaults: Sequence[ResultDefault], repo: IConfigRepository) -> tuple | None:
    """The files with the places that their content takes; None where one is not ours or Hydra's."""
    found = []
    for each in defaults:
        loaded = repo.load_config(each.config_path)
        if isinstance(loaded, ShippedFile):
            found.append((each.config_path, each.package, each.primary, loaded.stamp))
        elif loaded is not None and str(loaded.path).startswith(_HYDRAS):
            found.append((each.config_path, each.package, each.primary, loaded.path))
        else:
            return None
    return tuple(found)
