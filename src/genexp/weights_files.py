"""Weights of published networks: from a file, or downloaded with a notice; identified by their SHA-256."""

import hashlib
import importlib.util
import logging
import os
import re
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from genexp.files.json_records import open_regular, reason_of
from genexp.shipped import WrongDigest
from genexp.tensors import require_sound

log = logging.getLogger(__name__)


def torchvision_file(model: str, weights: str | None) -> Path:
    """The file of a model's weights: `weights`, or torchvision's own, downloaded with a notice if it is not there.

    Args:
        model: Name of the model in torchvision, such as `vgg16`.
        weights: Path of a state dict, or None for torchvision's ImageNet weights.

    Raises:
        FileNotFoundError: `weights` names no file.
        ConnectionError: torchvision's file is needed and cannot be downloaded.
    """
    if weights is not None:
        return existing(weights, f"a torchvision state dict of {model}")
    from torchvision.models import get_model_weights

    return downloaded(get_model_weights(model).IMAGENET1K_V1.url, check_hash=True)


def existing(weights: str, kind: str) -> Path:
    """The path of a file that must be there.

    Raises:
        FileNotFoundError: it is not.
    """
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(f"weights must be a file with {kind}, got {path}")
    return path


def packaged(package: str, inside: str, extra: str) -> Path:
    """The path of a weights file that an installed package holds.

    Args:
        package: Name of the module to import, which is not imported.
        inside: Path of the file in it.
        extra: Extra of this project that brings the package.

    Raises:
        FileNotFoundError: the package is not installed, or holds no such file.
    """
    spec = importlib.util.find_spec(package)
    places = (spec.submodule_search_locations or []) if spec else []
    path = next((Path(place) / inside for place in places if (Path(place) / inside).is_file()), None)
    if path is None:
        name = Path(inside).name
        raise FileNotFoundError(
            f"weights need the extra '{extra}', which holds {name}: uv sync --extra {extra}, or weights=<file>"
        )
    return path


def downloaded(address: str, check_hash: bool = False) -> Path:
    """A file in PyTorch's hub folder; downloaded with a notice if it is not there.

    Args:
        address: Where it comes from.
        check_hash: Whether the first digits of its SHA-256 stand at the end of its name.

    Raises:
        ConnectionError: it cannot be downloaded.
    """
    name = address.rsplit("/", 1)[1]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        log.warning("downloading %s to %s", address, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = name.rsplit("-", 1)[1].split(".")[0] if check_hash else None
        try:
            torch.hub.download_url_to_file(address, str(path), hash_prefix=prefix)
        except OSError as error:
            raise ConnectionError(
                f"{address} cannot be reached ({error}); put {name} at {path}, or name a file with weights=<file>"
            ) from error
    return path


def checked_digest(path: Path, digest: str | None = None) -> str:
    """SHA-256 of a file of weights, held against all that is known of it.

    Args:
        path: The file; one that has a name under which such weights are published must have the
            digest in that name.
        digest: First digits that it must have, at least eight, or None for any.

    Raises:
        ValueError: `digest` is too short.
        WrongDigest: the file has another one.
    """
    if digest is not None and len(digest) < 8:
        raise ValueError(f"digest must give at least 8 digits of a SHA-256, got {digest!r}")
    with os.fdopen(open_regular(path), "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if digest is not None and not found.startswith(digest.lower()):
        raise WrongDigest(f"{path} must have a SHA-256 that begins with {digest}, got {found[:16]}...")
    published = _PUBLISHED.fullmatch(path.name)
    if published and not found.startswith(published[1]):
        raise WrongDigest(
            f"{path} must have the SHA-256 that its name gives, {published[1]}..., got {found[:16]}...; the file is "
            "damaged or another one: remove it"
        )
    return found


_PUBLISHED = re.compile(
    r"(?:alexnet-owt|vgg16|vgg19|squeezenet1_1|weights-inception-2015-12-05|efficientnet-lite0)-([0-9a-f]{8})\.pth"
)


_NOT_TOLD = UnpicklingError, EOFError, LookupError
"""What PyTorch raises of a damaged file without saying why, or with the advice to load it without weights_only."""


def read_state(path: Path, kind: str = "a state dict", within: Sequence[str] = ()) -> dict[str, Tensor]:
    """A state dict (`.pth`, `.pt`, `.safetensors`) that passes `require_sound_weights`, read without running its code.

    Args:
        path: The file.
        kind: What it should hold, for the error.
        within: Keys under which the state dict may lie in a larger one, the first that is there.

    Raises:
        ValueError: the file is damaged, or holds something else.
    """
    require_sound_weights(path, kind)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")  # it is read or refused, and told
            state = torch.load(path, map_location="cpu", weights_only=True)
    except _NOT_TOLD as error:
        reason = "it is damaged, or holds more than tensors and plain containers"
        raise ValueError(f"weights must be {kind}, could not read {path}: {reason}") from error
    except (SafetensorError, RuntimeError, ValueError) as error:
        reason = reason_of(error).split(". ")[0]  # what follows is of the library's own making
        raise ValueError(f"weights must be {kind}, could not read {path}: {reason}") from error
    if isinstance(state, dict):
        state = next((state[key] for key in within if key in state), state)
    if not isinstance(state, dict):
        raise ValueError(f"weights must be {kind}, got a {type(state).__name__} in {path}")
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"weights must be {kind}, got more than tensors in {path}")
    return state


def require_sound_weights(path: Path, kind: str = "a state dict") -> None:
    """Hold a file of weights against what it says of itself, which a library that loads it may not do.

    What `torch.save` writes has a checksum for every tensor, since PyTorch 1.6. The formats before it and safetensors
    have none: there, a digest that is given (`digest=`) or published says whether a bit has changed.

    Args:
        path: The file.
        kind: What it should hold, for the error.

    Raises:
        ValueError: it is damaged, or no regular file.
    """
    try:
        os.close(open_regular(path))
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                file.keys()
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"weights must be {kind}, could not read {path}: {reason_of(error)}") from error
    if zipfile.is_zipfile(path):
        require_sound(path, "weights")


def require_tensors(path: Path, wanted: dict[str, Tensor], found: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `wanted` out of a state dict, in float32.

    Raises:
        ValueError: one is missing or has another shape.
    """
    for name, tensor in wanted.items():
        if name not in found or found[name].shape != tensor.shape:
            held = tuple(found[name].shape) if name in found else "missing"
            raise ValueError(f"weights must hold {name} of shape {tuple(tensor.shape)}, which is {held} in {path}")
    return {name: found[name].float() for name in wanted}
