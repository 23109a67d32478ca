"""Whether two denoisers can stand beside each other."""

from genexp.contracts import Denoiser
from genexp.contracts.codecs import codec_of
from genexp.diffusion.schedules import same_levels


def require_alike(other: Denoiser, model: Denoiser, role: str) -> None:
    """Check that a denoiser can stand beside a model.

    Args:
        other: The denoiser.
        model: The model.
        role: What the denoiser is called, in an error.

    Raises:
        ValueError: its shape, conditions, codec or noise levels are others.
    """
    if other.image_shape != model.image_shape or other.conditioning != model.conditioning:
        ours, theirs = (f"{each.image_shape} and {each.conditioning}" for each in (model, other))
        raise ValueError(f"{role} must have shape and conditions of the model, {ours}, got {theirs}")
    if codec_of(other) != codec_of(model):
        raise ValueError(f"{role} must be of the codes of the model, got one with another codec")
    if not same_levels(model.schedule, other.schedule):
        raise ValueError(f"{role} must have the noise levels of the model's schedule, got others")
