"""Sampling in one pass from a generator with batch norm, by other statistics than those that training left behind."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.contracts import LatentDecoder, Progress
from genexp.sampling.latent import Latent, truncate
from genexp.tensors import IndexedNoise

STATISTICS = ("recomputed", "batch")
_PASS = 250
_SEED = 0x5747_4154


class LatentByStatistics(Latent):
    """z ~ N(0, I), image = decode(z), where batch norm normalises by `statistics`; `Latent` takes those of training.

    - `recomputed`: means of the moments of batches of `images` further latents, with the weights and the truncation in
      use (also called standing statistics). Running averages follow weights that keep changing, and belong to the last
      ones rather than to their average; these do not. Classes have equal shares among them; other conditions, such as
      captions, are those of the batch in turn, so that an image then depends on what the others are told.
    - `batch`: moments of the batch that is drawn, as in training. An image then depends on the others of its batch,
      and on their number.

    The model is left as it was.

    References: Ioffe and Szegedy, "Batch Normalization" (2015); Brock et al., "Large Scale GAN Training for High
    Fidelity Natural Image Synthesis" (2019).

    Args:
        statistics: `recomputed` or `batch`.
        images: Latents that statistics are recomputed from, at least 2; they are drawn anew for every batch of images.
        truncation: Largest absolute value of a latent's entries, or None for the whole normal distribution.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, statistics: str = "recomputed", images: int = 2000, truncation: float | None = None) -> None:
        if statistics not in STATISTICS:
            raise ValueError(f"statistics must be one of {', '.join(STATISTICS)}, got {statistics!r}")
        if images < 2:
            raise ValueError(f"images must be at least 2 latents, got {images}")
        super().__init__(truncation)
        self.statistics, self.images = statistics, images

    def require(self, model: object) -> None:
        """Check that the model decodes latents, with batch norm.

        Raises:
            TypeError: it decodes none.
            ValueError: it has no batch norm.
        """
        super().require(model)
        if not _batch_norms(model):
            raise ValueError(f"model must have batch norm to draw by {self.statistics} statistics, got none")

    @torch.no_grad()
    def run(
        self,
        model: LatentDecoder,
        start: Tensor,
        noise: IndexedNoise,
        condition: Condition = UNCONDITIONAL,
        progress: Progress | None = None,
    ) -> Tensor:
        """Images (B, C, H, W) decoded from the latents `start`.

        Raises:
            ValueError: the model has no batch norm, or a single image is drawn by the statistics of its batch.
        """
        self.require(model)
        layers = _batch_norms(model)
        if self.statistics == "batch":
            if len(start) < 2:
                raise ValueError(f"statistics of the batch need at least 2 images a batch, got {len(start)}")
            with _by_batch(layers):
                return super().run(model, start, noise, condition, progress)
        with _kept(layers):
            self._recompute(model, layers, start, condition)
            return super().run(model, start, noise, condition, progress)

    def _recompute(self, model: LatentDecoder, layers: list[nn.Module], like: Tensor, condition: Condition) -> None:
        """Let the running averages of `layers` be plain means over fresh latents, and classes in equal shares."""
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # a plain mean over passes
            layer.training = True
        generator = torch.Generator().manual_seed(_SEED)
        latents = torch.randn(self.images, *model.latent_shape, generator=generator).to(like)
        if self.truncation is not None:
            latents = truncate(latents, self.truncation)
        number = torch.arange(self.images, device=like.device)
        told = {name: rows[number % len(rows)] for name, rows in condition.items()}
        if "label" in told:
            told["label"] = number % model.conditioning.num_classes
        for index in number.chunk(-(-self.images // _PASS)):
            model.decode(latents[index], {name: rows[index] for name, rows in told.items()})
        for layer in layers:
            layer.training = False


@contextmanager
def _by_batch(layers: list[nn.Module]) -> Iterator[None]:
    """Within, batch norm normalises by its batch and writes no average."""
    before = [(layer.training, layer.track_running_stats) for layer in layers]
    for layer in layers:
        layer.training, layer.track_running_stats = True, False
    try:
        yield
    finally:
        for layer, (training, track) in zip(layers, before, strict=True):
            layer.training, layer.track_running_stats = training, track


@contextmanager
def _kept(layers: list[nn.Module]) -> Iterator[None]:
    """Within, batch norm may be changed; after, its buffers and modes are as they were."""
    modes = [(layer.training, layer.momentum) for layer in layers]
    buffers = [{name: buffer.clone() for name, buffer in layer.named_buffers()} for layer in layers]
    try:
        yield
    finally:
        for layer, (training, momentum), held in zip(layers, modes, buffers, strict=True):
            layer.training, layer.momentum = training, momentum
            for name, buffer in layer.named_buffers():
                buffer.copy_(held[name])


def _batch_norms(model: object) -> list[nn.Module]:
    """The batch norms of a model that keep running averages."""
    modules = model.modules() if isinstance(model, nn.Module) else ()
    known = (m for m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm))
    return [module for module in known if module.track_running_stats]
