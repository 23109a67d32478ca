"""Weights that this project trained and ships: a safetensors file and a card that says where it comes from."""

import hashlib
import json
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from typing_extensions import TypedDict

from genexp.files.json_records import read_json
from genexp.files.trees import Tree

ASSETS = Path(__file__).resolve().parent / "assets"


class AssetCard(TypedDict):
    """What lies beside shipped weights: their digest, and what builds their network."""

    sha256: str
    architecture: str
    network: Tree
    image_size: int | None


class WrongDigest(ValueError):
    """A weights file is not the one that its card describes."""


def load_asset(name: str, folder: Path = ASSETS) -> tuple[dict[str, Tensor], Tree]:
    """Read shipped weights after checking them against their card.

    Args:
        name: Name of the asset: `<name>.safetensors` with the card `<name>.json`.
        folder: Where both files lie.

    Returns:
        The state dict in float32 and the card.

    Raises:
        FileNotFoundError: there is no such asset.
        DamagedFile: the card cannot be read, or is none.
        WrongDigest: the file's SHA-256 is not the card's.
    """
    card_path, weights_path = folder / f"{name}.json", folder / f"{name}.safetensors"
    if not card_path.is_file() or not weights_path.is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.safetensors"))) or "nothing"
        raise FileNotFoundError(f"asset must be one of the shipped weights ({known}), got {name!r}")
    card = read_json(card_path, AssetCard)
    data = weights_path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != card["sha256"]:
        raise WrongDigest(
            f"{weights_path} must have the SHA-256 of its card ({card['sha256'][:16]}...), got {digest[:16]}...; "
            "the file is damaged or was exchanged: restore it from the repository"
        )
    state = safetensors.torch.load(data)
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}, card


def save_asset(name: str, network: nn.Module, card: Tree, folder: Path = ASSETS) -> Tree:
    """Write a network's weights in half precision with their card; the same weights give the same bytes.

    Args:
        name: Name of the asset.
        network: The trained network.
        card: What to tell about it: architecture, recipe, command, data, accuracy. The digest is added.
        folder: Where both files go.

    Returns:
        The complete card.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    data = safetensors.torch.save({k: v.half() if v.dtype == torch.float32 else v for k, v in state.items()})
    complete = card | {"sha256": hashlib.sha256(data).hexdigest()}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.safetensors").write_bytes(data)
    (folder / f"{name}.json").write_text(json.dumps(complete, indent=2) + "\n")
    return complete
