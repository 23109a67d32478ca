#!/usr/bin/env bash
# torch 2.15.0 (CPU use), Python 3.11, numpy 2.4.6
#
# Guess, written down first: where no accelerator has been used, torch.manual_seed(n) sets the CPU's generator, in about a
#   microsecond, wherever it is called from.
# Behaviour: it also leaves a seed for CUDA, XPU and MTIA, should they be initialised later, and with each of the three the text
#   of the whole call stack, which is read anew from the source files every time. The cost grows with the depth of the stack:
#   a program that seeds every batch from within a training loop of some 40 frames pays about 0.4 ms a batch, a fifth of a
#   small network's step. torch.default_generator.manual_seed(n) draws the same numbers on the CPU without it.
# Output seen (times differ, the ratio is checked to be above 30):
#   stacks written down by one torch.manual_seed: 3
#   at depth  0: torch.manual_seed 114 us, default_generator.manual_seed 1.1 us
#   at depth 40: torch.manual_seed 403 us, default_generator.manual_seed 1.2 us
#   the same numbers: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.15.0 numpy==2.4.6
cat > "$folder/probe.py" <<'PY'
import time
import traceback

import torch

written, plain = [], traceback.format_stack
traceback.format_stack = lambda *given: written.append(1) or plain(*given)
torch.manual_seed(0)
traceback.format_stack = plain
print("stacks written down by one torch.manual_seed:", len(written))


def at_depth(depth, act):
    return act() if depth == 0 else at_depth(depth - 1, act)


def microseconds(act, repeats=1000):
    act(0)
    begun = time.process_time()
    for number in range(repeats):
        act(number)
    return (time.process_time() - begun) / repeats * 1e6


for depth in (0, 40):
    whole = at_depth(depth, lambda: microseconds(torch.manual_seed))
    own = at_depth(depth, lambda: microseconds(torch.default_generator.manual_seed))
    print(f"at depth {depth:2}: torch.manual_seed {whole:.0f} us, default_generator.manual_seed {own:.1f} us")
torch.manual_seed(5)
expected = torch.rand(3)
torch.default_generator.manual_seed(5)
print("the same numbers:", torch.equal(torch.rand(3), expected))
assert len(written) == 3, "another number of stacks is written down"
assert whole > 30 * own, "seeding from a deep stack is cheap now"
PY
"$folder/venv/bin/python" "$folder/probe.py"
