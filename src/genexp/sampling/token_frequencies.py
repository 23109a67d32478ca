"""Sampling codes by how often training images have them, counted after training."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import Batch, Progress
from genexp.contracts.tokenisers import Tokeniser
from genexp.tensors import IndexedNoise


class TokenFrequencies:
    """Codes place by place in rows from the top, in the frequencies that they have in the coded training images.

    With `memory` 0 every place is drawn by itself: p(k) = (n_k + s / K) / (N + s) with n_k images of N that have the
    code k there, and s the `smoothing`. With `memory` 1 it is drawn given the code j of the place before it, p(k | j) =
    (n_jk + s p(k)) / (n_j + s). A prior in closed form, between equal codes (`sampler=latent`) and a density that is
    trained on the codes (`model=likelihood model/codec=tokens`). A code is the quantile at P(z) of a normal number z of
    its own, so noises can be interpolated.

    Args:
        memory: Codes before a place that it depends on, 0 or 1.
        smoothing: s, above 0.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, memory: int = 1, smoothing: float = 1.0) -> None:
        if memory not in (0, 1):
            raise ValueError(f"memory must be 0 or 1, got {memory}")
        if not smoothing > 0:
            raise ValueError(f"smoothing must be above 0, got {smoothing}")
        self.memory, self.smoothing = memory, smoothing
        self._alone: Tensor | None = None
        self._pairs: Tensor | None = None

    def require(self, model: object) -> None:
        """Check that the model turns images into codes.

        Raises:
            TypeError: it does not.
        """
        if not isinstance(model, Tokeniser):
            raise TypeError(f"TokenFrequencies draws from a quantised autoencoder, got {type(model).__name__}")

    @torch.no_grad()
    def fit(self, model: Tokeniser, batches: Iterable[Batch]) -> None:
        """Count the codes of images; replaces what was counted before.

        Raises:
            TypeError: `model` does not turn images into codes.
        """
        self.require(model)
        alone = pairs = None
        for number, batch in enumerate(batches):
            noise = IndexedNoise(number, range(len(batch["image"])), batch["image"].device)
            code = model.tokens(model.observe(batch, noise)["image"]).flatten(1).cpu()
            taken = one_hot(code, model.codes).double()
            counted = torch.einsum("npj,npk->pjk", taken[:, :-1], taken[:, 1:]) if self.memory else None
            alone = taken.sum(0) if alone is None else alone + taken.sum(0)
            pairs = counted if pairs is None else pairs + counted
        if alone is None:
            raise ValueError("TokenFrequencies needs training images, got none")
        s = self.smoothing
        self._alone = (alone + s / model.codes) / (alone.sum(1, keepdim=True) + s)
        if pairs is not None:
            self._pairs = (pairs + s * self._alone[1:, None]) / (pairs.sum(2, keepdim=True) + s)

    def start(self, model: Tokeniser, noise: IndexedNoise) -> Tensor:
        """Standard normal numbers (B, h, w), one for every code.

        Raises:
            TypeError: `model` does not turn images into codes.
        """
        self.require(model)
        return noise.normal(*model.code_shape)

    @torch.no_grad()
    def run(
        self,
        model: Tokeniser,
        start: Tensor,
        noise: IndexedNoise,
        condition: Condition = UNCONDITIONAL,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) of the codes that are drawn.

        Raises:
            RuntimeError: `fit` has not been called.
        """
        if self._alone is None:
            raise RuntimeError("TokenFrequencies must count codes of training images before it draws")
        share, drawn = torch.special.ndtr(start.double()).flatten(1).cpu(), []
        for place in range(share.shape[1]):
            law = self._alone[place].expand(len(share), -1)
            if self._pairs is not None and place:
                law = self._pairs[place - 1][drawn[-1]]
            drawn.append((law.cumsum(1) < share[:, place, None]).sum(1).clamp(max=model.codes - 1))
        code = torch.stack(drawn, 1).to(start.device).view(len(start), *model.code_shape)
        if progress is not None:
            progress(1, 1)
        return model.from_tokens(code)
