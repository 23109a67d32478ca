"""Every `auto` of a training configuration settled, before anything is claimed or built."""

import torch
from omegaconf import DictConfig, open_dict

from genexp.hardware import chosen_threads, precision_of


def settle_hardware(config: DictConfig) -> None:
    """Replace every `auto` that depends on the machine, so that the saved configuration says what was used."""
    config.threads = chosen_threads(config.threads)
    trainer = config.trainer
    gpu = torch.cuda.is_available() and trainer.accelerator in ("auto", "gpu", "cuda")
    with open_dict(trainer):
        if trainer.get("precision") == "auto":
            trainer.precision = precision_of(gpu)
        if trainer.get("accelerator") == "auto":
            mps = torch.backends.mps.is_available()
            trainer.accelerator = "gpu" if gpu else "mps" if mps else "cpu"
