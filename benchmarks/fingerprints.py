"""What a fingerprint in the weights costs and survives: Fréchet distance and chance of the z that is found, a table.

    python benchmarks/fingerprints.py [run ...] [--num 1000] [--keys 3] [--quick]

Of every run of 8 x 8 digits (without one, `model=vae` is trained for 100,000 images) the weights get the fingerprint of
one key after the other. Told are the Fréchet distance of what is drawn, and the bound on the share of keys that are
found as well by chance (`genexp.inference.fingerprints`): in the weights as they are, after rounding to 16 bits
(bfloat16), after noise of a tenth of each tensor's deviation, and of another key.
"""

import argparse

import torch
from pruning import moments_of, trained
from quick import parsed
from torch import Tensor

from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.evaluation.frechet_distance import GaussianMoments, frechet_distance
from genexp.inference.fingerprints import agreement, chance, with_fingerprint
from genexp.inference.run import Run, load_run
from genexp.tensors import to_float, to_uint8

Weights = dict[str, Tensor]
NOISE = 0.1


def weights_of(run: Run) -> Weights:
    """What an exported file of a run holds: the tensors of what draws."""
    parts = {name: run.model.get_submodule(name).state_dict() for name in run.model.averaged_modules}
    return {f"{part}.{name}": value for part, state in parts.items() for name, value in state.items()}


def rounded(weights: Weights) -> Weights:
    """Weights after bfloat16."""
    return {name: value.bfloat16().float() if value.is_floating_point() else value for name, value in weights.items()}


def noisy(weights: Weights) -> Weights:
    """Weights with noise of a tenth of each tensor's deviation."""
    generator, made = torch.Generator().manual_seed(0), {}
    for name, value in weights.items():
        moved = value.is_floating_point() and value.numel() > 1
        noise = torch.randn(value.shape, generator=generator) * value.std() if moved else 0
        made[name] = value + NOISE * noise
    return made


def main() -> None:
    """Print a row for every run and key."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=3)
    parser.add_argument("--images", type=int, default=100_000, help="images that the VAE is trained on")
    arguments = parsed(parser, num=100, images=1280, keys=1)
    torch.set_num_threads(1)
    shown = compose("train", ["data=digits"])
    extractor, data = build(shown.extractor), build(shown.data)
    data.setup()
    real = GaussianMoments.fit(moments_of(torch.cat([extractor(batch["image"]) for batch in data.training_images()])))

    def distance(run: Run) -> float:
        drawn = to_float(to_uint8(run.samples(arguments.num, seed=0)))
        return frechet_distance(moments_of(extractor(drawn)), real).value

    print("| run | key | Fréchet distance | chance | 16 bits | noise | another key |\n|---|---|---|---|---|---|---|")
    for run in [load_run(each) for each in arguments.runs] or [trained(arguments.images)]:
        name = run.folder.record["name"]
        print(
            f"| {name} | none | {distance(run):.2f} | {chance(agreement(weights_of(run), 'key 0')):.2g} | | | |",
            flush=True,
        )
        for key in (f"key {number}" for number in range(arguments.keys)):
            marked = with_fingerprint(run, key)
            own = weights_of(marked)
            found = [chance(agreement(each, key)) for each in (own, rounded(own), noisy(own))]
            other = chance(agreement(own, f"not {key}"))
            told = " | ".join(f"{each:.1g}" for each in (*found, other))
            print(f"| {name} | {key} | {distance(marked):.2f} | {told} |", flush=True)


if __name__ == "__main__":
    main()
