"""Sampling in one pass, with weights between those of the model and those of another run."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from genexp.conditioning.base import Condition
from genexp.contracts import LatentDecoder
from genexp.contracts.generating import HasGenerator
from genexp.sampling.latent import Decode, Latent


class LatentByInterpolation(Latent):
    """Images by the generator whose weights are (1 - share) those of the model and share those of another run.

    It means something where one of them began with the other, or both with a third: a GAN with a network of the least
    error. From share 0 to 1 images go from the model's to the other's, without training.

    Reference: Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks" (2018), section 3.4,
    where 1 - share is alpha.

    Args:
        other: The other run's generator, see `genexp.inference.trained_generator`.
        share: Of the other's weights, in [0, 1].

    Raises:
        ValueError: `share` lies outside [0, 1].
    """

    def __init__(self, other: HasGenerator, share: float = 0.5) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"share must lie in [0, 1], got {share}")
        self.other, self.share = other, share

    def require(self, model: object) -> None:
        """Check that the model has a generator with the names and shapes of the other's.

        Raises:
            TypeError: it decodes no latents.
            ValueError: it has no generator, or one with other weights.
        """
        super().require(model)
        if not isinstance(model, HasGenerator):
            raise ValueError(f"sampler=interpolated needs a model with a generator, got {type(model).__name__}")
        require_alike(model.generator, self.other.generator)

    def decoder(self, model: LatentDecoder) -> Decode:
        """Images of latents and a condition by the weights between."""
        self.require(model)
        mixed = between(model.generator, self.other.generator, self.share)
        decoding, weights = _Decoding(model), {f"model.generator.{name}": tensor for name, tensor in mixed.items()}

        def decode(latent: Tensor, condition: Condition) -> Tensor:
            return functional_call(decoding, weights, (latent, condition))

        return decode


class _Decoding(nn.Module):
    """A latent decoder as the one call of a module, for which other weights may stand in."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, latent: Tensor, condition: Condition) -> Tensor:
        """Images (B, C, H, W)."""
        return self.model.decode(latent, condition)


def between(first: nn.Module, second: nn.Module, share: float) -> Mapping[str, Tensor]:
    """The state of a network, (1 - share) first + share second; whole numbers, such as counters, are the first's."""
    other = second.state_dict()
    return {
        name: torch.lerp(tensor, other[name].to(tensor), share) if tensor.is_floating_point() else tensor
        for name, tensor in first.state_dict().items()
    }


def require_alike(first: nn.Module, second: nn.Module) -> None:
    """Raise ValueError unless both networks have tensors of the same names and shapes."""
    ours, theirs = ({name: tuple(t.shape) for name, t in each.state_dict().items()} for each in (first, second))
    for name in (*ours, *theirs):
        if ours.get(name) != theirs.get(name):
            here, there = (shapes.get(name, "none") for shapes in (ours, theirs))
            raise ValueError(f"other must have the model's generator, got {name} {there} where that has {here}")
