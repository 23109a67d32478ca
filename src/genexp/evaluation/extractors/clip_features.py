"""CLIP features of images and of captions, through transformers (the extra `hub`)."""

import logging
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated

import torch
from torch import Tensor

from genexp.evaluation.extractors.frozen import frozen
from genexp.evaluation.extractors.resizing import Resize, require_resize, resized
from genexp.evaluation.extractors.vgg_features import standardised
from genexp.evaluation.extractors.whole_images import in_colour
from genexp.on_disk import OnDisk
from genexp.weights_files import checked_digest, require_sound_weights

log = logging.getLogger(__name__)

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
PATTERNS = ["config.json", "tokenizer*.json", "vocab.json", "merges.txt", "special_tokens_map.json"]


class ClipFeatures:
    """CLIP's image embedding before its normalisation, and the text embedding in the same space.

    Images are brought to the model's size as a whole, without a crop; grey ones are repeated to three channels.

    References: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021); as an
    extractor by Kynkäänniemi et al., "The Role of ImageNet Classes in Fréchet Inception Distance" (2023).

    Args:
        model: Name of a CLIP model on the Hugging Face hub, downloaded with a notice if it is not there.
        folder: Folder of a model as transformers saves it, tokenizer included, in place of the download.
        digest: First digits, at least eight, that the SHA-256 of the weights file must have, or None.
        resize: Rule that images reach the model's size by.

    Raises:
        ModuleNotFoundError: transformers is not installed.
        FileNotFoundError: `folder` holds no such model.
        ConnectionError: the model is needed and cannot be downloaded.
        WrongDigest: the weights have another digest.
    """

    def __init__(
        self,
        model: str = "openai/clip-vit-base-patch32",
        folder: Annotated[str, OnDisk("folder")] | None = None,
        digest: str | None = None,
        resize: Resize = "pil_clean",
    ) -> None:
        self.resize = require_resize(resize)
        transformers = _transformers()
        path = _downloaded(model) if folder is None else Path(folder)
        weights = next((path / name for name in WEIGHTS if (path / name).is_file()), None)
        if weights is None or not (path / "config.json").is_file():
            raise FileNotFoundError(f"folder must hold config.json and {' or '.join(WEIGHTS)}, got {path}")
        self.digest = checked_digest(weights, digest)
        require_sound_weights(weights, "CLIP's as transformers saves them")
        network = transformers.CLIPModel.from_pretrained(path, local_files_only=True).float()
        self.network = frozen(network)
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
        vision = network.config.vision_config
        self.image_size, self.dimensions = vision.image_size, network.config.projection_dim
        self.name = f"clip_{self.dimensions}_patch{vision.patch_size}_{self.image_size}"

    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, dimensions) of images (B, 1 or 3, H, W).

        Raises:
            ValueError: the images have another number of channels.
        """
        network = self.network.to(image.device)
        pixels = standardised(resized(in_colour(image, 3), self.image_size, self.resize), CLIP_MEAN, CLIP_STD)
        return network.visual_projection(network.vision_model(pixel_values=pixels).pooler_output)

    @torch.no_grad()
    def text(self, captions: Sequence[str]) -> Tensor:
        """Features (B, dimensions) of captions; those that are too long are cut."""
        tokens = self._tokenizer(
            list(captions),
            padding=True,
            truncation=True,
            max_length=self.network.config.text_config.max_position_embeddings,
            return_tensors="pt",
        ).to(self.network.device)
        output = self.network.text_model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        return self.network.text_projection(output.pooler_output)


def _transformers() -> ModuleType:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("CLIP features need transformers: pip install 'genexp[hub]'") from error
    return transformers


def _downloaded(model: str) -> Path:
    from huggingface_hub import list_repo_files, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        kept = Path(snapshot_download(model, allow_patterns=[*PATTERNS, *WEIGHTS], local_files_only=True))
        if any((kept / name).is_file() for name in WEIGHTS):
            return kept
    except LocalEntryNotFoundError:
        log.info("%s is not in the cache of the Hugging Face hub", model)
    log.warning("downloading %s from the Hugging Face hub", model)
    try:
        weights = [name for name in WEIGHTS if name in set(list_repo_files(model))][:1]
        return Path(snapshot_download(model, allow_patterns=[*PATTERNS, *weights]))
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"{model} cannot be downloaded from the Hugging Face hub ({error}); name a folder of the model with "
            "folder=<path>"
        ) from error
