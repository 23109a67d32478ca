"""What the readers of pipelines of diffusers share. Imports no torch."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from genexp.files.json_records import read_json
from genexp.files.trees import Tree
from genexp.inference.importing.schedulers import Scheduler, overrides_of_scheduler

if TYPE_CHECKING:
    from genexp.families.diffusion import Diffusion


class Pipeline(Protocol):
    """A folder of a pipeline that can be made a run."""

    path: Path
    shape: tuple[int, int, int]
    """Channels and sides of an image."""
    weights: Path
    """The file of the weights that the run begins with."""

    def overrides(self) -> list[str]:
        """What is typed after `genexp train` for the model.

        Raises:
            ValueError: something of it has no counterpart here; names diffusers' word.
        """
        ...

    def fill(self, model: "Diffusion") -> None:
        """Give the weights to a model of these overrides.

        Raises:
            ValueError: the network computes something that ours does not, or a weight is missing.
        """
        ...


class OpenedFolder:
    """A folder that diffusers has saved.

    Args:
        path: The folder.

    Raises:
        FileNotFoundError: there is no such folder, or it lacks a file.
        ValueError: a file cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser().resolve()
        if not self.path.is_dir():
            name = re.fullmatch(r"[\w.-]+/[\w.-]+", path)
            hint = f"; genexp import hub={path} fetches it from the hub" if name else ""
            raise FileNotFoundError(f"folder must be a folder that diffusers has saved, got {path}{hint}")
        self.index = self.read("model_index.json", Tree)
        self.kind = self.index.get("_class_name")

    def read(self, name: str, shape: object) -> Tree:
        """The content of a file of JSON below the folder.

        Raises:
            FileNotFoundError: it is not there.
            ValueError: it cannot be read, or holds something else.
        """
        if not (self.path / name).is_file():
            raise FileNotFoundError(f"folder must hold {name}, as diffusers saves it, got {self.path} without it")
        return read_json(self.path / name, shape)

    def scheduler(self) -> list[str]:
        """The overrides of its scheduler.

        Raises:
            ValueError: something of it has no counterpart here.
        """
        found = cast(Scheduler, self.read("scheduler/scheduler_config.json", Scheduler))
        named = self.index.get("scheduler")
        kind = dict(found).get("_class_name") or (named[-1] if isinstance(named, list) and named else None)
        return overrides_of_scheduler(found, kind)
