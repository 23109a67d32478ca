"""What the process that forks jobs does before the first: import everything once, and count the GPUs safely.

What is imported here is shared by all jobs. A library that makes something of its process at import (a temporary
folder, a socket, a thread) is left to the jobs: wandb makes two folders.
"""

import atexit
import contextlib
import gc
import importlib
import os
import pkgutil
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

PRELOADED = (
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "hydra.main",
    "sklearn.datasets",
    "rich.progress",
    "PIL.Image",
)
OWN = ("adversarial", "callbacks", "config", "data", "diffusion", "evaluation", "families", "inference", "latents")
OWN = (*OWN, "losses", "networks", "runs", "sampling", "tracking", "training")
"""Packages of ours that jobs need as a whole."""

STARTS_THREADS = ("pyarrow",)
"""Libraries that start threads at import; pandas, which sklearn imports, takes them where there are some."""

_FOR_EVERY_PROCESS = ("concurrent.futures.thread", "logging", "multiprocessing.util", "weakref")
"""Modules of Python whose exit handlers end what a process itself has begun: also what a job has begun."""

_inherited: list[Callable] = []


def preload(modules: Sequence[str] = ()) -> None:
    """Import what jobs need, and put it beyond the reach of the garbage collector, which would copy its pages.

    Args:
        modules: What they need beside `PRELOADED` and `OWN`.
    """
    gc.disable()  # nothing that is imported is garbage; looking for it takes a tenth of the time
    register = atexit.register

    def noted(function: Callable, *arguments: object, **keywords: object) -> Callable:
        if getattr(function, "__module__", None) not in _FOR_EVERY_PROCESS:
            _inherited.append(function)
        return register(function, *arguments, **keywords)

    atexit.register = noted
    try:
        with _absent(STARTS_THREADS):
            _import_all(modules)
    finally:
        atexit.register = register
    gc.freeze()
    gc.enable()


def require_one_thread() -> None:
    """Check that no import has started threads, which a fork would lack.

    Raises:
        RuntimeError: one has; named as far as Linux tells.
    """
    tasks = Path("/proc/self/task")
    if tasks.is_dir() and (others := [each for each in tasks.iterdir() if each.name != str(os.getpid())]):
        names = ", ".join(sorted({(each / "comm").read_text().strip() for each in others}))
        rule = "must be false where an import starts threads, which jobs would lack"
        raise RuntimeError(f"hydra.launcher.preload {rule}; started: {names}")


def disown() -> None:
    """In a fork: what libraries registered for the exit of the process that forks is not this process's to do."""
    for function in _inherited:
        atexit.unregister(function)
    _inherited.clear()
    for finalizer in list(weakref.finalize._registry):
        finalizer.atexit = False


def _import_all(modules: Sequence[str]) -> None:
    for name in (*PRELOADED, *modules):
        importlib.import_module(name)
    for package in OWN:
        path = importlib.import_module(f"genexp.{package}").__path__
        for module in pkgutil.walk_packages(path, f"genexp.{package}."):
            importlib.import_module(module.name)
    _compose_once()


@contextlib.contextmanager
def _absent(names: Sequence[str]) -> Iterator[None]:
    """Meanwhile these cannot be imported, as if they were not installed; a job finds them again."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _compose_once() -> None:
    from genexp.config.compose import compose

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
