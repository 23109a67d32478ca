"""How often a watermark is found again: in pixels after what pictures go through, and in the noise of a diffusion run.

    python benchmarks/watermark.py [--run outputs/quickstart/<run>] [--quick]

A mark is found where its p-value is below the share of false positives; the table says which. `other key` and
`no mark` count what is said to be of a key that it is not of. Times are of one thread.
"""

import argparse
import io
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from quick import parsed
from sklearn.datasets import load_sample_image
from torch import Tensor

from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.inference.drawing import Drawing
from genexp.inference.marked_pixels import FALSE_POSITIVES, find, marked
from genexp.inference.noise_found import noise_of
from genexp.inference.run import load_run
from genexp.inference.watermarks import Watermark
from genexp.sampling.marked_noise import MarkedNoise
from genexp.tensors import to_float, to_uint8


def resized(image: Tensor, factor: float) -> Tensor:
    """A picture made larger or smaller."""
    height, width = (max(1, round(side * factor)) for side in image.shape[-2:])
    return _tensor(_pil(image).resize((width, height), Image.Resampling.BICUBIC))


def compressed(image: Tensor, quality: int) -> Tensor:
    """A picture after JPEG."""
    file = io.BytesIO()
    _pil(image).save(file, "JPEG", quality=quality)
    return _tensor(Image.open(file))


def cut(image: Tensor, share: float) -> Tensor:
    """The middle of a picture, `share` of each side."""
    edges = [round(side * (1 - share) / 2) for side in image.shape[-2:]]
    return image[:, edges[0] : image.shape[1] - edges[0], edges[1] : image.shape[2] - edges[1]]


def noisy(image: Tensor, deviation: float) -> Tensor:
    """A picture with normal noise, in levels."""
    return (image + deviation * torch.randn(image.shape)).round().clamp(0, 255).byte()


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda image: image,
    "JPEG 90": lambda image: compressed(image, 90),
    "JPEG 50": lambda image: compressed(image, 50),
    "JPEG 25": lambda image: compressed(image, 25),
    "resize x2": lambda image: resized(image, 2),
    "resize x0.5 and back": lambda image: resized(resized(image, 0.5), 2),
    "noise 5": lambda image: noisy(image, 5),
    "noise 15": lambda image: noisy(image, 15),
    "crop 95 % and back": lambda image: _sized(cut(image, 0.95), image),
    "crop 75 % and back": lambda image: _sized(cut(image, 0.75), image),
}


def pixel_sets(quick: bool) -> dict[str, list[Tensor]]:
    """Patches of photographs, and drawn shapes, as uint8 pictures."""
    photographs = [_tensor(load_sample_image(name)) for name in ("china.jpg", "flower.jpg")]
    corners = [(y, x) for y in (0, 85, 170) for x in (0, 96, 192, 288, 384)]
    patches = [each[:, y : y + 256, x : x + 256] for each in photographs for y, x in corners]
    data = build(compose("train", ["data=shapes"]).data)
    shapes = list(to_uint8(data.examples("val", torch.arange(100))["image"]))
    sets = {"photographs 256 x 256": patches, "shapes 32 x 32": shapes}
    return {name: each[:8] for name, each in sets.items()} if quick else sets


def of_pixels(quick: bool, strengths: tuple[float, ...]) -> None:
    """Print a table of marks in pixels."""
    for name, pictures in pixel_sets(quick).items():
        print(f"\n{name}: {len(pictures)} pictures, false positives {FALSE_POSITIVES:g}")
        for strength in strengths:
            begun = time.perf_counter()
            with_mark = [marked(each, "a key", strength) for each in pictures]
            seconds = (time.perf_counter() - begun) / len(pictures)
            error = np.mean([float((a.double() - b.double()).pow(2).mean()) for a, b in zip(with_mark, pictures)])
            print(f"strength {strength:g}, PSNR {10 * np.log10(255**2 / error):.1f} dB, {1000 * seconds:.0f} ms each")
            for change, apply in CHANGES.items():
                changed = [apply(each) for each in with_mark]
                ours, theirs = ([find(each, key) for each in changed] for key in ("a key", "another key"))
                z = np.median([each.z for each in ours])
                print(f"  {change:<22}{_share(ours)}  z {z:5.1f}  other key {_share(theirs)}", flush=True)
        print(f"  no mark               {_share([find(each, 'a key') for each in pictures])}")


def of_noise(run_folder: str, count: int, level: float) -> None:
    """Print a table of marks in the noise of a run of diffusion."""
    run = load_run(run_folder)
    drawn = {
        key: to_uint8(Drawing(run, run.config.sampler, "cpu", 0, 64, watermark=mark).images(count))
        for key, mark in {"ours": Watermark("a key", "noise", 3), "none": None}.items()
    }
    print(f"\n{run_folder}: {count} images {tuple(drawn['ours'].shape[1:])}, false positives {level:g}")
    for change, apply in CHANGES.items():
        changed = torch.stack([_sized(apply(each), each) for each in drawn["ours"]])
        told = _noise_share(noise_of(run, to_float(changed)), level)
        print(f"  {change:<22}{told}", flush=True)
    print(f"  {'no mark':<22}{_noise_share(noise_of(run, to_float(drawn['none'])), level)}")


def _noise_share(noise: Tensor, level: float) -> str:
    p = {key: MarkedNoise(key).p_values(noise) for key in ("a key", "another key")}
    shares = (f"{key} {100 * float((each < level).double().mean()):5.1f} %" for key, each in p.items())
    return "  ".join([*shares, f"median p {float(p['a key'].median()):.1e}"])


def _share(found: list) -> str:
    return f"{100 * np.mean([each.p_value < FALSE_POSITIVES for each in found]):5.1f} %"


def _sized(image: Tensor, like: Tensor) -> Tensor:
    height, width = like.shape[-2:]
    return _tensor(_pil(image).resize((width, height), Image.Resampling.BICUBIC))


def _pil(image: Tensor) -> Image.Image:
    return Image.fromarray(image[0].numpy() if len(image) == 1 else image.movedim(0, -1).contiguous().numpy())


def _tensor(picture: Image.Image) -> Tensor:
    values = torch.from_numpy(np.array(picture))
    return values[None] if values.ndim == 2 else values.movedim(-1, 0)


def main() -> None:
    """Read arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", help="a run of diffusion")
    parser.add_argument("--level", type=float, default=1e-3, help="share of false positives of marks in noise")
    arguments = parsed(parser)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    of_pixels(arguments.quick, (4.0,) if arguments.quick else (2.0, 4.0, 6.0))
    if arguments.run:
        of_noise(arguments.run, 64 if arguments.quick else 200, arguments.level)


if __name__ == "__main__":
    main()
