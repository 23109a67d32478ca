"""The memory of an evaluation, measured in a process of its own. A part of `evaluation.py`."""

import json
import resource
import subprocess
import sys

import torch
from values_of_features import seconds_of

from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.frechet import FrechetDistance

PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in a unit of `ru_maxrss`."""


class DrawnFeatures:
    """Random vectors in place of features: a network that costs next to nothing."""

    name, digest, resize = "drawn", "1" * 64, "none"

    def __init__(self, dimensions):
        self.dimensions, self._generator = dimensions, torch.Generator().manual_seed(0)

    def __call__(self, image):
        return torch.randn(len(image), self.dimensions, generator=self._generator)


def memory(given):
    """Peak memory of one evaluation with the Fréchet distance alone, in a child process."""
    command = [sys.executable, sys.argv[0], "--child", "--threads", str(given.threads)]
    command += ["--dimensions", str(given.dimensions), "--vectors", str(given.vectors)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    steps = json.loads(lines.splitlines()[-1])
    base = steps["after the imports"]["peak"]
    print(f"memory, {given.vectors:,} real and {given.vectors:,} generated vectors, {given.dimensions} dimensions")
    for name, step in steps.items():
        peak = step["peak"]
        print(f"  {name:<34}{peak / 1e9:>8.2f} GB   {(peak - base) / 1e9:>6.2f} GB above   {step['seconds']:>7.1f} s")
    sys.stdout.flush()


def memory_of_this_process(given):
    """Run the evaluation and print the peak after every step as JSON."""
    steps = {"after the imports": {"peak": peak_bytes(), "seconds": 0.0}}

    def batches():
        for begin in range(0, given.vectors, 250):
            yield {"image": torch.zeros(min(250, given.vectors - begin), 3, 8, 8)}

    def step(name, work):
        found, taken = seconds_of(work)
        steps[name] = {"peak": peak_bytes(), "seconds": taken}
        return found

    evaluator = Evaluator(DrawnFeatures(given.dimensions), {"fd": FrechetDistance()})
    real = ImageSet("drawn", "drawn", given.vectors, (3, 8, 8), batches)
    reference = step("reference summarised, decomposed", lambda: evaluator.reference(real))
    summary = step("generated summarised", lambda: evaluator.summarise(batches()))
    step("value with its 20 pseudo-values", lambda: evaluator.values(summary, reference))
    print(json.dumps(steps))


def peak_bytes():
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT
