"""Whole flows: multi-scale ones of images, and ones of vectors."""

from collections.abc import Callable, Sequence

from torch import Tensor

from genexp.flows.coupling_layers import CouplingLayer
from genexp.flows.linear import ActNorm, Reverse, Scaling
from genexp.flows.masks import checkerboard as squares
from genexp.flows.reshaping import FactorOut, Flatten, Squeeze
from genexp.flows.transform import Chain, Transform

Build = Callable[[Sequence[int]], Transform]
"""Builds a transform of samples of a shape."""

BuildCoupling = Callable[..., Transform]
"""Builds a coupling of samples of a shape and, where one is given, by a `mask`."""


class Vector(Chain):
    """`depth` times norm, permutation and block, over vectors or flattened images (B, *shape) to (B, D).

    For a posterior: `block` and `network` may read a `context` (B, N) told in the condition; see `Transform` for how
    log q follows. Without `actnorm` nothing is set from data.

    References: Dinh, Krueger and Bengio, "NICE" (2015), with additive couplings and `scaling`; Papamakarios, Pavlakou
    and Murray, "Masked Autoregressive Flow for Density Estimation" (2017), with autoregressive layers.

    Args:
        shape: Of a sample, (D,) of a vector.
        block: Builds what follows it, a coupling or an autoregressive layer.
        permutation: Builds what mixes entries before it.
        depth: Steps, at least 1.
        actnorm: Whether a step begins with activation normalisation.
        scaling: Whether every entry is scaled at the end.

    Raises:
        ValueError: `depth` is below 1.
    """

    def __init__(
        self,
        shape: Sequence[int],
        block: Build,
        permutation: Build = Reverse,
        depth: int = 4,
        actnorm: bool = False,
        scaling: bool = False,
    ) -> None:
        if depth < 1:
            raise ValueError(f"depth must be at least 1 step, got {depth}")
        flat = Flatten(shape)
        size = [flat.size]
        parts: list[Transform] = [flat]
        for _ in range(depth):
            parts += [ActNorm(size)] if actnorm else []
            parts += [permutation(size), block(size)]
        super().__init__([*parts, Scaling(size)] if scaling else parts)


class MultiScale(Chain):
    """Images (B, C, H, W) to vectors (B, D) over several scales.

    At each scale: couplings of checkerboards that keep black and white squares in turn, a squeeze, `depth` times
    permutation and a coupling of channels, and half of the channels are factored out, but at the last scale. Where
    there are checkerboards the last scale is one more of them and no squeeze, as in RealNVP; else it is as the others,
    as in Glow. What is factored out can be normal about a mean and a variance that the rest says (`split_prior`), which
    is one more coupling.

    References: Dinh, Sohl-Dickstein and Bengio, "Density Estimation using Real NVP" (2017), section 3.6; Kingma and
    Dhariwal, "Glow" (2018), section 3 and figure 2.

    Args:
        shape: Of an image (C, H, W).
        block: Builds the couplings, of a shape and a `mask`.
        permutation: Builds what mixes channels before a coupling of channels.
        scales: Of which the last factors nothing out, at least 1.
        depth: Couplings of channels at a scale.
        checkerboard: Couplings of checkerboards at a scale, 0 for none.
        actnorm: Whether activation normalisation comes before every coupling.
        split_prior: Whether what is factored out depends on the rest.

    Raises:
        ValueError: a number is out of range, a side is odd where it is squeezed, or `block` builds no coupling.
    """

    def __init__(
        self,
        shape: Sequence[int],
        block: BuildCoupling,
        permutation: Build = Reverse,
        scales: int = 2,
        depth: int = 4,
        checkerboard: int = 0,
        actnorm: bool = True,
        split_prior: bool = False,
    ) -> None:
        if len(shape) != 3:
            raise ValueError(f"transform must be vector for samples that are no images [C, H, W], got {list(shape)}")
        if scales < 1 or depth < 1 or checkerboard < 0:
            given = f"scales={scales}, depth={depth}, checkerboard={checkerboard}"
            raise ValueError(f"transform must have scales and depth of at least 1 and checkerboard of 0, got {given}")
        squeezes = scales - 1 if checkerboard else scales
        if any(side % 2**squeezes for side in shape[1:]):
            rule = f"sides of images that {2**squeezes} divides for {squeezes} squeezes (scales={scales})"
            raise ValueError(f"transform must have {rule}, got {shape[1]} x {shape[2]} of data.shape")
        if not isinstance(tried := block((2, 1, 1)), CouplingLayer):
            kind = type(tried).__name__
            raise ValueError(f"transform must have block=conv_coupling to be multi_scale, got {kind}")
        super().__init__([])
        self.block, self.permutation, self.depth, self.checkerboard = block, permutation, depth, checkerboard
        self.actnorm, self.split_prior = actnorm, split_prior
        self.parts.extend(self._scale(tuple(shape), scales))

    def _scale(self, shape: Sequence[int], scales: int) -> list[Transform]:
        """The parts of one scale and, within its last, those of the scales after it."""
        last = scales == 1
        parts: list[Transform] = []
        for i in range(self.checkerboard + int(last) if self.checkerboard else 0):
            parts += self._step(shape, mask=squares(shape, bool(i % 2)))
        if last and self.checkerboard:
            return [*parts, Flatten(shape)]
        squeeze = Squeeze(shape)
        parts.append(squeeze)
        for _ in range(self.depth):
            parts += self._step(squeeze.shape)
        if last:
            return [*parts, Flatten(squeeze.shape)]
        if self.split_prior:
            parts.append(self.block(squeeze.shape))
        inner = (squeeze.shape[0] // 2, *squeeze.shape[1:])
        return [*parts, FactorOut(squeeze.shape, Chain(self._scale(inner, scales - 1)))]

    def _step(self, shape: Sequence[int], mask: Tensor | None = None) -> list[Transform]:
        """A coupling with what comes before it: channels are mixed where these are what is kept."""
        norm: list[Transform] = [ActNorm(shape)] if self.actnorm else []
        if mask is not None:
            return [*norm, self.block(shape, mask=mask)]
        return [*norm, self.permutation(shape), self.block(shape)]
