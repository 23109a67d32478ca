"""Diffusion against lucidrains' denoising-diffusion-pytorch, and against itself: sampling, guidance, quality.

All sides of a ratio run in turn in one process with one number of threads; times are CPU-seconds of the process, which
other work on the machine moves less than the wall, and figures are medians over the turns. The package is no
dependency: `uv run --with denoising-diffusion-pytorch python benchmarks/peers.py`.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from quick import parsed
from torch import Tensor

from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.contracts import FeatureExtractor
from genexp.evaluation.frechet_distance import GaussianMoments, frechet_distance
from genexp.evaluation.moments import Moments
from genexp.hardware import cpu_features
from genexp.sampling.ddim import DDIM
from genexp.sampling.guidance import ClassifierFree
from genexp.tensors import IndexedNoise, to_float, to_uint8

Work = Callable[[], object]
"""What is timed."""


def cpu_seconds(work: Work) -> float:
    """CPU-seconds that a piece of work takes, of all threads."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def in_turn(sides: dict[str, Work], turns: int) -> dict[str, list[float]]:
    """CPU-seconds of every side in every turn, A B C A B C ..., after one turn to warm up."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(turns + 1):
        for name, work in sides.items():
            seconds = cpu_seconds(work)
            if turn:
                found[name].append(seconds)
    return found


def tell(title: str, found: dict[str, list[float]], base: str) -> None:
    """Print the median of every side with its quartiles, and the median over the turns of its ratio to `base`."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{title}: {len(found[base])} turns, load {load}")
    for name, seconds in found.items():
        low, middle, high = statistics.quantiles(seconds, n=4)
        ratio = statistics.median(other / own for other, own in zip(seconds, found[base], strict=True))
        print(f"  {name:<40}{middle * 1e3:>10.1f} ms ({low * 1e3:.1f} to {high * 1e3:.1f}){ratio:>8.3f}", flush=True)


def sampling(given: argparse.Namespace) -> None:
    """DDIM beyond the bare forward of the network, and guidance beyond none, on the same noise and classes."""
    sizes = (("digits, 177 k parameters", "cfg/digits", 64, 10), ("CIFAR-10, 35.7 M parameters", "ddpm/cifar10", 2, 4))
    for title, experiment, batch, count in sizes:
        torch.manual_seed(0)
        overrides = [f"experiment={experiment}", "trainer=cpu"]
        model = build(compose("train", [*overrides, "model.num_classes=10"]).model).eval().requires_grad_(False)
        denoiser, plain, guided = model.source(), DDIM(count), DDIM(count, guidance=ClassifierFree(2.0))
        told = {"label": torch.arange(batch) % 10}
        start = plain.start(denoiser, IndexedNoise(0, range(batch)))
        whole = denoiser.conditioning.whole(told, batch, start.device)
        times = [level.time for level in plain.levels(denoiser.schedule)][:-1]

        def forward(model=model, denoiser=denoiser, start=start, whole=whole, times=times, batch=batch) -> None:
            with torch.no_grad():
                for time_ in times:
                    model.network(start, denoiser.schedule.embedded(torch.full((batch,), time_)), whole)

        def by(sampler, denoiser=denoiser, start=start, told=told, batch=batch) -> Work:
            return lambda: sampler.run(denoiser, start, IndexedNoise(0, range(batch)), told)

        sides = {"forward alone": forward, "sampled": by(plain)}
        tell(f"sampling of {title}, {batch} images, {count} steps", in_turn(sides, given.turns), "forward alone")
        sides = {"unguided": by(plain), "guided": by(guided)}
        tell(f"guidance of {title}", in_turn(sides, given.turns), "unguided")


DATA = {
    "digits": ["data=digits"],
    "mnist": [
        *("data=mnist", "data.image_size=28", "data.batch_size=32"),
        *("model.network.multipliers=[1,2,2]", "model.network.attention=[7]"),
    ],
}
"""What is typed beside the quickstart for images of either data set."""


def quality(given: argparse.Namespace) -> None:
    """The Fréchet distance after equal CPU-seconds of training, either side at its defaults, no classes.

    Features of both data sets are of the shipped classifier of digits of 8 pixels, to which larger ones are brought.
    """
    torch.manual_seed(given.seed)
    typed = [f"data={given.data}", "extractor=digits_classifier", "trainer=cpu"]
    config = compose("train", [*typed, *(each for each in DATA[given.data] if each.startswith("data."))])
    data, extractor = build(config.data), build(config.extractor)
    data.setup()
    train = torch.cat([batch["image"] for batch in data.reference("train")])
    real = GaussianMoments.fit(moments(extractor, train))
    for side in (lambda: _ours(given), lambda: _theirs(train, given)):
        name, images, spent = side()
        distance = frechet_distance(moments(extractor, images), real).value
        print(f"quality, seed {given.seed}: {name}: fd {distance:.2f} of {len(images):,} images, {spent}", flush=True)


