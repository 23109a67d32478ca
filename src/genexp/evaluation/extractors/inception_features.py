"""The official FID features: torchmetrics' Inception with the weights of 2015, from a file or downloaded."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal
from urllib.error import URLError

import torch
from torch import Tensor
from torchmetrics.image.fid import NoTrainInceptionV3

from genexp.evaluation.protocol import OFFICIAL_INCEPTION
from genexp.files.json_records import reason_of
from genexp.on_disk import OnDisk
from genexp.sample_kinds import require_images
from genexp.tensors import to_uint8
from genexp.weights_files import checked_digest, read_state

FILE = f"weights-inception-2015-12-05-{OFFICIAL_INCEPTION}.pth"
ADDRESS = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"


class InceptionFeatures:
    """A layer of torch-fidelity's Inception-v3 as torchmetrics wraps it, resized as in TensorFlow 1 (no antialiasing).

    With the official weights and 2048 features the Fréchet distance is called FID; with any other file, its key carries
    that file's digest. Grey images are repeated to three channels.

    Reference: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium"
    (2017).

    Args:
        weights: A state dict in torch-fidelity's format, or None: the official file, downloaded once (96 MB) into
            PyTorch's hub folder.
        features: Length of the feature vector: 64, 192, 768 or 2048.

    Raises:
        FileNotFoundError: `weights` does not exist.
        ConnectionError: the official file is needed and cannot be downloaded.
        ValueError: the file is damaged or not a plain state dict of this network, or `features` is not one of the four.
        WrongDigest: the official file has another digest.
    """

    image_size = 299
    resize = "tf1_legacy"

    def __init__(
        self,
        weights: Annotated[str, OnDisk("file")] | None = None,
        features: Literal[64, 192, 768, 2048] = 2048,
    ) -> None:
        if features not in (64, 192, 768, 2048):
            raise ValueError(f"features must be 64, 192, 768 or 2048, got {features}")
        path = official_weights() if weights is None else Path(weights)
        if not path.is_file():
            raise FileNotFoundError(f"weights must be a file in torch-fidelity's format, got {path}")
        self.digest = checked_digest(path)
        self.name = "inception" if features == 2048 else f"inception{features}"
        self.dimensions = features
        self.network = _network(path, features)

    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, features) of images with one or three channels.

        Raises:
            ValueError: the images have another number of channels.
        """
        require_images(image, 1, 3, rule=f"extractor {self.name} takes images")
        return self.network.to(image.device)(to_uint8(image).expand(-1, 3, -1, -1))

    @property
    def logits(self) -> Callable[[Tensor], Tensor]:
        """The map from features (B, 2048) to the logits (B, 1008) without bias that the Inception score takes.

        Raises:
            AttributeError: this layer is not the one that the classes are read from.
        """
        if self.dimensions != 2048:
            raise AttributeError(f"logits need 2048 features, got {self.dimensions}")
        return self._logits

    def _logits(self, features: Tensor) -> Tensor:
        return features @ self.network.fc.weight.to(features).mT


def official_weights() -> Path:
    """Path of the official weights; downloads them when they are not there.

    Raises:
        ConnectionError: they cannot be downloaded.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(ADDRESS, str(path), hash_prefix=OFFICIAL_INCEPTION)
        except (URLError, OSError) as error:
            raise ConnectionError(
                f"FID needs the Inception weights and {ADDRESS} cannot be reached ({error}); put the file at {path}, "
                "name it with metrics.fid.extractor.weights=<file>, or use metrics=fd"
            ) from error
    return path


def _network(path: Path, features: int) -> NoTrainInceptionV3:
    # torch-fidelity unpickles without restriction, so the file must first pass PyTorch's restricted reader.
    kind = "a state dict in torch-fidelity's format"
    read_state(path, kind)
    try:
        network = NoTrainInceptionV3("inception-v3-compat", [str(features)], str(path), antialias=False)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(f"weights must be {kind}, got {path}: {reason_of(error)}") from error
    return network.requires_grad_(False)
