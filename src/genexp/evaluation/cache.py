"""Tensors on disk that were costly to compute, such as statistics of real images; never used stale or damaged."""

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from genexp.files.partial import remove_abandoned
from genexp.files.writing import replace_file

log = logging.getLogger(__name__)


class TensorCache:
    """A folder of tensors under keys that name all they depend on.

    A file carries its full key and a SHA-256 of its tensors. It appears under its name only when complete; one that
    cannot be read, or that does not match, counts as absent and is said to be.

    Args:
        folder: Where the files go; made when first needed.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def load(self, key: dict[str, str | int]) -> dict[str, Tensor] | None:
        """The tensors stored under `key`, or None."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            log.warning("stored tensors %s cannot be read (%s): computing them anew", path, error)
            return None
        if metadata != _metadata(key, tensors):
            log.warning("stored tensors %s do not match their checksum: computing them anew", path)
            return None
        return tensors

    def store(self, key: dict[str, str | int], tensors: dict[str, Tensor]) -> None:
        """Keep tensors under `key` in one atomic step; where they cannot be kept, that is said and nothing ends."""
        path = self._path(key)
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, lambda partial: save_file(tensors, partial, metadata=_metadata(key, tensors)), False)
            remove_abandoned(path)
        except (OSError, SafetensorError) as error:
            log.warning("tensors cannot be kept in %s (%s): the next command computes them anew", path, error)

    def _path(self, key: dict[str, str | int]) -> Path:
        return self.folder / f"{hashlib.sha256(_text(key).encode()).hexdigest()[:32]}.safetensors"


def _metadata(key: dict[str, str | int], tensors: dict[str, Tensor]) -> dict[str, str]:
    return {"key": _text(key), "sha256": _digest(sorted(tensors.items()))}


def _digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _text(key: dict[str, str | int]) -> str:
    return json.dumps(key, sort_keys=True)
