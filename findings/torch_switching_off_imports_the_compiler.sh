#!/usr/bin/env bash
# torch 2.15.0 (CPU use), Python 3.11, numpy 2.4.6
#
# Guess, written down first: a program that never calls torch.compile never imports the compiler. In particular
#   torch.use_deterministic_algorithms(False), when nothing has switched it on, does nothing and costs nothing, and making an
#   SGD optimiser over two parameters costs microseconds.
# Behaviour: both import the compiler. use_deterministic_algorithms(False) imports torch._inductor and with it torch._dynamo
#   and sympy, to write `deterministic = False` into Inductor's configuration; the first optimiser imports torch._dynamo to
#   exclude its own methods from tracing. That is 500 to 600 modules and 1 to 2 CPU seconds of every short program;
#   Lightning's Trainer(deterministic=False) takes the first path, Trainer() (None) does not.
# Output seen:
#   import torch                          dynamo 0 inductor 0 sympy 0
#   use_deterministic_algorithms(False)   dynamo 97 inductor 24 sympy 420
#   import torch                          dynamo 0 inductor 0 sympy 0
#   SGD([weight])                         dynamo 97 inductor 24 sympy 420
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.15.0 numpy==2.4.6
cat > "$folder/probe.py" <<'PY'
import sys


def imported(package):
    return sum(name == package or name.startswith(package + ".") for name in sys.modules)


def say(what):
    counts = {name: imported(package) for name, package in PACKAGES.items()}
    print(f"{what:<38}" + " ".join(f"{name} {count}" for name, count in counts.items()))
    return counts


PACKAGES = {"dynamo": "torch._dynamo", "inductor": "torch._inductor", "sympy": "sympy"}
import torch

before = say("import torch")
assert not torch.are_deterministic_algorithms_enabled()
if sys.argv[1] == "flag":
    torch.use_deterministic_algorithms(False)
    after = say("use_deterministic_algorithms(False)")
else:
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.1)
    after = say("SGD([weight])")
assert not any(before.values()), "import torch alone imports the compiler now"
assert after["dynamo"] > 50 and after["sympy"] > 100, "the compiler is no longer imported"
PY
"$folder/venv/bin/python" "$folder/probe.py" flag
"$folder/venv/bin/python" "$folder/probe.py" optimiser
