"""The protocol of super-resolution on published pictures, and how fast the networks are at equal output.

    python benchmarks/super_resolution.py protocol SET5 [SET14]      bicubic enlargement beside published values
    python benchmarks/super_resolution.py measure RUN SET5 [SET14]   a run of model=restoration
    python benchmarks/super_resolution.py speed                      SRCNN and ESPCN, pictures a second at one output

Sets are folders of pictures. The published numbers of bicubic enlargement are those that papers of super-resolution
repeat for Set5: 33.66 dB at x2, 30.39 at x3, 28.42 at x4, Y in studio range, as many pixels cut at every side as the
scale says.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
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
    asked = parsed(parser, side=24, turns=1)
    if asked.way == "protocol":
        protocol(asked.sets)
    elif asked.way == "measure":
        measure(asked.run, asked.sets, asked.checkpoint)
    else:
        speed(asked.factor, asked.side, asked.turns)


if __name__ == "__main__":
    main()
