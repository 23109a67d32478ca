"""What a sweep costs: the pool launcher against Hydra's basic one, and the CPU seconds of a job that hardly trains.

Wall time: the same jobs, of about `--seconds` of one-thread training each, through every launcher in turn; ratios to
the first of them. joblib is measured where hydra-joblib-launcher is installed. Jobs are told `threads=1`, but for the
rows `as it comes`, where nobody says how many threads a job may take: the pool divides the cores, joblib does not.
Beside each stands what two places need for the training alone, by the jobs' own clocks.

Fixed cost: CPU seconds of everything in a sweep of jobs that train a single batch, the processes it starts included;
once with `--jobs` of them and once with one, so that the cost of one more job stands apart from the cost of the first.
"""

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from quick import parsed

TINY = [
    "model=vae",
    "data=digits",
    "trainer=cpu",
    "trainer.precision=32-true",
    "threads=1",
    "logger=none",
    "callbacks.sample_grid.num=2",
    "callbacks.sample_grid.columns=null",
]
UNTESTED = ["training.monitor=null", "trainer.limit_val_batches=0", "metrics=none"]
LAUNCHERS = {
    "basic": ["hydra/launcher=basic"],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "pool": [],
    "joblib as it comes": ["hydra/launcher=joblib", "threads=auto"],
    "pool as it comes": ["threads=auto"],
    "pool, nothing preloaded": ["hydra.launcher.preload=false"],
}


def timed(arguments: list[str], outputs: Path) -> tuple[float, float]:
    """Wall and CPU seconds of one command and of every process that it waits for."""
    environment = {
        **os.environ,
        "GENEXP_OUTPUTS": str(outputs),
        "GENEXP_CACHE": str(outputs.parent / "cache"),
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
    }
    begun = time.perf_counter()
    with open(outputs.parent / "output.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "genexp", "train", *arguments], env=environment, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"genexp train {' '.join(arguments)} must succeed\n{log_tail(outputs.parent)}")
    return time.perf_counter() - begun, usage.ru_utime + usage.ru_stime


def log_tail(folder: Path) -> str:
    """The end of what the last command printed."""
    return "\n".join((folder / "output.log").read_text().splitlines()[-15:])


def speed(folder: Path) -> float:
    """Images a second of the job on this machine, from a short run."""
    outputs = folder / "calibration"
    timed([*TINY, *UNTESTED, "training.max_images=20000", "training.checkpoint_every=1000000000"], outputs)
    (metrics,) = outputs.rglob("metrics.json")
    closing = json.loads(metrics.read_text())
    return closing["images_seen"] / closing["seconds"]


Times = dict[str, list[tuple[float, float]]]


def wall_times(launchers: list[str], jobs: int, images: int, turns: int, folder: Path) -> Times:
    """Wall seconds of the sweep through every launcher, in turn, and the training seconds of all of its jobs."""
    seconds: Times = {name: [] for name in launchers}
    seeds = ",".join(str(seed) for seed in range(jobs))
    length = [f"training.max_images={images}", "training.checkpoint_every=1000000000"]
    for turn in range(turns):
        for name in launchers:
            outputs = folder / f"{name}_{turn}".replace(" ", "_")
            wall, _ = timed(["-m", *TINY, *UNTESTED, *length, *LAUNCHERS[name], f"seed={seeds}"], outputs)
            finished = sum(json.loads(path.read_text())["state"] == "finished" for path in outputs.rglob("run.json"))
            if finished != jobs:
                raise RuntimeError(f"{name} must finish {jobs} jobs, finished {finished}")
            trained = sum(json.loads(path.read_text())["seconds"] for path in outputs.rglob("metrics.json"))
            seconds[name].append((wall, trained))
            shutil.rmtree(outputs)
    return seconds


def fixed_costs(launchers: list[str], jobs: int, folder: Path) -> dict[str, tuple[float, float]]:
    """CPU seconds of a sweep of one job that hardly trains, and of each further job."""
    costs = {}
    length = ["training.max_images=32", "data.batch_size=32", "training.checkpoint_every=1000000000"]
    for name in launchers:
        spent = []
        for count in (1, jobs):
            seeds = ",".join(str(seed) for seed in range(count))
            outputs = folder / f"fixed_{name}_{count}".replace(" ", "_")
            spent.append(timed(["-m", *TINY, *UNTESTED, *length, *LAUNCHERS[name], f"seed={seeds}"], outputs)[1])
        costs[name] = (spent[0], (spent[1] - spent[0]) / (jobs - 1))
    return costs


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=8, help="jobs of a sweep, at least 2")
    parser.add_argument("--seconds", type=float, default=20.0, help="training time of a job; 0 leaves wall times out")
    parser.add_argument("--turns", type=int, default=1, help="how often every launcher is timed")
    parser.add_argument("--launchers", nargs="+", choices=LAUNCHERS, default=list(LAUNCHERS), help="which of them")
    options = parsed(parser, jobs=2, seconds=0.0, launchers=["pool"])
    found = importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is not None
    launchers = [name for name in options.launchers if "joblib" not in name or found]
    with tempfile.TemporaryDirectory(prefix="genexp-sweep-") as temporary:
        folder = Path(temporary)
        if options.seconds > 0:
            images = max(64, round(speed(folder) * options.seconds))
            compared = [name for name in launchers if "," not in name]
            times = wall_times(compared, options.jobs, images, options.turns, folder)
            print(f"{options.jobs} jobs of {images:,} images, about {options.seconds:g} s of one thread each")
            first = compared[0]
            for name, measured in times.items():
                wall, trained = (statistics.median(column) for column in zip(*measured, strict=True))
                ratio = statistics.median(a / b for (a, _), (b, _) in zip(measured, times[first], strict=True))
                print(
                    f"  {name:<24}{wall:8.1f} s   {ratio:.2f} of {first}   training in two places {trained / 2:.1f} s"
                )
            if not found:
                print("  joblib                  not installed (hydra-joblib-launcher)")
        print(f"CPU seconds beyond training, {options.jobs} jobs")
        fixed = [name for name in launchers if "as it comes" not in name]
        for name, (first, further) in fixed_costs(fixed, options.jobs, folder).items():
            shared = (first + further * (options.jobs - 1)) / options.jobs
            print(f"  {name:<24}{first:6.2f} the first   {further:6.2f} each further   {shared:6.2f} a job of all")


if __name__ == "__main__":
    main()
