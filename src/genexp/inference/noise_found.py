"""Whether pictures were drawn from marked noise: it is found again by the run that drew them."""

import sys

from torch import Tensor

from genexp.contracts import Source
from genexp.contracts.codecs import codec_of
from genexp.files.trees import Tree
from genexp.inference.marked_pixels import FALSE_POSITIVES
from genexp.inference.run import Run
from genexp.inference.watermarks import Watermark
from genexp.sampling.ddim import DDIM
from genexp.sampling.inversion import inverted
from genexp.sampling.marked_noise import MarkedNoise
from genexp.tensors import to_float, to_uint8

INVERSION_STEPS = 50
_LOOKED_AT = 4


def found_again(run: Run, mark: Watermark | None, images: Tensor) -> Tree:
    """In how many of the first images (N, C, H, W) a mark in their noise is found, said to a person and for a record.

    Not every model, guidance or number of steps lets noise be found again, so what was drawn is looked at. Empty where
    there is no mark in the noise.
    """
    if mark is None or mark.place != "noise":
        return {}
    seen = to_float(to_uint8(images[:_LOOKED_AT])).to(next(run.model.parameters()).device)
    count = int((noise_p_values(run, mark.key, seen) < FALSE_POSITIVES).sum())
    print(f"watermark  genexp info finds it in {count} of the first {len(seen)} images", file=sys.stderr)
    return {"watermark_found": count, "watermark_looked_at": len(seen)}


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
