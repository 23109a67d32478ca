"""Real training runs made tiny: the same command, configuration and files as a user's, in a second or two."""

from pathlib import Path

import torch

from genexp.commands.train import train
from genexp.config.compose import compose
from genexp.runs.run_folder import RunFolder, runs_under

SMALL = {
    "diffusion": ["model.network.width=16", "sampler.steps=5"],
    "gan": ["model.generator.width=8", "model.critic.discriminator.width=8"],
    "vae": [],
    "style": [
        "data.image_size=32",
        "training.max_images=8",
        "training.evaluate_every=4",
        "training.checkpoint_every=3",
    ],
}
LENGTH = [
    "data.batch_size=32",
    "training.max_images=320",
    "training.evaluate_every=128",
    "training.checkpoint_every=96",
]
COMMON = [
    "trainer=cpu",
    "logger=none",
    "threads=1",
    "trainer.precision=32-true",
    "callbacks.sample_grid.num=2",
    "callbacks.sample_grid.columns=null",
    "callbacks.evaluate.num=8",
    "trainer.limit_val_batches=1",
]
FAMILIES = list(SMALL)


def overrides_for(family: str) -> list[str]:
    """Overrides that make a family's default recipe tiny."""
    length = [] if family == "style" else [*LENGTH, "data.limit=100", "training.log_every=64"]
    return [f"model={family}", *COMMON, *length, *SMALL[family]]


def run(overrides: list[str]) -> RunFolder:
    """Train in this process and return the folder of the run."""
    config = compose("train", overrides)
    train(config)
    return newest(Path(config.paths.outputs))


def newest(outputs: Path) -> RunFolder:
    """The run that was started last."""
    return next(runs_under(outputs))


def checkpoint(folder: RunFolder, name: str = "last") -> dict:
    """A checkpoint's plain containers."""
    return torch.load(folder.checkpoints / f"{name}.ckpt", weights_only=True)


def differences(a, b, path: str = "") -> list[str]:
    """Where two nested containers of tensors differ, bitwise."""
    if isinstance(a, torch.Tensor):
        return [] if isinstance(b, torch.Tensor) and torch.equal(a, b) else [path]
    if isinstance(a, dict):
        if not isinstance(b, dict) or set(a) != set(b):
            return [f"{path}: keys"]
        return [found for key in a for found in differences(a[key], b[key], f"{path}.{key}")]
    if isinstance(a, list | tuple):
        if len(a) != len(b):
            return [f"{path}: length"]
        return [found for i, (x, y) in enumerate(zip(a, b)) for found in differences(x, y, f"{path}[{i}]")]
    return [] if a == b else [f"{path}: {a} != {b}"]
