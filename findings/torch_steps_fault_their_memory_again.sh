#!/usr/bin/env bash
# torch 2.15.0 on the CPU, Python 3.11, GNU C library 2.36 (Linux, x86-64)
#
# Guess, written down first: once a few steps are over, a training step on the CPU meets no page faults, and as many in every
#   start of the same program: PyTorch keeps the memory of tensors for the next step, as it does on a GPU.
# Behaviour: on the CPU it keeps none. A tensor is freed to the C library, which hands what lies free at the end of the heap back to
#   the system beyond a limit that follows the largest block freed so far; the next step gets it again page by page, each emptied
#   first. How much goes back depends on what happens to lie behind it, so that starts of one and the same program (same seed, same
#   losses) differ by a factor of two and more in page faults and by some per cent in time. With both limits set by the environment
#   nearly none are left.
# Output seen (page faults a step, eight starts of either):
#   as it comes       1172 1552 1608 1867 2682 2883 3313 3699
#   limits set        0 0 0 40 80 180 260 340
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.15.0 numpy==2.4.6
cat > "$folder/probe.py" <<'PY'
import resource

import torch
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(0)
layers = [nn.Linear(64, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, 64)]
network, image = nn.Sequential(*layers), torch.rand(6400, 64)
optimiser = torch.optim.SGD(network.parameters(), lr=1e-3)


def step():
    optimiser.zero_grad()
    (network(image) - image).square().mean().backward()
    optimiser.step()


def faults(steps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        step()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // steps


faults(20)
print(faults(20))
PY
cat > "$folder/both.py" <<'PY'
import os
import platform
import subprocess
import sys

if platform.libc_ver()[0] != "glibc":
    raise SystemExit("this machine has another C library")
plain = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
limits = {"MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
seen = {}
for name, environment in (("as it comes", plain), ("limits set", plain | limits)):
    run = [sys.executable, sys.argv[1]]
    seen[name] = sorted(int(subprocess.check_output(run, env=environment, text=True)) for _ in range(8))
    print(f"{name:<17} {' '.join(map(str, seen[name]))}")
if seen["as it comes"][4] < 800 or seen["limits set"][-1] > 600:
    raise SystemExit("the behaviour has changed")
if seen["as it comes"][-1] < 1.5 * seen["as it comes"][0]:
    raise SystemExit("all starts are alike now")
PY
"$folder/venv/bin/python" "$folder/both.py" "$folder/probe.py"
