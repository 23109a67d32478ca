#!/usr/bin/env bash
# ema-pytorch 0.8.3, torch 2.15.0 (CPU), Python 3.11
#
# Guess, written down first: KarrasEMA(model, sigma_rel=0.05) and PostHocEMA(model, sigma_rels=(0.05, 0.28)), updated after every
#   step, keep averages of the relative width that they are given, whatever update_every is, as a way to
#   save time. If the one weight of a model equals the number of its step, the average after T steps is then about
#   T (gamma + 1) / (gamma + 2), which is 0.95 T for 0.05 (gamma 16.97) and 0.54 T for 0.28 (gamma 0.17; Karras et al. 2024, section 3.1).
# Behaviour: the decay is that of one step, (1 - 1 / (t + 1))^(gamma + 1), but it is applied once in update_every steps, by default
#   100. gamma + 1 so becomes a hundredth of itself: with defaults the average lies in the first sixth of training for 0.05, and all
#   but at the initial weights for 0.28. With update_every=1 both are as guessed.
# Output seen:
#   sigma_rel 0.05  update_every   1  average at 0.947 T  (guess 0.947 T)
#   sigma_rel 0.05  update_every  10  average at 0.642 T  (guess 0.947 T)
#   sigma_rel 0.05  update_every 100  average at 0.152 T  (guess 0.947 T)
#   sigma_rel 0.28  update_every   1  average at 0.539 T  (guess 0.539 T)
#   sigma_rel 0.28  update_every  10  average at 0.105 T  (guess 0.539 T)
#   sigma_rel 0.28  update_every 100  average at 0.012 T  (guess 0.539 T)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.15.0 numpy==2.4.6 ema-pytorch==0.8.3
cat > "$folder/probe.py" <<'PY'
import torch
from ema_pytorch.post_hoc_ema import KarrasEMA

STEPS = 20_000


def place_of_average(sigma_rel, **options):
    """Where in training the average lies, of 1, for a weight that equals the number of its step."""
    model = torch.nn.Linear(1, 1, bias=False).double()
    model.weight.data.zero_()
    average = KarrasEMA(model, sigma_rel=sigma_rel, **options)
    for step in range(1, STEPS + 1):
        model.weight.data.fill_(step)
        average.update()
    return average.ema_model.weight.item() / STEPS, average


assert KarrasEMA(torch.nn.Linear(1, 1), sigma_rel=0.05).update_every == 100, "the default"
seen = {}
for sigma_rel in (0.05, 0.28):
    for every in (1, 10, 100):
        place, average = place_of_average(sigma_rel, update_every=every)
        guess = (average.gamma + 1) / (average.gamma + 2)
        shrunk = (average.gamma + 1) / every
        seen[sigma_rel, every] = place, guess, shrunk / (shrunk + 1)
        print(f"sigma_rel {sigma_rel}  update_every {every:>3}  average at {place:.3f} T  (guess {guess:.3f} T)")
for (sigma_rel, every), (place, guess, stretched) in seen.items():
    assert abs(place - stretched) < 0.01, (sigma_rel, every, place, stretched)
    assert (abs(place - guess) < 0.01) == (every == 1), (sigma_rel, every, place, guess)
PY
"$folder/venv/bin/python" "$folder/probe.py"
