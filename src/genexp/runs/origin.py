"""Which file or command-line override set a configuration key. Reads Hydra's own list of composed files."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, OmegaConf


@dataclass
class Origins:
    """Answers `of("model.network.width")` with `conf/model/network/unet.yaml`, or the override that was typed."""

    files: list[tuple[str, str, Any]] = field(default_factory=list)  # (name shown, package, content) in merge order
    overrides: list[str] = field(default_factory=list)

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

        loader = GlobalHydra.instance().config_loader()
        chosen = loader.compute_defaults_list(config_name=name, overrides=overrides, run_mode=RunMode.RUN)
        _, repository = loader._parse_overrides_and_create_caching_repo(config_name=name, overrides=overrides)
        files = []
        for default in chosen.defaults:
            if default.config_path is None or default.config_path.startswith("hydra"):
                continue
            found = repository.load_config(default.config_path)
            folder = "conf" if found.provider == "main" else found.path.removeprefix("file://")
            files.append((f"{folder}/{default.config_path}.yaml", default.package or "", found.config))
        return cls(files, overrides)

    def of(self, key: str) -> str | None:
        """The last place that set `key`, or nothing when no place did (a missing key)."""
        path = key.replace("[", ".").replace("]", "")
        for override in reversed(self.overrides):
            if override.lstrip("+~").split("=")[0].split("@")[0] == path:
                return f"the command line: {override}"
        for name, package, content in reversed(self.files):
            inside = _below(path, "" if package == "_global_" else package)
            if inside is not None and _has(content, inside):
                return name
        return None


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
