"""What a JPEG costs on its way to a tensor, against torchvision's decoder and against Pillow's draft mode.

Pictures are patches of scikit-learn's two photographs. At equal size nothing is resized; else both sides resize to the
same size, and Pillow's draft first has libjpeg decode at the smallest scale of 1/8, 1/4 and 1/2 that is large enough.
Every side reads the same files, in turn; seconds are those of the processor.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from quick import parsed
from sklearn.datasets import load_sample_images
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms.v2 import functional

from genexp.data.decoding import open_picture
from genexp.data.picture_tensors import Preparation, to_tensor


def write(folder, side, count):
    """So many patches of `side` pixels as JPEG files, and their paths."""
    photographs, generator = load_sample_images().images, torch.Generator().manual_seed(0)
    paths = []
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        top, left = (int(torch.randint(limit - side, (1,), generator=generator)) for limit in photograph.shape[:2])
        paths.append(str(Path(folder) / f"{number}.jpg"))
        Image.fromarray(photograph[top : top + side, left : left + side]).save(paths[-1], quality=90)
    return paths


def ours(size, draft=False):
    """A picture as data sources read it."""
    prepared = Preparation(size, draft=draft)
    return lambda path: prepared(open_picture(path, least=prepared.least))


def by_torchvision(size):
    """A picture by torchvision's own decoder, and its antialiased resize where the size differs."""

    def read(path):
        image = decode_jpeg(read_file(path), mode=ImageReadMode.RGB)
        return image if image.shape[-1] == size else functional.resize(image, [size, size], antialias=True)

    return read


def by_draft(size):
    """A picture by Pillow's draft mode."""

    def read(path):
        with Image.open(path) as picture:
            picture.draft("RGB", (size, size))
            return to_tensor(picture.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))

    return read


def seconds(read, paths):
    """Processor seconds a picture."""
    begun = time.process_time()
    for path in paths:
        read(path)
    return (time.process_time() - begun) / len(paths)


def main():
    """Print microseconds a picture of every side, and the median ratio of ours to it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--turns", type=int, default=7)
    given = parsed(parser, pictures=4, turns=1)
    torch.set_num_threads(1)
    for side, size in ((32, 32), (256, 64)):
        sides = {
            "ours": ours(size),
            "ours, draft": ours(size, draft=True),
            "torchvision.io": by_torchvision(size),
            "Pillow's draft": by_draft(size),
        }
        with tempfile.TemporaryDirectory() as folder:
            paths = write(folder, side, given.pictures)
            rows = [{name: seconds(read, paths) for name, read in sides.items()} for _ in range(given.turns + 1)][1:]
        print(f"{side} to {size} pixels, {given.turns} turns, load {os.getloadavg()[0]:.1f}")
        for name in sides:
            ratios = sorted(row["ours"] / row[name] for row in rows)
            taken = statistics.median(row[name] for row in rows) * 1e6
            spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
            print(f"  {name:<20}{taken:>8.1f} us   ours takes {statistics.median(ratios):.2f} of it ({spread})")


if __name__ == "__main__":
    main()
