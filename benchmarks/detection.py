"""Whether a detector of generated images knows those of another family, and after JPEG: a table of AUROC.

    python benchmarks/detection.py <run of one family> <run of another> ... [--num 1000] [--quick]

Each run is drawn from with its own sampler and 8 bits; its detector (`genexp.evaluation.metrics.detectability`) learns
from half of these images and half of the run's real training images, as they are or after JPEG, and judges the other
halves of every run. Rows: what was learned from; columns: what is judged. 0.5 is chance. All runs must be of one data
set. With about n images a side the standard error of a value near 0.5 is about 0.41 / sqrt(n / 2).
"""

import argparse
import io

import numpy as np
import torch
from PIL import Image
from quick import parsed
from torch import Tensor

from genexp.config.instantiate import build
from genexp.evaluation.metrics.detectability import Detector
from genexp.evaluation.radial_spectrum import RadialSpectrum
from genexp.inference.run import load_run
from genexp.tensors import to_float, to_uint8

QUALITIES = (None, 90, 50)


def compressed(images: Tensor, quality: int | None) -> Tensor:
    """Images (B, C, H, W) in [-1, 1] at 8 bits, after JPEG where a quality is given."""
    levels = to_uint8(images)
    if quality is None:
        return to_float(levels)
    made = []
    for level in levels:
        file = io.BytesIO()
        values = level[0].numpy() if len(level) == 1 else level.movedim(0, -1).contiguous().numpy()
        Image.fromarray(values).save(file, "JPEG", quality=quality)
        read = torch.from_numpy(np.array(Image.open(file)))
        made.append(read[None] if read.ndim == 2 else read.movedim(-1, 0))
    return to_float(torch.stack(made))


def main() -> None:
    """Read arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--num", type=int, default=1000)
    arguments = parsed(parser, num=200)
    if len(arguments.runs) < 2:
        parser.error(f"runs must be of two families or more, got {len(arguments.runs)}")
    torch.set_num_threads(1)
    num = arguments.num
    runs = [load_run(each) for each in arguments.runs]
    data = build(runs[0].data)
    data.setup()
    real = torch.cat([batch["image"] for batch in data.training_images()])[:num]
    names = [f"{run.folder.record['choices'].get('model', '?')} {run.folder.record['id']}" for run in runs]
    drawn = dict(zip(names, (run.samples(num, seed=0) for run in runs), strict=True))
    spectrum = RadialSpectrum(list(real.shape[1:]))
    print(f"{num} images of each run, {len(real)} real ones, {tuple(real.shape[1:])}; rows learned, columns judged")
    for learned in QUALITIES:
        for judged in QUALITIES:
            if learned is not None and judged != learned:
                continue
            own, other = spectrum(compressed(real, learned)), spectrum(compressed(real, judged))
            print(f"\nlearned from {_word(learned)}, judged {_word(judged)}")
            print(" " * 30 + "".join(f"{name[:24]:>26}" for name in names))
            for row, images in drawn.items():
                detector = Detector(own[::2], spectrum(compressed(images, learned))[::2])
                values = [
                    detector.auroc(other[1::2], spectrum(compressed(others, judged))[1::2]) for others in drawn.values()
                ]
                print(f"{row[:28]:<30}" + "".join(f"{value:26.3f}" for value in values), flush=True)


def _word(quality: int | None) -> str:
    return "PNG" if quality is None else f"JPEG {quality}"


if __name__ == "__main__":
    main()
