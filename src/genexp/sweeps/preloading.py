"""What the process that forks jobs does before the first: import everything once, and count the GPUs safely."""

import gc
import importlib
import os
import pkgutil
import sys

PRELOADED = (
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "wandb",
    "hydra.main",
    "sklearn.datasets",
    "rich.progress",
    "PIL.Image",
)
COMMANDS = ("genexp.commands.train", "genexp.commands.closing", "genexp.commands.evaluate")
OWN = ("adversarial", "callbacks", "data", "diffusion", "evaluation", "families", "latents", "losses", "networks")


def preload() -> None:
    """Import what jobs need, and put it beyond the reach of the garbage collector, which would copy its pages."""
    gc.disable()  # nothing that is imported is garbage; looking for it takes a tenth of the time
    for name in (*PRELOADED, *COMMANDS, "genexp.runs.experiment"):
        importlib.import_module(name)
    for package in (*OWN, "sampling", "runs"):
        path = importlib.import_module(f"genexp.{package}").__path__
        for module in pkgutil.walk_packages(path, f"genexp.{package}."):
            importlib.import_module(module.name)
    _compose_once()
    gc.freeze()
    gc.enable()


def _compose_once() -> None:
    from genexp.runs.config import compose

    compose("train")


def count_gpus() -> int:
    """GPUs of this machine, counted in a child: whoever asks CUDA can no longer fork.

    Raises:
        RuntimeError: the child could not count them; it has printed why.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, _count().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        count = answer.read()
    _, status = os.waitpid(pid, 0)
    if not count.isdigit():
        reason = count or f"an exit status of {os.waitstatus_to_exitcode(status)}"
        raise RuntimeError(f"the number of GPUs must be found out before a sweep starts, got {reason}")
    return int(count)


def _count() -> str:
    """The number of GPUs, or the error that there was instead, whose traceback goes to the log."""
    try:
        import torch

        return str(torch.cuda.device_count())
    except BaseException as error:
        sys.excepthook(*sys.exc_info())
        return f"{type(error).__name__}: {error}"
