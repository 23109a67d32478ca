"""Networks of diffusers and of transformers, frozen, from folders that these have saved (the extra `hub`)."""

import hashlib
import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genexp.extras import require_extra
from genexp.files.json_records import read_json, reason_of
from genexp.files.trees import Tree
from genexp.weights_files import checked_digest, require_sound_weights

WEIGHTS = {"diffusers": "diffusion_pytorch_model.safetensors", "transformers": "model.safetensors"}
"""The one file of weights that is read of a folder, by the library that wrote it."""

_DIGITS = 12


def config_of(folder: str, kinds: Sequence[str], library: str = "diffusers") -> tuple[str, Tree]:
    """The name of a folder's class and what its `config.json` says, which a stranger may have written.

    Args:
        folder: The folder of one network.
        kinds: Names of the classes that it may be of.
        library: Whose class it is.

    Raises:
        FileNotFoundError: there is no such folder, or it lacks the file.
        ValueError: the library is not installed, or the file cannot be read or is of something else.
    """
    require_extra(library, "folder")
    path = Path(folder).expanduser() / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"folder must hold config.json, as {library} saves it, got {folder} without it")
    found = read_json(path, Tree)
    named = found.get("_class_name") if library == "diffusers" else (found.get("architectures") or [None])[0]
    if named not in kinds:
        raise ValueError(f"folder must be of {' or '.join(kinds)}, got {named} in {path}")
    strange = ["quantization_config"] if "quantization_config" in found else []
    if library == "diffusers":
        known = inspect.signature(class_of(named, library).__init__).parameters
        strange = [key for key in found if key not in known and not key.startswith("_")]
    if strange:
        raise ValueError(f"folder must have settings that {named} of {library} knows, got {strange[0]} in {path}")
    return named, found


def class_of(kind: str, library: str) -> Any:
    """A class of an installed library."""
    return getattr(importlib.import_module(library), kind)


def hub_network(
    folder: str, kinds: Sequence[str], library: str = "diffusers", digest: str | None = None
) -> tuple[nn.Module, str]:
    """A network in evaluation mode, in float32 and without gradients, and the digest of its folder.

    Safetensors alone are read, no pickles; nothing is downloaded.

    Args:
        folder: The folder of one network.
        kinds: Names of the classes that it may be of.
        library: Whose class it is.
        digest: First digits of what `folder_digest` must be, or None.

    Raises:
        FileNotFoundError: there is no such folder, or it lacks a file.
        ValueError: it is of something else, a file cannot be read, weights are missing or left over, or the digest is
            another.
    """
    kind, _ = config_of(folder, kinds, library)
    found = folder_digest(folder, library)
    if digest is not None and not found.startswith(digest):
        raise ValueError(f"folder must be the one with the digest {digest}, got {folder} with {found}: it was replaced")
    path, options = Path(folder).expanduser(), {"low_cpu_mem_usage": False} if library == "diffusers" else {}
    dtype = "torch_dtype" if library == "diffusers" else "dtype"
    importlib.import_module(f"{library}.utils").logging.disable_progress_bar()
    given = {dtype: torch.float32, "local_files_only": True, "use_safetensors": True, "output_loading_info": True}
    try:
        network, told = class_of(kind, library).from_pretrained(path, **given, **options)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, AttributeError, ZeroDivisionError) as error:
        raise ValueError(f"folder must hold a {kind} that {library} loads, got {folder}: {reason_of(error)}") from error
    for what in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        if told[what]:
            name, words = sorted(map(str, told[what]))[0], what.partition("_")[0]
            raise ValueError(f"folder must hold the weights of its {kind}, got {folder} with {name} {words}")
    return network.eval().requires_grad_(False), found


def folder_digest(folder: str, library: str = "diffusers") -> str:
    """The first digits of the SHA-256 of a folder's configuration and weights.

    Raises:
        FileNotFoundError: it lacks one.
        ValueError: the weights cannot be read.
    """
    path = Path(folder).expanduser()
    weights = path / WEIGHTS[library]
    if not weights.is_file():
        pickled = ", and .bin files are not read: they are pickles" if any(path.glob("*.bin")) else ""
        raise FileNotFoundError(f"folder must hold {weights.name}, got {folder} without it{pickled}")
    require_sound_weights(weights, f"those of a network as {library} saves them")
    both = (path / "config.json").read_bytes() + checked_digest(weights).encode()
    return hashlib.sha256(both).hexdigest()[:_DIGITS]


class Held:
    """A frozen network that no checkpoint, optimiser or average sees: it is no part of the module that holds it.

    Args:
        network: The network; it follows what it is called with to its device, and is never copied.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __deepcopy__(self, memo: object) -> "Held":
        return self

    @torch.no_grad()
    def __call__(self, *rows: Tensor, **given: object) -> Any:
        """What the network makes of tensors, in float32 under any autocast."""
        if next(self.network.parameters()).device != rows[0].device:
            self.network.to(rows[0].device)
        with torch.autocast(rows[0].device.type, enabled=False):
            return self.network(*rows, **given)


class FromFolder:
    """A part that is read of a folder; a run records the digest that it was trained with."""

    library = "diffusers"

    @classmethod
    def settled(cls, node: Tree) -> Tree:
        """The part's configuration with the digest of the folder that is there now.

        Args:
            node: Plain containers; one that has a digest stays as it is.

        Raises:
            FileNotFoundError: there is no such folder, or it lacks a file.
        """
        return node if node.get("digest") else {**node, "digest": folder_digest(node["folder"], cls.library)}
