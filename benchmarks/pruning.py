"""What it costs to leave out the smallest weights of what draws: Fréchet distance, bytes and images/s, a table.

    python benchmarks/pruning.py [run ...] [--num 1000] [--quick]

Of every run of 8 x 8 digits (without one, `model=vae` is trained for 100,000 images) so many of the smallest weights
of all linear and convolution layers that draw are set to zero, over all layers together (`torch.nn.utils.prune`, global
magnitude), and nothing is trained again. Bytes are those of the averaged weights as safetensors, compressed by zlib, in
which zeros cost little; images/s those of dense kernels, which compute with zeros too. Reference: Han et al., "Learning
both Weights and Connections for Efficient Neural Networks" (2015), whose magnitudes are taken without the retraining.
"""

import argparse
import os
import tempfile
import time
import zlib
from pathlib import Path

import torch
from quick import parsed
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils import prune

from genexp.commands.train import train
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.contracts import FeatureExtractor
from genexp.evaluation.frechet_distance import GaussianMoments, frechet_distance
from genexp.evaluation.moments import Moments
from genexp.inference.run import Run, load_run
from genexp.runs.run_folder import runs_under
from genexp.tensors import to_float, to_uint8

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8)


def trained(images: int) -> Run:
    """A VAE of digits by its defaults."""
    outputs = Path(os.environ.get("GENEXP_OUTPUTS") or tempfile.mkdtemp()) / "pruning"
    length = [f"training.max_images={images}", f"training.evaluate_every={images}", "metrics=none", "logger=none"]
    train(compose("train", ["model=vae", "name=vae", *length, "threads=1", f"paths.outputs={outputs}"]))
    return load_run(next(runs_under(outputs)).path)


def layers_of(run: Run) -> list[nn.Module]:
    """Linear and convolution layers of what draws."""
    parts = [run.model.get_submodule(name) for name in run.model.averaged_modules]
    return [each for part in parts for each in part.modules() if isinstance(each, nn.Linear | nn.modules.conv._ConvNd)]


def pruned(folder: Path, share: float) -> Run:
    """The run with this share of the weights of its layers at zero."""
    run = load_run(folder)
    layers = [(layer.requires_grad_(True), "weight") for layer in layers_of(run)]
    if share:
        prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=share)
        for layer, name in layers:
            prune.remove(layer, name)
    run.model.requires_grad_(False)
    return run


def moments_of(features: Tensor) -> Moments:
    """Mean and covariance of features (N, D)."""
    found = Moments(features.shape[1])
    found.update(features)
    return found


def row_of(run: Run, num: int, real: GaussianMoments, extractor: FeatureExtractor) -> tuple[float, int, float]:
    """Fréchet distance, compressed bytes and images/s."""
    states = {name: run.model.get_submodule(name).state_dict() for name in run.model.averaged_modules}
    every = {f"{part}.{name}": value.clone() for part, state in states.items() for name, value in state.items()}
    begun = time.perf_counter()
    images = run.samples(num, seed=0)
    speed = num / (time.perf_counter() - begun)
    distance = frechet_distance(moments_of(extractor(to_float(to_uint8(images)))), real).value
    return distance, len(zlib.compress(save(every), 9)), speed


def main() -> None:
    """Print a table for every run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--images", type=int, default=100_000, help="images that the VAE is trained on")
    arguments = parsed(parser, num=100, images=1280)
    torch.set_num_threads(1)
    print("| run | weights at zero | Fréchet distance | bytes, compressed | images/s |\n|---|---|---|---|---|")
    shown = compose("train", ["data=digits"])
    extractor, data = build(shown.extractor), build(shown.data)
    data.setup()
    real = GaussianMoments.fit(moments_of(torch.cat([extractor(batch["image"]) for batch in data.training_images()])))
    for run in [load_run(each) for each in arguments.runs] or [trained(arguments.images)]:
        for share in SHARES:
            distance, size, speed = row_of(pruned(run.folder.path, share), arguments.num, real, extractor)
            name = run.folder.record["name"]
            print(f"| {name} | {share:.0%} | {distance:.2f} | {size:,} | {speed:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
