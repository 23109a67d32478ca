"""What a command costs before its work: CPU seconds of `train`, `sample`, `evaluate` and `validate` with little to do.

With `--images` also `genexp sample num=64` and `genexp train` as they come, of so many training images.

Two checkouts in turn, as whole processes: this one and the one that `--against` names (for example
`git worktree add ../before <commit>`). Both run on this Python with its packages; the ratio is that of the medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from quick import parsed

HERE = Path(__file__).resolve().parents[1]
TRAIN = [
    "name=start",
    "logger=none",
    "threads=1",
    "trainer=cpu",
    "training.max_images=128",
    "callbacks.evaluate.num=16",
]


def commands(run: Path, images: int = 0) -> dict[str, list[str]]:
    """Each command with as little to do as it takes, and the quickstart where it is of some images."""
    length = [f"training.max_images={images}", "name=whole", "logger=none", "threads=1", "trainer=cpu"]
    whole = {"sample num=64": ["sample", f"run={run}", "num=64", "threads=1"], "quickstart": ["train", *length]}
    return {
        "train": ["train", *TRAIN],
        "sample": ["sample", f"run={run}", "num=1", "sampler.steps=1", "threads=1"],
        "evaluate": ["evaluate", f"run={run}", "num=16", "metrics=fd", "sampler.steps=1", "threads=1"],
        "validate": ["validate", "experiment=quickstart"],
        **(whole if images else {}),
    }


def cpu_seconds(checkout: Path, arguments: list[str], folder: Path) -> float:
    """CPU seconds of one command, and of the processes it waits for."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "GENEXP_OUTPUTS": str(folder)}
    environment |= {"GENEXP_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    with open(folder / "output.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "genexp", *arguments], env=environment, stdout=log, stderr=log, cwd=folder
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit((folder / "output.log").read_text())
    return usage.ru_utime + usage.ru_stime


def measure(checkouts: dict[str, Path], turns: int, images: int) -> None:
    """Print a Markdown table; the first turn warms the files and is not counted."""
    seconds: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for turn in range(turns + 1):
            for side, checkout in checkouts.items():
                folder = Path(temporary) / f"{side}{turn}"
                folder.mkdir()
                for name in commands(folder, images):
                    made = name.startswith(("sample", "evaluate"))
                    run = next((folder / "start").iterdir(), folder) if made else folder
                    spent = cpu_seconds(checkout, commands(run, images)[name], folder)
                    if turn:
                        seconds.setdefault((name, side), []).append(spent)
    print("| command | before: CPU s (range) | now: CPU s (range) | ratio |\n|---|---|---|---|")
    for name in commands(Path(), images):
        sides = [seconds[name, side] for side in checkouts]
        cells = [f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})" for each in sides]
        ratio = statistics.median(sides[1]) / statistics.median(sides[0])
        print(f"| `genexp {name}` | {' | '.join(cells)} | {ratio:.2f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, required=True, help="another checkout")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--images", type=int, default=0, help="training images of the quickstart; 0 leaves it out")
    given = parsed(parser, turns=1)
    measure({"before": given.against.resolve(), "now": HERE}, given.turns, given.images)
