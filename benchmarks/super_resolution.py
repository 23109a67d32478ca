"""The protocol of super-resolution on published pictures, and how fast the networks are at equal output.

    python benchmarks/super_resolution.py protocol SET5 [SET14]      bicubic enlargement beside published values
    python benchmarks/super_resolution.py measure RUN SET5 [SET14]   a run of model=restoration
    python benchmarks/super_resolution.py speed                      SRCNN and ESPCN, pictures a second at one output
    python benchmarks/super_resolution.py memory RUN                 peak memory of genexp restore by sides of a tile

Sets are folders of pictures. The published numbers of bicubic enlargement are those that papers of super-resolution
repeat for Set5: 33.66 dB at x2, 30.39 at x3, 28.42 at x4, Y in studio range, as many pixels cut at every side as the
scale says.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from quick import parsed

from genexp.conditioning.base import Conditioning
from genexp.conditioning.degradations import Bicubic
from genexp.conditioning.degraded import Degraded
from genexp.evaluation.metrics.restored import Restored
from genexp.inference.run import load_run
from genexp.networks.restoration import Espcn, Srcnn

PUBLISHED = {2: 33.66, 3: 30.39, 4: 28.42}
"""Decibels of bicubic enlargement of Set5."""


class OfOneNetwork(torch.nn.Module):
    """A model that is one network, untrained."""

    def __init__(self, factor: int, make: type[Srcnn] | type[Espcn], channels: int = 1) -> None:
        super().__init__()
        kind = Degraded((channels, 48, 48), Bicubic(factor))
        self.generator = make(48, channels, {"source": kind})
        self.conditioning, self.latent_shape = Conditioning({"source": kind}), (1,)

    def decode(self, latent, condition):
        return self.generator(latent, condition)


def protocol(sets: list[Path]) -> None:
    """Print what plain enlargement scores."""
    for root in sets:
        for factor, published in PUBLISHED.items():
            for channels, words in ((1, "Y degraded"), (3, "RGB degraded")):
                found = Restored(root).compute(OfOneNetwork(factor, Srcnn, channels).eval(), [], 0)
                psnr, ssim = (found[f"restored_{name}_y"].details["bicubic"] for name in ("psnr", "ssim"))
                beside = f"  published {published:.2f}" if root.name.lower() == "set5" else ""
                print(f"{root.name} x{factor} bicubic, {words}: {psnr:.2f} dB, SSIM {ssim:.4f}{beside}")


def measure(path: Path, sets: list[Path], checkpoint: str | None) -> None:
    """Print what a run scores on whole pictures."""
    run = load_run(path, checkpoint=checkpoint)
    for root in sets:
        metric = Restored(root)
        begun = time.perf_counter()
        found = metric.compute(run.model.source(), [], 0)
        values = ", ".join(f"{name} {value.value:.4f}" for name, value in found.items())
        print(f"{metric.subject(run.model.source())}: {values} ({time.perf_counter() - begun:.1f} s)")


def speed(factor: int, side: int, turns: int) -> None:
    """Print pictures a second of both networks, timed in turn, for one size of the result."""
    networks = {"SRCNN 9-1-5": Srcnn, "ESPCN 5-3-3": Espcn}
    models = {name: OfOneNetwork(factor, make).eval() for name, make in networks.items()}
    picture, seconds = torch.rand(1, 1, side, side), {name: [] for name in networks}
    with torch.inference_mode():
        for turn in range(turns + 1):
            for name, model in models.items():
                begun = time.perf_counter()
                image = model.generator.restored(picture)
                assert image.shape[-1] == factor * side
                if turn:  # the first is for warming up
                    seconds[name].append(time.perf_counter() - begun)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    ratios = [slow / fast for slow, fast in zip(*seconds.values(), strict=True)]
    for name, each in medians.items():
        print(f"x{factor} to {factor * side} x {factor * side}: {name} {1 / each:.2f} pictures/s")
    print(f"ratio {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}), {turns} turns")


def memory(path: Path, width: int, height: int, tiles: list[int]) -> None:
    """Print the peak memory of processes that restore one picture, by the side of a tile; 0 is the whole picture."""
    with tempfile.TemporaryDirectory() as folder:
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"{folder}/picture.png")
        for tile in tiles:
            typed = [
                f"run={path.resolve()}",
                "input=picture.png",
                "out=made.png",
                f"tile={tile or 'null'}",
                "threads=1",
            ]
            command = [sys.executable, "-m", "genexp", "restore", *typed, "device=cpu"]
            child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(child.pid, 0)
            if status:
                raise SystemExit(f"genexp restore ended with status {os.waitstatus_to_exitcode(status)}")
            seconds = used.ru_utime + used.ru_stime
            print(
                f"{width} x {height}, tile {tile or 'whole'}: {used.ru_maxrss / 1024:.0f} MiB, {seconds:.1f} CPU-s",
                flush=True,
            )


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(dest="way", required=True)
    ways.add_parser("protocol").add_argument("sets", nargs="+", type=Path)
    measured = ways.add_parser("measure")
    measured.add_argument("run", type=Path)
    measured.add_argument("--checkpoint", help="best | last | a file")
    measured.add_argument("sets", nargs="+", type=Path)
    timed = ways.add_parser("speed")
    for name, value in (("factor", 3), ("side", 170), ("turns", 9)):
        timed.add_argument(f"--{name}", type=int, default=value)
    bounded = ways.add_parser("memory")
    bounded.add_argument("run", type=Path)
    for name, value in (("width", 1000), ("height", 750)):
        bounded.add_argument(f"--{name}", type=int, default=value)
    bounded.add_argument("--tiles", type=int, nargs="*", default=[64, 128, 256, 0])
    asked = parsed(parser, side=24, turns=1, width=40, height=30, tiles=[16, 0])
    if asked.way == "protocol":
        protocol(asked.sets)
    elif asked.way == "measure":
        measure(asked.run, asked.sets, asked.checkpoint)
    elif asked.way == "memory":
        memory(asked.run, asked.width, asked.height, asked.tiles)
    else:
        speed(asked.factor, asked.side, asked.turns)


if __name__ == "__main__":
    main()
