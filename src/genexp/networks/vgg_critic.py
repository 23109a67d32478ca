"""A discriminator in the manner of VGG, which judges a photograph as a whole: that of SRGAN and ESRGAN."""

from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.batch_sight import Diversity
from genexp.networks.classes import ToldBy
from genexp.networks.discriminator import Discriminator
from genexp.networks.feature_norms import FEATURE_NORMS
from genexp.networks.layer_weights import WEIGHT_NORMS, LayerWeights, require_one_of

NORMS = ("none", "spectral", "weight", "layer", "instance", "batch")


class VggDiscriminator(Discriminator):
    """Pairs of 3 x 3 convolutions, the second of which halves the image, then a hidden layer over all places.

    Norms follow every convolution but the first; activations are leaky rectifiers of slope 0.2. `num_classes`,
    `diversity` and `told` are those of every `Discriminator`.

    Reference: Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network"
    (2017), figure 4: four halvings of 96 pixels, widths 64 to 512, batch norm, 1024 hidden units.

    Args:
        image_size: Side of the square images in pixels.
        channels: Channels of the images.
        width: Channels at full size; twice as many after every halving, up to 8 times as many.
        halvings: How often the image is halved.
        hidden: Units of the hidden layer.
        norm: Of features: `batch`, `layer` or `instance`; of weights: `spectral` or `weight`; or `none`.

    Raises:
        ValueError: an argument is out of range, or the image cannot be halved so often.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        width: int = 64,
        halvings: int = 4,
        hidden: int = 1024,
        norm: str = "batch",
        num_classes: int | None = None,
        diversity: Diversity | None = None,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__(num_classes, diversity=diversity, told=told)
        require_one_of("norm", norm, NORMS)
        if halvings < 1 or image_size % 2**halvings:
            raise ValueError(f"halvings must be at least 1 and such that {image_size} can be halved, got {halvings}")
        ready = LayerWeights("normal", norm if norm in WEIGHT_NORMS else "none")
        widths = [width * min(2**i, 8) for i in range(halvings)]
        layers: list[nn.Module] = []
        before = channels
        for i, count in enumerate(each for each in widths for _ in range(2)):
            normed = norm in FEATURE_NORMS and i > 0
            layers.append(ready(nn.Conv2d(before, count, 3, 1 + i % 2, 1, bias=not normed)))
            layers += [FEATURE_NORMS[norm](count)] if normed else []
            layers.append(nn.LeakyReLU(0.2))
            before = count
        side = image_size >> halvings
        self.body = nn.Sequential(*layers, nn.Flatten(), ready(nn.Linear(before * side**2, hidden)), nn.LeakyReLU(0.2))
        self._judge_by(hidden, ready)

    def features(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Images (B, C, H, W) to features (B, hidden)."""
        return self.body(image)
