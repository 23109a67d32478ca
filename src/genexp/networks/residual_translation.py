"""A generator that makes an image of a picture by residual blocks at a quarter of its size: that of CycleGAN."""

from collections.abc import Mapping

from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.conditioning.pictures import OfPictures
from genexp.networks.beside import SeesPictures
from genexp.networks.johnson import JohnsonStylizer
from genexp.networks.layer_weights import LayerWeights


class ResidualTranslation(SeesPictures, nn.Module):
    """Johnson's network with filters of 7 pixels at both ends, of one picture; nothing in it is random.

    Its latent is one value that nothing reads. Doublings are to the nearest pixel with a convolution behind them, where
    the paper has transposed convolutions. Weights begin with a deviation of 0.02.

    Trap: a picture without any variation has no finite gradient here: every instance norm of flat features makes it 316
    times larger. Leave flat pictures out of training.

    Reference: Zhu, Park, Isola and Efros, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
    Networks" (2017), section 7.2: 6 blocks for 128 pixels, 9 for 256.

    Args:
        channels: Channels of the images.
        beside: The one picture that an image is made of, by name.
        width: Channels at full size; 64 in the paper.
        blocks: Residual blocks.

    Raises:
        ValueError: there is another number of pictures, or a number is out of range.
    """

    num_classes = None
    latent_shape = (1,)
    reads_latent = False

    def __init__(self, channels: int, beside: Mapping[str, OfPictures], width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        if len(beside) != 1:
            raise ValueError(f"beside must name the one picture that an image is made of, got {len(beside)}")
        self.beside = tuple(beside)
        inputs = next(iter(beside.values())).row[0]
        self.network = JohnsonStylizer(width, blocks, inputs=inputs, channels=channels, ends=7)
        for module in self.network.modules():
            if isinstance(module, nn.Conv2d):
                LayerWeights("normal")(module)

    def forward(self, latent: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Pictures (B, C, H, W) of a condition to images (B, C', H, W) in [-1, 1]; latents are not looked at."""
        self.require_told(condition)
        return self.network(self.pictures(condition)[0])
