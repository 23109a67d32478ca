"""What a classifier gains from pictures that a generator drew, at several shares of the real training data: a table.

    python benchmarks/augmentation.py [--out FOLDER] [--seeds 0 1 2] [--generator RECIPE] [--images N] [--quick]

For every share and seed, a generator of classes (a VAE, or another recipe) is trained on that share of the training
digits alone, and `genexp augment` draws 120 pictures of every class from it. Three classifiers of the same length are
trained: on the real pictures, on both, and on the generated ones alone. All are judged by their last weights on the
400 test digits, which nothing else has seen. Everything is done by the commands that a person types, on folders of PNG
files; a training that is there is not repeated, so that processes with a seed each may share the work and a last one
print the table.
"""

import argparse
import os
import shutil
from pathlib import Path
from statistics import mean, stdev

import torch

from genexp.commands.augment import augment
from genexp.commands.train import train
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.runs.run_folder import RunFolder, runs_under
from genexp.tensors import to_uint8
from genexp.tracking.journal import save_png

SHARES, PER_CLASS = (0.1, 0.5, 1.0), 120
ARMS = {"real": ("real",), "real and generated": ("real", "generated"), "generated": ("generated",)}


def trained(name: str, root: Path, seed: int, images: int, *typed: str) -> RunFolder:
    """A run of this name on the folder `root`, trained if it is not there."""
    outputs = root.parent / "runs"
    there = [run for run in runs_under(outputs) if run.record["name"] == name and run.metrics]
    if not there:
        data = ["data=folder", f"data.source.root={root}", "data.image_size=8", "data.channels=1", "data.augment=[]"]
        data += ["data.num_classes=10", "data.source.test_share=0", "metrics=none", "logger=none", "threads=1"]
        length = [f"training.max_images={images}", f"training.evaluate_every={images}"]
        train(compose("train", [*typed, *data, *length, f"name={name}", f"seed={seed}", f"paths.outputs={outputs}"]))
        there = [run for run in runs_under(outputs) if run.record["name"] == name]
    return there[0]


def real_pictures(folder: Path, share: float, seed: int) -> None:
    """Write so many of the training digits of every class, chosen by the seed, and the test digits as `val`."""
    data = build(compose("train", ["data=digits"]).data)
    for split, place, part in (("train", "train", share), ("test", "val", 1.0)):
        batch = data.examples(split, torch.arange(data.split_size(split)))
        for label in range(10):
            rows = (batch["label"] == label).nonzero().flatten()
            order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
            (folder / place / str(label)).mkdir(parents=True, exist_ok=True)
            for row in rows[order[: max(1, round(part * len(rows)))]].tolist():
                save_png(to_uint8(batch["image"][row]), folder / place / str(label) / f"real_{row:06d}.png")


def accuracies(out: Path, share: float, seed: int, scale: float, generator: tuple[str, int]) -> dict[str, float]:
    """Accuracy on the test digits by what the classifier was trained on; the generator is a recipe and its images."""
    place = out / f"{share:g}_{seed}"
    own = place / "pictures"
    if not own.is_dir():
        real_pictures(own, share, seed)
    recipe, images = generator
    drawer = trained("generator", own, seed, int(images * scale), f"experiment={recipe}")
    drawn = place / "drawn"
    augment(compose("augment", [f"run={drawer.path}", f"per_class={PER_CLASS}", f"out={drawn}", "threads=1"]))
    found = {}
    for arm, parts in ARMS.items():
        root = place / arm.replace(" ", "_")
        shutil.copytree(own / "val", root / "val", dirs_exist_ok=True)
        for source in [{"real": own / "train", "generated": drawn}[part] for part in parts]:
            for label in map(str, range(10)):
                shutil.copytree(source / label, root / "train" / label, dirs_exist_ok=True)
        run = trained(f"classifier_{root.name}", root, seed, int(9_600 * scale), "model=classifier")
        found[arm] = run.metrics["values"]["val/accuracy"]
    return found


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("GENEXP_OUTPUTS", "outputs"), "augmentation"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--generator", default="vae/class_conditional", help="recipe of a model of classes")
    parser.add_argument("--images", type=int, default=30_000, help="images that it is trained on")
    parser.add_argument("--quick", action="store_true", help="a share of the pictures, one seed, tiny trainings")
    typed = parser.parse_args()
    out, scale = typed.out.resolve(), 0.02 if typed.quick else 1.0
    seeds, given = (typed.seeds[:1], SHARES[:1]) if typed.quick else (typed.seeds, SHARES)
    print(f"| share of the real digits | {' | '.join(ARMS)} | gain in points |\n|---|{'---|' * (len(ARMS) + 1)}")
    for share in given:
        rows = [accuracies(out, share, seed, scale, (typed.generator, typed.images)) for seed in seeds]
        cells = [
            f"{mean(r[arm] for r in rows):.2%} ± {stdev([r[arm] for r in rows]) if len(rows) > 1 else 0:.2%}"
            for arm in ARMS
        ]
        gains = [100 * (row["real and generated"] - row["real"]) for row in rows]
        told = f"{mean(gains):+.2f} ({', '.join(f'{gain:+.2f}' for gain in gains)})"
        print(f"| {share:.0%} | {' | '.join(cells)} | {told} |", flush=True)


if __name__ == "__main__":
    main()
