"""Whether pictures were drawn from marked noise: it is found again by the run that drew them."""

from torch import Tensor

from genexp.contracts import Source
from genexp.contracts.codecs import codec_of
from genexp.inference.run import Run
from genexp.sampling.ddim import DDIM
from genexp.sampling.inversion import inverted
from genexp.sampling.marked_noise import MarkedNoise

INVERSION_STEPS = 50


def noise_p_values(run: Run, key: str, images: Tensor) -> Tensor:
    """The share of keys that the noise of images (B, C, H, W) in [-1, 1] agrees with as well by chance, float64 (B,).

    Raises:
        ValueError: as `noise_of`.
    """
    return MarkedNoise(key).p_values(noise_of(run, images))


def noise_of(run: Run, images: Tensor) -> Tensor:
    """The noise that images (B, C, H, W) in [-1, 1] are drawn from: DDIM backwards, told nothing of what they show.

    Raises:
        ValueError: the run is of no diffusion of images.
    """
    source: Source = run.model.source()
    sampler = DDIM(steps=INVERSION_STEPS, clip=False)
    try:
        sampler.require(source)
    except TypeError as error:
        raise ValueError(f"run must be a run of diffusion, whose noise can be found again: {error}") from error
    codec = codec_of(source)
    return inverted(sampler, source, images if codec is None else codec.encode(images))
