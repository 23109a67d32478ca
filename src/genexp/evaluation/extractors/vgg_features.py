"""VGG features, from torchvision's weights."""

from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torchvision.models import get_model

from genexp.evaluation.extractors.frozen import frozen
from genexp.evaluation.extractors.resizing import Resize, require_resize, resized
from genexp.evaluation.extractors.whole_images import in_colour
from genexp.on_disk import OnDisk
from genexp.weights_files import checked_digest, read_state, require_tensors, torchvision_file

IMAGE_SIZE = 224
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
DEPTHS = (16, 19)


class VggFeatures:
    """The second fully connected layer of VGG, rectified: 4096 features, the usual ones of precision and recall.

    Images are brought to 224 x 224 pixels as a whole, without a crop; grey ones are repeated to three channels. The
    weights are torchvision's, so values do not compare with those over NVIDIA's VGG-16.

    References: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition" (2015);
    as an extractor by Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models"
    (2019).

    Args:
        depth: 16 or 19 layers.
        weights: Path of a torchvision state dict, or None: torchvision's ImageNet weights, downloaded with a notice
            (about 550 MB).
        digest: First digits, at least eight, that the SHA-256 of the file must have, or None.
        resize: Rule that images reach 224 x 224 pixels by.

    Raises:
        FileNotFoundError: `weights` names no file.
        ConnectionError: torchvision's file is needed and cannot be downloaded.
        ValueError: an unknown depth or rule, or a file that holds no such weights.
        WrongDigest: the file has another digest.
    """

    dimensions, image_size = 4096, IMAGE_SIZE

    def __init__(
        self,
        depth: Literal[16, 19] = 16,
        weights: Annotated[str, OnDisk("file")] | None = None,
        digest: str | None = None,
        resize: Resize = "torch_antialias",
    ) -> None:
        if depth not in DEPTHS:
            raise ValueError(f"depth must be one of {', '.join(map(str, DEPTHS))}, got {depth}")
        self.name, self.resize = f"vgg{depth}", require_resize(resize)
        path = torchvision_file(self.name, weights)
        self.digest = checked_digest(path, digest)
        with torch.device("meta"):
            network = get_model(self.name)
        network.load_state_dict(require_tensors(path, network.state_dict(), read_state(path)), assign=True)
        head = nn.Sequential(*list(network.classifier)[:5])
        self.network = frozen(nn.Sequential(network.features, network.avgpool, nn.Flatten(), head))

    def __call__(self, image: Tensor) -> Tensor:
        """Features (B, 4096) of images (B, 1 or 3, H, W).

        Raises:
            ValueError: the images have another number of channels.
        """
        image = resized(in_colour(image, 3), self.image_size, self.resize)
        return self.network.to(image.device)(standardised(image, IMAGENET_MEAN, IMAGENET_STD))


def standardised(image: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Images in [-1, 1] as a network wants them: on [0, 1], minus the mean, over the deviation of every channel."""
    shift, scale = (image.new_tensor(values).reshape(1, -1, 1, 1) for values in (mean, std))
    return ((image + 1) / 2 - shift) / scale
