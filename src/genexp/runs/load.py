"""A run folder made live again: its configuration, its values, its model, its pictures."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from genexp.runs.config import load_config
from genexp.runs.folder import RunFolder


@dataclass(frozen=True)
class Run:
    """One run, read from its folder alone.

    Attributes:
        folder: The files.
        weights: Which weights `model` carries: `averaged` (the raw ones where a run kept no average) or `raw`.
        checkpoint: The checkpoint file that `model` is read from.
    """

    folder: RunFolder
    weights: str
    checkpoint: Path

    @cached_property
    def config(self) -> DictConfig:
        """The resolved configuration of the run."""
        return load_config(self.folder.config_path)

    @cached_property
    def model(self) -> Any:
        """The trained family on the CPU, in evaluation mode."""
        from genexp.callbacks.checkpoint import load_checkpoint
        from genexp.runs.build import build

        checkpoint = load_checkpoint(self.checkpoint)
        model = build(self.config.model)
        model.load_state_dict(checkpoint["state_dict"])
        model.on_load_checkpoint(checkpoint)
        if self.weights == "averaged":
            for name, state in checkpoint.get("averaged", {"modules": {}})["modules"].items():
                model.get_submodule(name).load_state_dict(state, strict=False)
        return model.eval().requires_grad_(False)

    @property
    def metrics(self) -> dict[str, Any]:
        """The closing values."""
        return self.folder.metrics

    @property
    def history(self) -> list[dict[str, float]]:
        """Every logged line, each with `images_seen`."""
        return self.folder.history()

    @property
    def pictures(self) -> list[Path]:
        """The PNG files drawn during training and by `genexp sample`, in order of name."""
        return sorted(self.folder.samples.rglob("*.png"))


def load_run(path: Path | str, weights: str = "averaged", checkpoint: str | None = None) -> Run:
    """Open a run folder for use in Python.

    Args:
        path: The run folder, or any file in it.
        weights: `averaged` or `raw`.
        checkpoint: `best`, `last`, or a file; by default `best` where the run kept one.

    Raises:
        FileNotFoundError: there is no run, or it has no such checkpoint.
    """
    if weights not in ("averaged", "raw"):
        raise ValueError(f"weights must be averaged or raw, got {weights!r}")
    folder = RunFolder.open(path)
    if checkpoint is None:
        checkpoint = "best" if (folder.checkpoints / "best.ckpt").is_file() else "last"
    file = folder.checkpoints / f"{checkpoint}.ckpt" if checkpoint in ("best", "last") else Path(checkpoint)
    if not file.is_file():
        raise FileNotFoundError(f"checkpoint must be best, last or a file of the run {folder.path}, got {checkpoint}")
    return Run(folder, weights, file)
