"""What `training.recompute` and `training.accumulate` do to the time and memory of a step, and reused fakes to a GAN's.

Every side is a process of its own, in turns: seconds of the processor a batch of a real run, and the largest resident
memory of the whole process. Ratios are medians over the turns, to the first side of a case.
"""

import argparse
import resource
import statistics
import subprocess
import sys

import torch
from quick import parsed
from step_overhead import inside_lightning

from genexp.hardware import keep_freed_memory

LARGE = ["experiment=ddpm/cifar10", "data=shapes", "data.image_size=32"]
SMALL = ["experiment=quickstart"]
DCGAN = ["experiment=dcgan/digits", "data=shapes", "data.image_size=64", "model.generator.width=32"]
DCGAN += ["model.critic.discriminator.width=32", "model.critic.discriminator.base_size=4"]
PLAIN, RECOMPUTED = {"as it is": []}, {"recompute": ["training.recompute=true"]}
EIGHTHS = {"accumulate=8": ["training.accumulate=8"]}
CASES = {
    "UNet 35.7 M": (LARGE, PLAIN | RECOMPUTED | EIGHTHS),
    "UNet 177 k": (SMALL, PLAIN | RECOMPUTED | EIGHTHS),
    "DCGAN 64x64": (DCGAN, PLAIN | {"reuse_fakes": ["model.reuse_fakes=true"]}),
}


def measure(given):
    """One side, here: milliseconds a batch, and MiB at most."""
    keep_freed_memory()  # as every command does
    overrides, sides = CASES[given.case]
    seconds = inside_lightning(
        [*overrides, f"data.batch_size={given.batch}", *sides[given.side]], given.batches, given.warm_up
    )
    print(seconds * 1e3, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def one(case, side, given):
    """What a process of its own says of one side."""
    typed = [f"--case={case}", f"--side={side}"]
    typed += [f"--{key.replace('_', '-')}={vars(given)[key]}" for key in ("batches", "batch", "threads", "warm_up")]
    child = [sys.executable, "-W", "ignore", __file__, *typed]
    told = subprocess.run(child, check=True, capture_output=True, text=True).stdout.split()[-2:]
    return tuple(map(float, told))


def main():
    """Print one row a side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=1, help="batches before the clock starts")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    given = parsed(parser, batches=1, turns=1, batch=8, only="177")
    torch.set_num_threads(given.threads)
    if given.case:
        measure(given)
        return
    print(f"{'case':<14}{'side':<14}{'ms a batch (range)':>28}{'of the first':>14}{'MiB':>8}{'of the first':>14}")
    for case, (_, sides) in CASES.items():
        turns = [
            {side: one(case, side, given) for side in sides} for _ in range(given.turns if given.only in case else 0)
        ]
        for side in sides if turns else ():
            times, most = zip(*(turn[side] for turn in turns), strict=True)
            time, memory = (
                statistics.median(turn[side][kind] / turn["as it is"][kind] for turn in turns) for kind in (0, 1)
            )
            shown = f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})"
            print(
                f"{case:<14}{side:<14}{shown:>28}{time:>14.2f}{statistics.median(most):>8.0f}{memory:>14.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