def moments(extractor: FeatureExtractor, images: Tensor) -> Moments:
    """Moments of the features of images (N, C, H, W), of 8 bits."""
    found = Moments(extractor.dimensions)
    for part in to_float(to_uint8(images)).split(250):
        found.update(extractor(part))
    return found


def _ours(given: argparse.Namespace) -> tuple[str, Tensor, str]:
    """A run of `genexp train`, as long as a short one says that fits into the time, with all that it does beside."""
    from genexp.commands.train import train
    from genexp.inference.run import load_run
    from genexp.runs.run_folder import runs_under

    def trained(images: int, folder: str):
        typed = ["experiment=quickstart", *DATA[given.data], "model.num_classes=null", "metrics=none"]
        typed += [f"training.max_images={images}"]
        typed += [f"training.evaluate_every={images}", "training.monitor=null", "logger=none", "trainer=cpu"]
        typed += ["trainer.precision=32-true", f"paths.outputs={folder}", f"seed={given.seed}"]
        config = compose("train", [*typed, f"threads={given.threads}", "callbacks.sample_grid.num=1"])
        return cpu_seconds(lambda: train(config)), next(iter(runs_under(Path(folder))))

    with tempfile.TemporaryDirectory() as folder:
        short, long = 1_280, 6_400
        first, second = trained(short, f"{folder}/a")[0], trained(long, f"{folder}/b")[0]
        rate = (second - first) / (long - short)
        images = int((given.seconds - first) / rate + short) // 128 * 128
        spent, found = trained(images, f"{folder}/c")
        drawn = load_run(found.path).samples(given.images, seed=given.seed)
    return "genexp", drawn, f"{images:,} training images in {spent:.1f} CPU-s"


def _theirs(train: Tensor, given: argparse.Namespace) -> tuple[str, Tensor, str]:
    """What lucidrains' Trainer does at its defaults but for mirrored images, which digits are not.

    Its network halves three times: images get a margin of black up to a side that 8 divides, which is cut off again.
    """
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet
    from ema_pytorch import EMA

    margin = -train.shape[-1] % 8 // 2
    train = torch.nn.functional.pad(train, [margin] * 4, value=-1.0)
    side = train.shape[-1]
    network = Unet(dim=64, dim_mults=(1, 2, 4, 8), channels=1)
    process = GaussianDiffusion(network, image_size=side, sampling_timesteps=given.peer_steps)
    averaged = EMA(process, beta=0.995, update_every=10)
    optimizer = torch.optim.Adam(process.parameters(), lr=1e-4, betas=(0.9, 0.99))
    begun, count = time.process_time(), 0
    while time.process_time() - begun < given.seconds:
        loss = process((train[torch.randint(len(train), (16,))] + 1) / 2)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(process.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        averaged.update()
        count += 16
    spent = time.process_time() - begun
    averaged.ema_model.eval()
    with torch.no_grad():
        drawn = torch.cat([averaged.ema_model.sample(batch_size=100) for _ in range(given.images // 100)]) * 2 - 1
    drawn = drawn[..., margin : side - margin, margin : side - margin]
    return "lucidrains", drawn, f"{count:,} training images in {spent:.1f} CPU-s"


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"sampling": sampling, "quality": quality}
    parser.add_argument("--only", choices=parts, help="one part; all by default")
    parser.add_argument("--data", choices=DATA, default="digits", help="of quality; mnist asks for its files")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=120, help="CPU-seconds of training")
    parser.add_argument("--images", type=int, default=1000, help="images drawn for a distance, hundreds")
    parser.add_argument("--peer-steps", type=int, default=25, help="sampling steps of lucidrains' package, by DDIM")
    parser.add_argument("--seed", type=int, default=0)
    given = parsed(parser, turns=2, only="sampling")
    torch.set_num_threads(given.threads)
    cpu = cpu_features()
    units = [key for key in ("amx_bf16", "avx512_bf16") if cpu[key]]
    print(f"{cpu['name']}, {given.threads} threads, {' '.join(units) or 'no bf16 units'}, torch {torch.__version__}")
    for name, part in parts.items():
        if given.only in (None, name):
            part(given)


if __name__ == "__main__":
    main()
