"""What jobs run on: GPUs, or shares of the CPU's cores. Imports no torch."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from omegaconf import DictConfig

from genexp.hardware import usable_cores
from genexp.pool.environment import with_threads

GPU_WORDS = ("auto", "gpu", "cuda")


@dataclass(frozen=True)
class Need:
    """What one job runs on: `count` GPUs, or `count` processes on the CPU."""

    kind: str
    count: int
    threads: int | None = None


def need_of(config: DictConfig, gpus: int) -> Need:
    """The need that a job's configuration states.

    Args:
        config: The job's composed configuration.
        gpus: GPUs that this machine has.
    """
    trainer = config.trainer
    kind = "gpu" if gpus and str(trainer.accelerator) in GPU_WORDS else "cpu"
    threads = config.threads if isinstance(config.threads, int) else None
    return Need(kind, _processes(trainer.devices, gpus if kind == "gpu" else 1), threads)


def _processes(devices: int | str | Sequence[int], everything: int) -> int:
    if str(devices) in ("auto", "-1"):
        return everything
    if isinstance(devices, int) or str(devices).isdigit():
        return max(1, int(devices))
    numbers = [int(each) for each in (devices.split(",") if isinstance(devices, str) else devices)]
    return max(numbers, default=0) + 1


def visible_gpus(count: int) -> list[str]:
    """Names by which CUDA_VISIBLE_DEVICES calls the GPUs that this process may use."""
    listed = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return listed[:count] if listed else [str(i) for i in range(count)]


@dataclass
class Slots:
    """Free and taken places. A job takes as many places of its kind as it has processes.

    Args:
        gpus: The GPU of every GPU place; one GPU may have several places.
        cpus: Number of CPU places.
        gpu_threads: CPU threads of a GPU place.
        cpu_threads: CPU threads of a CPU place.
    """

    gpus: list[str]
    cpus: int
    gpu_threads: int = 1
    cpu_threads: int = 1
    _free: dict[str, list[str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._free = {"gpu": list(self.gpus), "cpu": [str(i) for i in range(self.cpus)]}

    def require_room(self, need: Need) -> None:
        """Refuse a job that could never start.

        Raises:
            ValueError: it asks for more GPUs than there are.
        """
        if need.kind == "gpu" and need.count > len(set(self.gpus)):
            raise ValueError(
                f"trainer.devices must be at most the {len(set(self.gpus))} GPUs of the sweep, got {need.count}"
            )

    def take(self, need: Need) -> list[str] | None:
        """Places for a job, or None while too few are free; places of one job lie on different GPUs."""
        free = self._free[need.kind]
        distinct = list(dict.fromkeys(free))
        count = need.count if need.kind == "gpu" else min(need.count, self.cpus)
        if len(distinct) < count:
            return None
        taken = distinct[:count]
        for place in taken:
            free.remove(place)
        return taken

    def give_back(self, need: Need, places: Sequence[str]) -> None:
        """Free the places of a job that has ended; a GPU with few jobs comes first again."""
        self._free[need.kind].extend(places)

    def threads(self, need: Need) -> int:
        """CPU threads of each of a job's processes."""
        return need.threads or (self.gpu_threads if need.kind == "gpu" else self.cpu_threads)

    def environment(self, need: Need, places: Sequence[str]) -> dict[str, str]:
        """Variables that keep a job to its places."""
        threads = with_threads({}, self.threads(need))
        return threads | ({"CUDA_VISIBLE_DEVICES": ",".join(places)} if need.kind == "gpu" else {})


def make_slots(
    slots: int | str, threads: int | str, needs: Sequence[Need], gpus: Sequence[str], idle: int | None = None
) -> Slots:
    """Places for the jobs of a sweep.

    Args:
        slots: `auto` (one place a GPU; on the CPU as many as the cores hold), a number of places, or a list of GPUs.
        threads: CPU threads of each job, or `auto`: the idle cores divided by the places, at least one.
        needs: What the jobs run on.
        gpus: Names of the GPUs that may be used.
        idle: Cores that were idle before the jobs; None for all.

    Raises:
        ValueError: `slots` or `threads` is none of these.
    """
    if not (slots == "auto" or (isinstance(slots, int) and slots > 0) or (isinstance(slots, list) and slots)):
        raise ValueError(f"hydra.launcher.slots must be auto, a number from 1 or a list of GPUs, got {slots!r}")
    if not (threads == "auto" or (isinstance(threads, int) and threads > 0)):
        raise ValueError(f"hydra.launcher.threads must be auto or a number from 1, got {threads!r}")
    cores = usable_cores()
    on_gpu, on_cpu = ([need for need in needs if need.kind == kind] for kind in ("gpu", "cpu"))
    gpu_places = _gpu_places(slots, list(gpus)) if on_gpu else []
    wanted = max([need.threads or 1 for need in on_cpu] + ([threads] if threads != "auto" else []), default=1)
    processes = sum(need.count for need in on_cpu)
    cpu_places = slots if isinstance(slots, int) else max(1, min(cores // wanted, processes))
    both = len(gpu_places) + (cpu_places if on_cpu else 0)
    share = max(1, (cores if idle is None else idle) // max(1, both)) if threads == "auto" else threads
    return Slots(gpu_places, cpu_places, gpu_threads=share, cpu_threads=share)


def _gpu_places(slots: int | str, gpus: list[str]) -> list[str]:
    if slots == "auto":
        return gpus
    if isinstance(slots, int):
        return [gpus[i % len(gpus)] for i in range(slots)]
    named = [str(each) for each in slots]
    unknown = [each for each in named if each not in gpus]
    if unknown:
        raise ValueError(f"hydra.launcher.slots must name GPUs among {', '.join(gpus)}, got {', '.join(unknown)}")
    return named
