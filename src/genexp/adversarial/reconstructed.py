"""A critic of what an autoencoder makes of images, whose say is weighed by gradients."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from genexp.adversarial.critic import Critic
from genexp.conditioning.base import Condition

STABILITY = 1e-6
LARGEST = 1e4
"""Largest ratio of gradients."""


class ReconstructionCritic(nn.Module):
    r"""The loss lambda L_G of reconstructions by a critic that tells them from images, beside a loss L_rec.

    lambda = weight |grad L_rec| / (|grad L_G| + 1e-6), both gradients of means over the batch by the weight of the
    decoder's last layer, and the ratio at most 10^4: so `weight` says how loud the critic is beside the reconstruction
    whatever the scale of either. A process takes the ratio of its own share of a batch. With `adaptive` false lambda is
    `weight`. For the first images there is no critic.

    Reference: Esser, Rombach and Ommer, "Taming Transformers for High-Resolution Image Synthesis" (2021), equations 5
    to 7; the limit and the late start are of its published code.

    Args:
        critic: Of images alone, not joint, with penalties of every step.
        weight: Of the critic's loss, not negative.
        start: Images of training before it begins, not negative.
        adaptive: Whether `weight` is multiplied by the ratio of gradients.

    Raises:
        ValueError: an argument is out of range, or the critic is of another kind.
    """

    def __init__(self, critic: Critic, weight: float = 0.5, start: int = 0, adaptive: bool = True) -> None:
        super().__init__()
        for name, value in (("weight", weight), ("start", start)):
            if value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        if critic.joint:
            raise ValueError("critic must be one of images, not joint, for reconstructions")
        if critic.penalties.intervals:
            interval = critic.penalties.intervals[0]
            raise ValueError(f"critic must have penalties of interval 1 for reconstructions, got {interval}")
        self.critic, self.weight, self.start, self.adaptive = critic, weight, start, adaptive

    @property
    def whole_batches(self) -> str | None:
        """What makes its loss one of a whole batch, or None."""
        if self.critic.objective.scope == "batch":
            return "critic.objective.pairing=relativistic_average"
        return "adaptive=true" if self.adaptive else None

    def draw(self, image: Tensor) -> dict[str, Tensor]:
        """All randomness of a step, a row for each of the images (B, ...)."""
        return self.critic.draw(image)

    def terms(
        self,
        image: Tensor,
        decoded: Tensor,
        reconstruction: Tensor,
        last: nn.Parameter,
        told: Condition,
        drawn: Mapping[str, Tensor],
    ) -> dict[str, Tensor]:
        """`generator`, the critic's loss (B,), `adversarial_weight`, lambda (B,), and `adversarial`, their product.

        Args:
            image: Images (B, C, H, W).
            decoded: What became of them, with its graph.
            reconstruction: L_rec (B,), with its graph.
            last: The weight of the decoder's last layer.
            told: What both are judged under.
            drawn: As `draw` gave it.

        Raises:
            ValueError: gradients are asked of a layer that is frozen.
        """
        generator = self.critic.generator_loss(image, decoded, told, drawn)
        weight = self._weight(reconstruction.mean(), generator.mean(), last)
        return {
            "generator": generator,
            "adversarial": weight * generator,
            "adversarial_weight": weight.expand_as(generator),
        }

    def critic_terms(
        self, image: Tensor, decoded: Tensor, told: Condition, drawn: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The terms of the critic's own step (B,), see `Critic.loss`."""
        return self.critic.loss(image, decoded, told, drawn)

    def observe(self, means: Mapping[str, Tensor], images: int) -> None:
        """Let the critic's parts follow its step."""
        self.critic.constrain()
        self.critic.observe(means, images)

    def _weight(self, reconstruction: Tensor, generator: Tensor, last: nn.Parameter) -> Tensor:
        if not self.adaptive:
            return reconstruction.new_tensor(self.weight)
        if not last.requires_grad:
            raise ValueError("adaptive must be false where the decoder's last layer is frozen, got true")
        wanted, judged = (
            torch.autograd.grad(loss, last, retain_graph=True)[0].float().norm() for loss in (reconstruction, generator)
        )
        return self.weight * (wanted / (judged + STABILITY)).clamp(max=LARGEST).detach()
