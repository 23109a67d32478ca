"""What it costs a training step on a CPU that GNU's C library hands freed memory back to the system.

Each side is a process of its own, in turns: as `genexp train` begins (`keep_freed_memory`), and as Python does. The
same program differs from start to start without it, for what lies at the end of the heap decides what goes back.
"""

import argparse
import resource
import statistics
import subprocess
import sys

import torch
from quick import parsed
from step_overhead import CASES, Clock, inside_lightning

from genexp.hardware import keep_freed_memory

IWAE = ["model=vae", "model/encoder=mlp", "model/decoder=mlp", "data=digits", "data.batch_size=128"]
WORK = CASES | {"iwae 8x8, 50 latents": [*IWAE, "model/bound=iwae", "model.bound.samples=50"]}


class Counted(Clock):
    """Page faults a batch beside the seconds."""

    def on_train_batch_end(self, trainer, pl_module, *_):
        super().on_train_batch_end(trainer, pl_module)
        if pl_module.batches in (self.first, self.last):
            FAULTS.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)


FAULTS = []
WIDTHS = (10, 9, 7, 16, 6, 11, 6)


def one(case, side, given):
    """Milliseconds and page faults a batch, and MiB at most, of one side in a process of its own."""
    typed = [f"--case={case}", f"--side={side}", f"--batches={given.batches}", f"--threads={given.threads}"]
    child = [sys.executable, "-W", "ignore", __file__, *typed]
    told = subprocess.run(child, check=True, capture_output=True, text=True).stdout.split()[-3:]
    return tuple(map(float, told))


def measure(given):
    """One side, here."""
    if given.side == "kept":
        keep_freed_memory()
    seconds = inside_lightning(WORK[given.case], given.batches, 20, clock=Counted)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(seconds * 1e3, (FAULTS[1] - FAULTS[0]) / given.batches, most)


def middle(side):
    """The median of each figure over the turns."""
    return [statistics.median(each) for each in zip(*side, strict=True)]


def main():
    """Print one row a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--case", choices=WORK, help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=("kept", "plain"), help=argparse.SUPPRESS)
    given = parsed(parser, batches=5, turns=1, only="smallest")
    torch.set_num_threads(given.threads)
    if given.side:
        measure(given)
        return
    print(
        f"{'case':<24}{'plain ms':>10}{'kept ms':>9}{'ratio':>7}{'plain faults':>18}{'kept':>6}{'plain, kept MiB':>17}"
    )
    for case in WORK:
        if given.only not in case:
            continue
        turns = [[one(case, side, given) for side in ("plain", "kept")] for _ in range(given.turns)]
        ratio = statistics.median(kept[0] / plain[0] for plain, kept in turns)
        plain, kept = (
            [statistics.median(each) for each in zip(*side, strict=True)] for side in zip(*turns, strict=True)
        )
        spread = f"{min(turn[0][1] for turn in turns):.0f} to {max(turn[0][1] for turn in turns):.0f}"
        print(
            f"{case:<24}{plain[0]:>10.2f}{kept[0]:>9.2f}{ratio:>7.3f}{spread:>18}{kept[1]:>6.0f}"
            f"{plain[2]:>10.0f}{kept[2]:>7.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
