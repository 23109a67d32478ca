"""Whether training and drawing hold on a card, family by family, and how fast the card trains; in nine minutes at most.

Checks: every family trains in float32, bf16, fp16 and compiled, waits for the card in no step, resumes bit for bit, and
draws what (seed, index) alone say. What the time does not reach is named. `--device cpu` runs the same on a CPU.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

import torch
from gpu_checks import FAMILIES, ON_CARDS_ALONE, PRECISIONS, draws, resumes, trains
from quick import parsed


def works(device, families, ways):
    """Every check by its words, each a function of a folder; the shortest way to a fault first."""
    for family in families:
        yield f"{family} resumes", lambda folder, family=family: resumes(family, device, folder)
        yield f"{family} draws", lambda folder, family=family: draws(family, device, folder)
        for way in ways:
            if device == "gpu" or way not in ON_CARDS_ALONE:
                yield f"{family} {way}", lambda folder, family=family, way=way: trains(family, way, device, folder)


def main():
    """Print one line a check; the exit status says whether all held and all were reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--ways", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    given = parsed(parser, device="cpu", families=["vae"], ways=["float32"])
    if given.device == "gpu" and not torch.cuda.is_available():
        sys.exit("--device must be cpu on a machine without a CUDA card, got gpu")
    card = torch.cuda.get_device_name() if given.device == "gpu" else "cpu"
    print(f"{card}, torch {torch.__version__}")
    begun, failed = time.perf_counter(), 0
    for name, check in works(given.device, given.families, given.ways):
        if time.perf_counter() - begun > given.minutes * 60:
            found, taken = ["was not reached in time"], 0.0
        else:
            started = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
                found = check(Path(folder))
            taken = time.perf_counter() - started
        failed += bool(found)
        print(f"{name:<28}{'; '.join(found) or 'holds'}   {taken:.1f} s", flush=True)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
