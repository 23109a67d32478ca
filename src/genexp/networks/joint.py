"""A discriminator of pairs: an image and its latent, drawn from the data and an encoder, or from a generator."""

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.networks.classes import ReadsFurther
from genexp.networks.discriminator import Discriminator, Judgement
from genexp.networks.mlp import hidden_layers
from genexp.networks.patch import PatchDiscriminator

TERMS = ("image", "latent", "joint")


class JointDiscriminator(ReadsFurther, nn.Module):
    """Pairs (x, z) to scores, one for each of `terms`, by the features F of an image and H of a latent.

    `image` is the image discriminator's own score of x, w . F(x) + b; `latent` is w . H(z) + b; `joint` is
    w . J(F(x), H(z)) + b. H and J are fully connected. BigBiGAN has all three terms; with `joint` alone it is BiGAN and
    ALI. A pair is one row of numbers: those of the image, then those of the latent. What differentiates a score by its
    sample, as penalties on gradients do, therefore differentiates it by both.

    References: Donahue, Kraehenbuehl and Darrell, "Adversarial Feature Learning" (2017); Dumoulin et al.,
    "Adversarially Learned Inference" (2017); Donahue and Simonyan, "Large Scale Adversarial Representation Learning"
    (2019), section 2.

    Args:
        shape: Shape of an image, (C, H, W), or (D,) of a point.
        latent_size: Units of a latent.
        image: The discriminator whose features are F.
        width: Units of every layer of H and J.
        depth: Layers of H, and of J, at least 1.
        norm: Of the weights of H and J: `none` or `spectral`.
        terms: Which scores there are.

    Raises:
        ValueError: `image` has packs, or is told a condition beside its features, which the joint term would not see;
            `terms` or `norm` has an unknown word.
    """

    def __init__(
        self,
        shape: Sequence[int],
        latent_size: int,
        image: Discriminator,
        width: int = 256,
        depth: int = 2,
        norm: str = "none",
        terms: Sequence[str] = TERMS,
    ) -> None:
        super().__init__()
        _require_joinable(image)
        if norm not in ("none", "spectral"):
            raise ValueError(f"norm must be one of none, spectral, got {norm!r}")
        if isinstance(terms, str) or not terms or len(set(terms)) < len(terms) or set(terms) - set(TERMS):
            raise ValueError(f"terms must be a list of some of {', '.join(TERMS)}, each once, got {terms!r}")
        self.shape, self.latent_size, self.terms = tuple(shape), latent_size, tuple(terms)
        self.num_classes, self.image = image.num_classes, image
        self.latent = nn.Sequential(*hidden_layers(latent_size, width, depth, "leaky_relu"))
        self.joint = nn.Sequential(*hidden_layers(image.feature_count + width, width, depth, "leaky_relu"))
        self.outputs = nn.ModuleDict({name: nn.Linear(width, 1) for name in TERMS[1:] if name in self.terms})
        self.feature_count = width
        if norm == "spectral":
            for part in (self.latent, self.joint, self.outputs):
                for module in list(part.modules()):
                    if isinstance(module, nn.Linear):
                        spectral_norm(module)

    @property
    def told(self) -> nn.ModuleDict:
        """What makes vectors of further conditions, those of images."""
        return self.image.told

    def pair(self, image: Tensor, latent: Tensor) -> Tensor:
        """Images (B, *shape) and latents (B, latent_size) to pairs (B, D + latent_size)."""
        return torch.cat([image.flatten(1), latent], 1)

    def parts(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs (B, D + latent_size) to images (B, *shape) and latents (B, latent_size)."""
        image, latent = pair.split([prod(self.shape), self.latent_size], 1)
        return image.unflatten(1, self.shape), latent

    def on_image(self, pair: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        """Pairs whose images (B, *shape) are changed and whose latents are not."""
        image, latent = self.parts(pair)
        return self.pair(change(image), latent)

    def judged(self, pair: Tensor, condition: Condition = UNCONDITIONAL) -> Judgement:
        """Scores of pairs (B, terms), or (B,) of one term, with the joint features (B, width) J."""
        image, latent = self.parts(pair)
        of_image, of_latent = self.image.judged(image, condition), self.latent(latent)
        joint = self.joint(torch.cat([of_image.features, of_latent], 1))
        features = {"latent": of_latent, "joint": joint}
        scores = [
            of_image.score if name == "image" else self.outputs[name](features[name]).squeeze(1) for name in self.terms
        ]
        return Judgement(scores[0] if len(scores) == 1 else torch.stack(scores, 1), joint)

    def forward(self, pair: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
        """Pairs (B, D + latent_size) under a condition to scores (B, terms), or (B,) of one term."""
        return self.judged(pair, condition).score


def _require_joinable(image: Discriminator) -> None:
    if isinstance(image, PatchDiscriminator):
        raise ValueError("image must give one score in a joint discriminator, got one of patches")
    if image.pack > 1:
        raise ValueError(
            f"image.pack must be 1 in a joint discriminator, which judges pairs one by one, got {image.pack}"
        )
    if image.reads and not image.concatenated:
        raise ValueError(
            "image.conditioning must be concat in a joint discriminator of classes or other conditions, whose joint "
            "term sees features alone, got projection"
        )
