"""Training autoencoders: a whole run against pythae's trainer, and 50 latents an image against a loop by hand.

Each side is timed in a process of its own, in turns; the ratio is the median over the turns. pythae is installed beside
genexp for this: `uv run --with pythae python benchmarks/likelihood.py`.
"""

import argparse
import importlib.util
import logging
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from quick import parsed
from step_overhead import inside_lightning, joined

from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.hardware import keep_freed_memory

NETWORKS = ["model=vae", "model/encoder=mlp", "model/decoder=mlp", "data=digits"]
BINARY = ["model/reconstruction=bernoulli", "model.reconstruction.binarise=dynamic"]
WIDTH, LATENTS = 256, 12


def overrides(given):
    """The run of genexp that is timed."""
    bound = ["model/bound=iwae", f"model.bound.samples={given.samples}"] if given.part == "iwae" else []
    sizes = [f"data.batch_size={given.batch}", f"model.latent_size={LATENTS}"]
    return [*NETWORKS, *BINARY, *bound, *sizes, *(["model.optimizer.fused=true"] if given.fused else [])]


def ours(given):
    """Seconds of the processor a batch of a run, its data, averages and records included."""
    keep_freed_memory()  # as every command does
    return inside_lightning(overrides(given), given.batches, 20)


def by_hand(given):
    """Seconds a batch of a loop that many people would write: all latents of all images in one pass of the decoder."""
    config = compose("train", [*overrides(given), "trainer=cpu"])
    torch.manual_seed(0)
    model, data = build(config.model), build(config.data)
    data.setup()
    images = (joined(data.eval_loader("train"), 10**6)["image"] + 1) / 2
    networks = torch.nn.ModuleList([model.encoder, model.decoder])
    optimizer = torch.optim.Adam(networks.parameters(), 2e-3)
    for i in range(given.batches + 20):
        if i == 20:
            begun = time.process_time()
        image = images[torch.randint(len(images), (given.batch,))]
        image = (torch.rand_like(image) < image).float()
        mean, log_variance = model.encoder(image * 2 - 1, {}).chunk(2, 1)
        noise = torch.randn(given.samples, *mean.shape)
        latent = mean + (log_variance / 2).exp() * noise
        logits = model.decoder(latent.flatten(0, 1), {}).view(given.samples, *image.shape)
        pixels = -torch.nn.functional.binary_cross_entropy_with_logits(
            logits, image.expand_as(logits), reduction="none"
        ).flatten(2)
        prior, law = (
            -(latent.square() + math.log(2 * math.pi)) / 2,
            -(noise.square() + log_variance + math.log(2 * math.pi)) / 2,
        )
        weight = pixels.sum(2) + (prior - law).sum(2)
        loss = -(weight.logsumexp(0) - math.log(given.samples)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.process_time() - begun) / given.batches


def of_pythae(given):
    """Seconds a batch of pythae's trainer on networks of the same sizes; epochs of it are timed against fewer."""
    from pythae.data.datasets import BaseDataset, DatasetOutput
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.CRITICAL)
    data = build(compose("train", [*overrides(given), "trainer=cpu"]).data)
    data.setup()
    images = (joined(data.eval_loader("train"), 10**6)["image"] + 1) / 2

    class Binarised(BaseDataset):
        def __getitem__(self, index):
            return DatasetOutput(data=torch.bernoulli(self.data[index]), labels=self.labels[index])

    def seconds(epochs):
        size = {"per_device_train_batch_size": given.batch, "num_epochs": epochs}
        with tempfile.TemporaryDirectory() as folder:
            settings = BaseTrainerConfig(output_dir=folder, learning_rate=2e-3, no_cuda=True, **size)
            trainer = BaseTrainer(model_of_pythae(), Binarised(images, torch.zeros(len(images))), None, settings)
            begun = time.process_time()
            trainer.train()
            return time.process_time() - begun

    a_pass = math.ceil(len(images) / given.batch)
    more = max(1, round(given.batches / a_pass))
    return (seconds(1 + more) - seconds(1)) / (more * a_pass)


def model_of_pythae():
    """A VAE of pythae with two layers of `WIDTH` on either side."""
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from torch import nn

    def layers(before, after):
        return nn.Sequential(
            nn.Linear(before, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, after)
        )

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.layers = layers(64, 2 * LATENTS)

        def forward(self, image):
            mean, log_variance = self.layers(image.flatten(1)).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(layers(LATENTS, 64), nn.Sigmoid())

        def forward(self, latent):
            return ModelOutput(reconstruction=self.layers(latent).view(-1, 1, 8, 8))

    config = VAEConfig(input_dim=(1, 8, 8), latent_dim=LATENTS, reconstruction_loss="bce")
    return VAE(config, Encoder(), Decoder())


SIDES = {"ours": ours, "hand": by_hand, "pythae": of_pythae}
PARTS = {"trainer": "pythae", "iwae": "hand"}


def one(given, part, side):
    """Milliseconds a batch and MiB at most of one side, in a process of its own."""
    typed = [
        f"--{name}={value}" for name, value in vars(given).items() if name in ("batches", "samples", "batch", "threads")
    ]
    typed += ["--fused"] if given.fused else []
    child = [sys.executable, "-W", "ignore", __file__, f"--part={part}", f"--side={side}", *typed]
    told = subprocess.run(child, check=True, capture_output=True, text=True).stdout.split()[-2:]
    return tuple(map(float, told))


def main():
    """Print one row a part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, help="one part alone")
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--samples", type=int, default=50, help="latents an image, of iwae")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fused", action="store_true", help="ours steps its weights in one pass")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parsed(parser, batches=5, turns=1, part="iwae", samples=5)
    torch.set_num_threads(given.threads)
    if given.side:
        seconds = SIDES[given.side](given)
        print(seconds * 1e3, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    print(f"{'part':<10}{'against':<10}{'theirs ms':>10}{'ours ms':>10}{'ratio':>8}{'theirs MiB':>12}{'ours MiB':>10}")
    for part, other in PARTS.items():
        if given.part not in (None, part):
            continue
        if other == "pythae" and importlib.util.find_spec("pythae") is None:
            print(f"{part:<10}{other:<10} not installed: uv run --with pythae python benchmarks/likelihood.py")
            continue
        turns = [(one(given, part, other), one(given, part, "ours")) for _ in range(given.turns)]
        ratio = statistics.median(our[0] / their[0] for their, our in turns)
        middle = [statistics.median(turn[side][kind] for turn in turns) for kind in (0, 1) for side in (0, 1)]
        print(
            f"{part:<10}{other:<10}{middle[0]:>10.2f}{middle[1]:>10.2f}{ratio:>8.2f}{middle[2]:>12.0f}{middle[3]:>10.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
