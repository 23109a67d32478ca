"""DINOv2 features, from the published weights."""

from typing import Annotated, Literal

import torch
from torch import Tensor

from genexp.evaluation.extractors.frozen import frozen
from genexp.evaluation.extractors.resizing import Resize, require_resize, resized
from genexp.evaluation.extractors.vgg_features import IMAGENET_MEAN, IMAGENET_STD, standardised
from genexp.evaluation.extractors.whole_images import in_colour
from genexp.networks.vision_transformer import VisionTransformer
from genexp.on_disk import OnDisk
from genexp.weights_files import checked_digest, downloaded, existing, read_state, require_tensors

ADDRESSES = {
    size: f"https://dl.fbaipublicfiles.com/dinov2/dinov2_vit{size}14/dinov2_vit{size}14_pretrain.pth" for size in "sbl"
}
SIZES = {384: "s", 768: "b", 1024: "l"}


class DinoFeatures:
    """The class token of DINOv2's ViT-S, -B or -L with patches of 14 pixels: 384, 768 or 1024 features.

    Stein et al. advise them in place of Inception's, ViT-L for reported numbers. Published values differ by the rule
    of resizing: `pil_clean` is bicubic as in their code, without rounding. Grey images are repeated to three channels.

    References: Oquab et al., "DINOv2: Learning Robust Visual Features without Supervision" (2024); as an extractor by
    Stein et al., "Exposing Flaws of Generative Model Evaluation Metrics and Their Unfair Treatment of Diffusion Models"
    (2023).

    Args:
        size: `s`, `b` or `l`: which official file to download; unused with `weights`, which says its size itself.
        weights: Path of a state dict in the official format, or None: the official file, downloaded with a notice
            (88 MB, 346 MB, 1.2 GB).
        digest: First digits, at least eight, that the SHA-256 of the file must have, or None.
        resize: Rule that images reach `image_size` by.
        image_size: Side of the network's images in pixels, a multiple of the patch size.

    Raises:
        FileNotFoundError: `weights` names no file.
        ConnectionError: the official file is needed and cannot be downloaded.
        ValueError: an unknown size or rule, an image size that patches do not fill, or a file of another network.
        WrongDigest: the file has another digest.
    """

    def __init__(
        self,
        size: Literal["s", "b", "l"] = "b",
        weights: Annotated[str, OnDisk("file")] | None = None,
        digest: str | None = None,
        resize: Resize = "pil_clean",
        image_size: int = 224,
    ) -> None:
        if size not in ADDRESSES:
            raise ValueError(f"size must be one of {', '.join(ADDRESSES)}, got {size}")
        self.resize, self.image_size = require_resize(resize), image_size
        path = downloaded(ADDRESSES[size]) if weights is None else existing(weights, "a DINOv2 state dict")
        self.digest = checked_digest(path, digest)
        state = read_state(path)
        with torch.device("meta"):
            network = VisionTransformer.fitting(state)
        if image_size < 1 or image_size % network.patch_size:
            raise ValueError(f"image_size must be a multiple of {network.patch_size}, got {image_size}")
        network.load_state_dict(require_tensors(path, network.state_dict(), state), assign=True)
        self.network, self.dimensions = frozen(network), network.norm.weight.numel()
        kind = SIZES.get(self.dimensions, str(self.dimensions))
        at = "" if image_size == 224 else f"_{image_size}"
        self.name = f"dinov2_vit{kind}{network.patch_size}{'_reg' if network.registers else ''}{at}"

    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, dimensions) of images (B, 1 or 3, H, W).

        Raises:
            ValueError: the images have another number of channels.
        """
        image = resized(in_colour(image, 3), self.image_size, self.resize)
        return self.network.to(image.device)(standardised(image, IMAGENET_MEAN, IMAGENET_STD))
