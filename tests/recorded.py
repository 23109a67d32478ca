"""What the records of a run and a sweep hold at least, for tests that write them without training anything."""

import json
import subprocess
import sys
from pathlib import Path

CONFIG = {
    "seed": 0,
    "threads": 1,
    "trainer": {"precision": "32-true"},
    "paths": {"outputs": "out"},
    "model": {"_target_": "genexp.families.vae.VAE"},
    "training": {"max_images": 1},
    "data": {"_target_": "genexp.data.datamodule.ImageData", "source": {"root": "/elsewhere"}},
    "sampler": {"_target_": "genexp.sampling.latent.Latent"},
    "callbacks": {},
}
SWEEP = {"id": "2026_abc", "started": "2026", "command": [], "jobs": []}

WANDB = Path(sys.executable).with_name("wandb")


def wandb_records(folder):
    """What W&B stored of a run offline, read with its own tool."""
    files = sorted((folder.path / "wandb").glob("offline-run-*/*.wandb"))
    out = []
    for file in files:
        done = subprocess.run(
            [WANDB, "leet", "inspect", "--json", str(file)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        out += [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
    return out
