"""Whether training and drawing hold on a card, family by family, and how fast the card is; in nine minutes at most.

Figures: images a second of training, drawing and features, against plain loops (`gpu_speed.py`). Checks: every family
trains in float32, bf16, fp16 and compiled, waits for the card in no step, resumes bit for bit, and draws what (seed,
index) alone say. What the time does not reach is named. `--device cpu` runs the same on a CPU.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

import torch
from gpu_checks import FAMILIES, ON_CARDS_ALONE, PRECISIONS, draws, resumes, trains
from gpu_speed import speeds
from quick import parsed

PARTS = ("speeds", "checks")


def works(device, families, ways):
    """Every check by its words, each a function of a folder; the shortest way to a fault first."""
    for family in families:
        yield f"{family} resumes", lambda folder, family=family: resumes(family, device, folder)
        yield f"{family} draws", lambda folder, family=family: draws(family, device, folder)
        for way in ways:
            if device == "gpu" or way not in ON_CARDS_ALONE:
                yield f"{family} {way}", lambda folder, family=family, way=way: trains(family, way, device, folder)


def figures(device, quick, end):
    """Print every figure that is reached until `end`, and how many failed or were not reached."""
    lacking = 0
    for name, measured in speeds(device, quick):
        started = time.perf_counter()
        if started > end:
            told, lacking = "was not reached in time", lacking + 1
        else:
            try:
                with contextlib.redirect_stdout(sys.stderr):
                    told = measured()
            except Exception as error:  # one figure that cannot be had is told beside the others
                told, lacking = f"failed: {type(error).__name__}: {' '.join(str(error).split())}", lacking + 1
        print(f"{name:<40}{told}   {time.perf_counter() - started:.1f} s", flush=True)
    return lacking


def main():
    """Print one line a check; the exit status says whether all held and all were reached."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--ways", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    given = parsed(parser, device="cpu", families=["vae"], ways=["float32"])
    if given.device == "gpu" and not torch.cuda.is_available():
        sys.exit("--device must be cpu on a machine without a CUDA card, got gpu")
    card = torch.cuda.get_device_name() if given.device == "gpu" else "cpu"
    print(f"{card}, torch {torch.__version__}")
    begun, failed = time.perf_counter(), 0
    if "speeds" in given.parts:
        failed += figures("cuda" if given.device == "gpu" else "cpu", given.quick, begun + given.minutes * 60 / 2)
    for name, check in works(given.device, given.families, given.ways) if "checks" in given.parts else ():
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
