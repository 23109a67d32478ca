"""What drawing a diffusion costs by sampler and precision, against DDIM of 25 steps in float32, and how near it comes.

Times are of whole drawings of untrained networks, the small one of the quickstart and that of CIFAR-10, in CPU-seconds
of the process, all ways in turn. With `--run` also the Fréchet distances of a finished run by every way and seed.
"""

import argparse
import os
import statistics
import time

import torch
from quick import parsed

from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.evaluation.frechet_distance import GaussianMoments, frechet_distance
from genexp.evaluation.moments import Moments
from genexp.hardware import cpu_features, keep_freed_memory
from genexp.inference.drawing import Drawing
from genexp.inference.run import load_run
from genexp.tensors import IndexedNoise, to_float, to_uint8

BASE = "DDIM 25"
WAYS = {
    BASE: ["sampler=ddim", "sampler.steps=25"],
    "2M 15": ["sampler=dpm_solver_2m", "sampler.steps=15"],
    "2M 10": ["sampler=dpm_solver_2m", "sampler.steps=10"],
    "2M 8": ["sampler=dpm_solver_2m", "sampler.steps=8"],
}
WAYS |= {f"{name}, bf16": [*told, "sampler.precision=bf16-mixed"] for name, told in WAYS.items()}
NETWORKS = {"small": ("quickstart", 64), "large": ("ddpm/cifar10", 2)}


def node(way):
    """The configuration of a sampler."""
    return compose("train", ["trainer=cpu", *WAYS[way]]).sampler


def times(which, given):
    """Print CPU-seconds of a drawing by every way, and the median ratio to `BASE`."""
    experiment, batch = NETWORKS[which]
    torch.manual_seed(0)
    model = build(compose("train", [f"experiment={experiment}", "trainer=cpu"]).model).eval().requires_grad_(False)
    denoiser, rows = model.source(), []
    told = {"label": torch.arange(batch) % 10} if denoiser.conditioning.names else {}
    for turn in range(given.turns + 1):
        row = {}
        for way in given.ways:
            sampler, noise = build(node(way)), IndexedNoise(0, range(batch))
            begun = time.process_time()
            sampler.run(denoiser, sampler.start(denoiser, noise), noise, told)
            row[way] = time.process_time() - begun
        rows += [row] if turn else []
    count = sum(p.numel() for p in model.network.parameters())
    print(f"{count:,} parameters, {batch} images, {given.turns} turns, load {os.getloadavg()[0]:.1f}")
    for way in given.ways:
        low, middle, high = statistics.quantiles([row[way] for row in rows], n=4) if len(rows) > 1 else [row[way]] * 3
        ratio = statistics.median(row[way] / row[BASE] for row in rows)
        print(f"  {way:<14}{middle:>8.3f} s ({low:.3f} to {high:.3f}){ratio:>8.3f}", flush=True)


def moments(extractor, images):
    """Moments of the features of images (N, C, H, W), of 8 bits."""
    found = Moments(extractor.dimensions)
    for part in to_float(to_uint8(images)).split(250):
        found.update(extractor(part))
    return found


def distances(given):
    """Print the Fréchet distance of a run to its training images by every way and drawing seed."""
    run = load_run(given.run)
    data, extractor = build(run.config.data), build(run.config.extractor)
    data.setup()
    real = GaussianMoments.fit(moments(extractor, torch.cat([each["image"] for each in data.reference("train")])))
    for way in given.ways:
        found = []
        for seed in range(given.seeds):
            images = Drawing(run, node(way), "cpu", seed, 256, {}).images(given.images)
            found.append(frechet_distance(moments(extractor, images), real).value)
        each = ", ".join(f"{value:.3f}" for value in found)
        print(f"  {way:<14}fd {statistics.mean(found):.3f}   ({each})", flush=True)


def main():
    """Print times, and distances where there is a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--run", help="a finished run of the quickstart")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    given = parsed(parser, networks=["small"], ways=[BASE, "2M 8, bf16"], turns=1)
    torch.set_num_threads(1)
    keep_freed_memory()
    print(f"{cpu_features()['name']}, torch {torch.__version__}")
    for which in given.networks:
        times(which, given)
    if given.run:
        distances(given)


if __name__ == "__main__":
    main()
