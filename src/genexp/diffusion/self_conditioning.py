"""Self-conditioning: a network that reads its own last answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genexp.conditioning.estimate import Estimate


@dataclass(frozen=True)
class SelfConditioning:
    """The network is told the clean image that it took the sample for before, and zeros where there is none.

    In training a first pass of the network, told zeros, gives the estimate of the same noisy image; no gradient passes
    through it, and a sample that does not read it is told zeros. Whether it does is drawn by sample, where the paper's
    code draws once for a batch: no sample depends on the others. In sampling the first evaluation is told zeros and
    every further one the last answer, guided if there is guidance. A training step costs one pass forward more.

    Reference: Chen, Zhang and Hinton, "Analog Bits: Generating Discrete Data using Diffusion Models with
    Self-Conditioning" (2023).

    Args:
        share: Share of training samples that read an estimate, in (0, 1].
        clip: Clip estimates to [-1, 1]; not for points or codes, which may lie anywhere.

    Raises:
        ValueError: `share` lies outside (0, 1].
    """

    share: float = 0.5
    clip: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share must lie in (0, 1], got {self.share}")

    def kind(self, shape: Sequence[int], bounded: bool) -> Estimate:
        """What samples of a shape are told.

        Args:
            shape: Of one sample.
            bounded: Whether clean samples lie in [-1, 1].

        Raises:
            ValueError: they do not, and estimates would be clipped.
        """
        if self.clip and not bounded:
            raise ValueError("self_conditioning.clip must be false for points and codes, which may lie anywhere")
        return Estimate(shape, self.clip)

    def chosen(self, num: int, device: torch.device | str) -> Tensor:
        """Which of `num` training samples read an estimate: truth values (num,)."""
        return torch.rand(num, device=device) < self.share
