"""Between images and the codes that a diffusion may be of."""

from typing import Protocol, runtime_checkable

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

    def decode(self, code: Tensor) -> Tensor: ...


@runtime_checkable
class Coded(Protocol):
    """A denoiser that may be of codes; what is drawn from it becomes an image by its codec, where it has one."""

    @property
    def codec(self) -> Codec | None: ...


def codec_of(model: object) -> Codec | None:
    """What makes images of what is drawn from a model; None for a model of images."""
    return model.codec if isinstance(model, Coded) else None
