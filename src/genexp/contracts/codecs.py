"""Between images and the codes that a diffusion may be of."""

from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Codec(Protocol):
    """A map between images and the codes that a diffusion is of, such as an autoencoder's; nothing is learned there."""

    image_shape: tuple[int, ...]
    code_shape: tuple[int, ...]

    @property
    def fingerprint(self) -> str:
        """Of what codes follow from, beside the image: its weights, its scale."""
        ...

    def encode(self, image: Tensor) -> Tensor: ...

    def decode(self, code: Tensor) -> Tensor:
        """Images of codes; a gradient reaches codes that ask for one."""
        ...


@runtime_checkable
class Coded(Protocol):
    """A denoiser that may be of codes; what is drawn from it becomes an image by its codec, where it has one."""

    @property
    def codec(self) -> Codec | None: ...


@runtime_checkable
class Magnifies(Protocol):
    """A denoiser that knows what an error of its network comes to."""

    def magnified(self, alpha: float, sigma: float) -> float:
        """How large the error of what it makes is, at levels of signal and noise, where the output is wrong by 1."""
        ...


@runtime_checkable
class OfCodes(Coded, Magnifies, Protocol):
    """A denoiser of codes, that knows what an error of its network comes to."""


def as_codes_ask(code: Tensor) -> AbstractContextManager[object]:
    """Decoding through which a gradient reaches codes that ask for one, and that keeps nothing for others."""
    return torch.set_grad_enabled(torch.is_grad_enabled() and code.requires_grad)


def codec_of(model: object) -> Codec | None:
    """What makes images of what is drawn from a model; None for a model of images."""
    return model.codec if isinstance(model, Coded) else None
