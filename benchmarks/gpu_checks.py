"""What must hold of training and drawing on a card: parts of `gpu.py`, which run on a CPU as well.

Every check trains real runs in a temporary folder and returns what is wrong, in words; an empty list is a pass.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import torch

from genexp.commands.train import train
from genexp.config.compose import compose
from genexp.families.base import Family
from genexp.inference.run import load_run
from genexp.runs.run_folder import runs_under

COMMON = ["logger=none", "threads=1", "callbacks.sample_grid.num=2", "callbacks.sample_grid.columns=null"]
COMMON += ["callbacks.evaluate.num=8", "trainer.limit_val_batches=1"]
LENGTH = ["data.batch_size=32", "training.max_images=320", "training.evaluate_every=160", "data.limit=100"]
LENGTH += ["training.checkpoint_every=96", "training.log_every=64"]
FAMILIES = {
    "diffusion": ["model=diffusion", "model.network.width=16", "sampler.steps=5", *LENGTH],
    "gan": ["model=gan", "model.generator.width=8", "model.critic.discriminator.width=8", *LENGTH],
    "bigan": ["model=bigan", *LENGTH],
    "vae": ["model=vae", *LENGTH],
    "hierarchy": ["model=hierarchy", *LENGTH],
    "quantised": ["model=quantised", *LENGTH],
    "likelihood": ["model=likelihood", *LENGTH],
    "classifier": ["experiment=digits_classifier", *LENGTH],
    "style": ["model=style", "data.image_size=32", "training.max_images=8", "training.evaluate_every=4"],
}
"""Overrides that make the default recipe of a family tiny."""

PRECISIONS = {
    "float32": ["trainer.precision=32-true"],
    "bf16-mixed": ["trainer.precision=bf16-mixed"],
    "fp16-mixed": ["trainer.precision=16-mixed"],
    "compiled": ["trainer.precision=32-true", "training.compile=true"],
}
ON_CARDS_ALONE = ("fp16-mixed",)
WAITING = ("fp16-mixed",)
"""Ways in which a step has to wait: PyTorch's scaler of gradients asks the card whether they are finite."""


def trained(overrides: list[str], folder: Path) -> Path:
    """The folder of a run that was trained here, whether it came to its end or not."""
    config = compose("train", [*overrides, *COMMON, f"paths.outputs={folder}"])
    with suppress(KeyboardInterrupt, SystemExit):
        train(config)
    return next(iter(runs_under(folder))).path


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The weights of a run's last checkpoint, and its averages."""
    kept = torch.load(run / "checkpoints/last.ckpt", map_location="cpu", weights_only=True)
    averaged = kept.get("averaged", {}).get("modules", {})
    found = {f"averaged {part}.{name}": value for part, each in averaged.items() for name, value in each.items()}
    return {**kept["state_dict"], **found}


def unlike(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> list[str]:
    """Names whose tensors are not the same bit for bit."""
    names = [name for name in first if name not in second or not torch.equal(first[name], second[name])]
    return names + [name for name in second if name not in first]


@contextmanager
def interrupted(batch: int) -> Iterator[None]:
    """Within, training is interrupted, as by Ctrl-C, before batch number `batch`."""
    step = Family.training_step

    def until(self: Family, *given: object) -> None:
        if self.batches == batch:
            raise KeyboardInterrupt
        step(self, *given)

    with mock.patch.object(Family, "training_step", until):
        yield


@contextmanager
def watched(found: list[str]) -> Iterator[None]:
    """Within, every wait for the card in a training step from the third batch on is written down."""
    step = Family.training_step

    def watch(self: Family, *given: object) -> None:
        if not torch.cuda.is_available() or self.batches < 2:
            return step(self, *given)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                step(self, *given)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        told = [each for each in caught if "synchroniz" in str(each.message)]
        found.extend(f"{Path(each.filename).name}:{each.lineno} waits for the card" for each in told)
        return None

    with mock.patch.object(Family, "training_step", watch):
        yield


def trains(family: str, way: str, device: str, folder: Path) -> list[str]:
    """A short training with averages and evaluation: it ends with finite weights and waits for the card in no step."""
    waits: list[str] = []
    with watched(waits):
        run = trained([*FAMILIES[family], *PRECISIONS[way], f"trainer={device}"], folder)
    if not (run / "metrics.json").is_file():
        return ["did not come to its end"]
    broken = [name for name, value in weights(run).items() if not torch.isfinite(value.float()).all()]
    return [f"{name} is not finite" for name in broken[:3]] + ([] if way in WAITING else sorted(set(waits)))


def resumes(family: str, device: str, folder: Path, other: tuple[str, ...] = ()) -> list[str]:
    """A run that is interrupted and resumed has the bits of one that never was; `other` changes the interrupted one."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    typed = [*FAMILIES[family], *PRECISIONS["float32"], f"trainer={device}", "trainer.deterministic=true"]
    whole = trained(typed, folder / "whole")
    with interrupted(3 if family == "style" else 7):
        part = trained([*typed, *other], folder / "part")
    if (part / "metrics.json").is_file():
        return ["was to be interrupted, and came to its end"]
    again = [f"resume={part}", f"paths.outputs={folder / 'part'}"]
    train(compose("train", [*typed, *other, *COMMON, *again]))
    return [f"{name} is not the same after a resume" for name in unlike(weights(whole), weights(part))[:3]]


def draws(family: str, device: str, folder: Path, other_seed: int = 0) -> list[str]:
    """Sample i depends on (seed, i) alone: the first of four are those of two, but for the rounding of kernels."""
    if family in ("classifier", "style"):
        return []
    run = load_run(trained([*FAMILIES[family], *PRECISIONS["float32"], f"trainer={device}"], folder))
    where = "cuda" if device == "gpu" else device
    few, many = run.samples(2, seed=other_seed, device=where), run.samples(4, seed=0, device=where)
    apart = float((few - many[:2]).abs().max())
    return [] if apart < 1e-2 else [f"samples differ by {apart:.3g} with how many are drawn"]
