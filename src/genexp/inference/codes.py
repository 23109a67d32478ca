"""Between images and codes of maps: what trained and shipped autoencoders share."""

from collections.abc import Sequence

from genexp.contracts.maps import MapCoder


def shape_of_codes(coder: MapCoder, image_shape: Sequence[int]) -> tuple[int, ...]:
    """Shape (C, H / f, W / f) of the code of an image (c, H, W).

    Raises:
        ValueError: the coder's factor does not divide the image.
    """
    _, height, width = image_shape
    if height % coder.factor or width % coder.factor:
        raise ValueError(
            f"image_shape must have sides that the codec's factor {coder.factor} divides, got {list(image_shape)}"
        )
    return coder.latent_maps, height // coder.factor, width // coder.factor


def require_scale(scale: float | str) -> None:
    """Check a scale of codes.

    Raises:
        ValueError: it is neither above 0 nor `measured`.
    """
    if scale != MEASURED and (isinstance(scale, str) or not scale > 0):
        raise ValueError(f"scale must be above 0, or {MEASURED}, got {scale}")


MEASURED = "measured"
