#!/usr/bin/env bash
# lightning 2.6.6 with torch 2.15.0 (CUDA build, on a machine without a GPU), Python 3.11
#
# Guess, written down first: on a machine without a GPU, Adam.step() on CPU tensors touches no GPU library, with Lightning
#   imported or not.
# Behaviour: importing lightning sets PYTORCH_NVML_BASED_CUDA_CHECK=1, so that torch.cuda.is_available() asks NVML. Adam and
#   AdamW ask for the current accelerator at every step, to see whether a graph is being captured; the count of GPUs is kept only
#   once CUDA is initialised, which never happens here. So every optimiser step searches the system for libnvidia-ml.so.1 again
#   and does not find it: 0.1 to 0.3 ms a step. SGD does not look. With the variable set to 0 after the import the look takes a
#   microsecond (the runtime's own count).
# Output seen:
#   torch alone               Adam 0 searches in 10 steps, SGD 0
#   lightning imported        Adam 10 searches in 10 steps, SGD 0
#   the variable set back     Adam 0 searches in 10 steps, SGD 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.15.0 numpy==2.4.6 lightning==2.6.6
cat > "$folder/probe.py" <<'PY'
import ctypes
import os

import torch

if torch.cuda.is_available():
    raise SystemExit("this machine has a GPU: nothing is searched for in vain here")
found, plain = [], ctypes.CDLL.__init__


def noted(self, name=None, *given, **named):
    if name and "nvidia-ml" in name:
        found.append(name)
    plain(self, name, *given, **named)


ctypes.CDLL.__init__ = noted


def searches(kind):
    weight = torch.nn.Parameter(torch.zeros(2))
    optimiser = kind([weight], lr=0.1)
    weight.grad = torch.ones(2)
    optimiser.step()
    found.clear()
    for _ in range(10):
        optimiser.step()
    return len(found)


def say(what):
    counts = searches(torch.optim.Adam), searches(torch.optim.SGD)
    print(f"{what:<25} Adam {counts[0]} searches in 10 steps, SGD {counts[1]}")
    return counts


alone = say("torch alone")
import lightning

imported = say("lightning imported")
os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
back = say("the variable set back")
assert (alone, imported, back) == ((0, 0), (10, 0), (0, 0)), "optimisers look otherwise now"
PY
"$folder/venv/bin/python" "$folder/probe.py"
