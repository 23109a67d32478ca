"""A discriminator that judges an image patch by patch.

Reference: Isola, Zhu, Zhou and Efros, "Image-to-Image Translation with Conditional Adversarial Networks" (2017),
section 3.2.2 and the appendix.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.conditioning.pictures import OfPictures
from genexp.networks.batch_sight import Diversity
from genexp.networks.beside import SeesPictures, channels_beside, with_pictures
from genexp.networks.classes import ToldBy, vectors_of
from genexp.networks.discriminator import Discriminator, Judgement
from genexp.networks.feature_norms import FEATURE_NORMS
from genexp.networks.layer_weights import WEIGHT_NORMS, LayerWeights, require_one_of

NORMS = ("none", "spectral", "weight", "layer", "instance", "batch")
HALVINGS = {1: 0, 16: 1, 34: 2, 70: 3, 142: 4, 286: 5}
"""Sides of the patch in pixels that a score may depend on, and how often the image is halved for that."""


class PatchDiscriminator(SeesPictures, Discriminator):
    """A score for every patch of an image, by convolutions alone; the mean over patches is the image's.

    n convolutions that halve the image, one that does not, and one that gives the scores, all 4 x 4: a score depends on
    4 + 3 = 7 pixels a side before any halving, and r pixels after a halving are 2 r + 2 before. Patches of one pixel
    are judged by 1 x 1 convolutions. A norm over features (`layer`, `instance`, `batch`) tells every patch of the whole
    image, in the paper too. Pictures beside the image are seen as further channels.

    The features of an image, for feature matching and for classifiers, are the last maps, averaged over places.
    Conditions are projected onto these. `num_classes`, `diversity` and `told` are those of every `Discriminator`.

    Args:
        image_size: Side of the square images in pixels.
        channels: Channels of the images.
        beside: The pictures that images are judged beside, by name; of the size of the images.
        receptive_field: Side of a patch in pixels: 1, 16, 34, 70, 142 or 286, also beyond the image's.
        width: Channels of the first layer; twice as many in each after it, up to 8 times as many.
        norm: Of features, not in the first layer: `batch`, `layer` or `instance`; of weights: `spectral` or `weight`;
            or `none`.

    Raises:
        ValueError: an argument is out of range, a picture has another size, or the image is too small to be halved so
            often.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        beside: Mapping[str, OfPictures] | None = None,
        receptive_field: int = 70,
        width: int = 64,
        norm: str = "none",
        num_classes: int | None = None,
        diversity: Diversity | None = None,
        told: ToldBy | None = None,
    ) -> None:
        super().__init__(num_classes, diversity=diversity, told=told)
        require_one_of("norm", norm, NORMS)
        if receptive_field not in HALVINGS:
            raise ValueError(f"receptive_field must be one of {', '.join(map(str, HALVINGS))}, got {receptive_field}")
        self.beside = tuple(beside or {})
        ready = LayerWeights("normal", norm if norm in WEIGHT_NORMS else "none")
        count, pixel = HALVINGS[receptive_field], receptive_field == 1
        side = _side(image_size, receptive_field)
        widths = [width * min(2**i, 8) for i in range(count + (2 if pixel else 1))]
        layers: list[nn.Module] = []
        inputs = [channels + channels_beside(beside or {}, image_size), *widths[:-1]]
        for i, (before, after) in enumerate(zip(inputs, widths, strict=True)):
            normed = norm in FEATURE_NORMS and i > 0
            form = (1,) if pixel else (4, 2 if i < count else 1, 1)
            layers.append(ready(nn.Conv2d(before, after, *form, bias=not normed)))
            layers += [FEATURE_NORMS[norm](after)] if normed else []
            layers.append(nn.LeakyReLU(0.2))
        self.body = nn.Sequential(*layers)
        self.sight = None if diversity is None else diversity.layer((widths[-1], side, side))
        self.feature_count = widths[-1] + (0 if self.sight is None else self.sight.added)
        self.output = ready(nn.Conv2d(self.feature_count, 1, *((1,) if pixel else (4, 1, 1))))
        self.embedding = self._tell(self.feature_count, ready)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the conditions it reads."""
        return (*(("label",) if self.num_classes else ()), *self.told, *self.beside)

    def judged(self, image: Tensor, condition: Condition = UNCONDITIONAL) -> Judgement:
        """Scores (B, P) of the patches of images (B, C, H, W), row by row, with the features (B, F) of the images."""
        self.require_told(condition)
        maps = self.body(with_pictures(image, self.pictures(condition)))
        if self.sight is not None:
            maps = self.sight(maps)
        score, features = self.output(maps).flatten(1), maps.mean((2, 3))
        for vector in vectors_of(condition, self.embedding, self.told):
            score = score + (vector * features).sum(1, keepdim=True)
        return Judgement(score, features)


def _side(image_size: int, receptive_field: int) -> int:
    """Side of the last maps.

    Raises:
        ValueError: no score would be left.
    """
    if receptive_field == 1:
        return image_size
    side = (image_size >> HALVINGS[receptive_field]) - 1
    if side < 2:
        least = 3 << HALVINGS[receptive_field]
        raise ValueError(
            f"receptive_field must suit the image: {receptive_field} needs {least} pixels a side, got {image_size}"
        )
    return side
