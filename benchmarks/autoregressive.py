"""What memory saves when images are drawn value by value: keys and values of a transformer, rows of Gated PixelCNN.

Both sides draw the same images from the same noise by the same code, once with what the network remembers and once by
running it over whole images for every value, in turn in one process; a ratio is the median over turns. The cost of a
whole image is the same for every value, so `--values` of them, evenly spread, stand for all; 0 draws all and compares
the images.
"""

import argparse
import statistics
import time

import torch
from quick import parsed

from genexp.contracts.in_order import Place
from genexp.densities.autoregressive import AutoregressiveCategorical
from genexp.densities.in_order import WholeImages
from genexp.networks.gated_pixelcnn import GatedPixelCNN
from genexp.networks.image_transformer import ImageTransformer
from genexp.sampling.ancestral import Ancestral
from genexp.tensors import IndexedNoise


def cases(size, levels):
    """The networks, with parameters of unit size, so that images are not all alike."""
    shape = (1, size, size)
    return {
        "image transformer, width 64, 4 blocks": ImageTransformer(shape, levels, width=64, depth=4, heads=4),
        "image transformer, 4 values a token": ImageTransformer(shape, levels, width=64, depth=4, heads=4, block=4),
        "Gated PixelCNN, width 32, 6 layers": GatedPixelCNN(shape, levels, width=32, depth=6),
    }


def with_memory(model, start, noise):
    """Seconds of all values, and the images."""
    begun = time.perf_counter()
    images = Ancestral().run(model, start, noise)
    return time.perf_counter() - begun, images


@torch.no_grad()
def without(model, start, noise, values):
    """Seconds of all values by whole images, and the images where all were drawn."""
    if not values:
        remembered, model.outputs = model.outputs, lambda num, condition: WholeImages(model.network, condition)
        try:
            return with_memory(model, start, noise)
        finally:
            model.outputs = remembered
    whole, image = WholeImages(model.network, {}), start.clamp(-1, 1)
    places: list[Place] = [(0, i // start.shape[3], i % start.shape[3]) for i in range(start[0].numel())]
    some = places[:: max(1, len(places) // values)][:values]
    begun = time.perf_counter()
    for place in some:
        whole(image, place).double().softmax(1).cumsum(1)
    return (time.perf_counter() - begun) * len(places) / len(some), None


def main():
    """Print one row a network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--levels", type=int, default=256)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--values", type=int, default=28, help="values that are drawn without memory; 0 = all of them")
    parser.add_argument("--threads", type=int, default=1)
    given = parsed(parser, images=4, values=8, turns=1)
    torch.set_num_threads(given.threads)
    print(f"{given.images} images of {given.size} x {given.size}, {given.levels} levels, {given.threads} threads")
    print(f"{'network':<40}{'whole images s':>16}{'with memory s':>16}{'ratio':>8}")
    for name, network in cases(given.size, given.levels).items():
        torch.manual_seed(0)
        torch.nn.init.normal_(network.head.weight if "transformer" in name else network.head.last.weight, std=0.3)
        model = AutoregressiveCategorical(network, network.shape, given.levels).eval()
        noise = IndexedNoise(0, range(given.images))
        start, sides = Ancestral().start(model, noise), []
        for _ in range(given.turns):
            whole, expected = without(model, start, noise, given.values)
            ours, images = with_memory(model, start, noise)
            if expected is not None:
                print(f"equal values: {float((images == expected).double().mean()):.4%}")
            sides.append((whole, ours))
        ratio = statistics.median(whole / ours for whole, ours in sides)
        whole, ours = (statistics.median(side) for side in zip(*sides, strict=True))
        print(f"{name:<40}{whole:>16.2f}{ours:>16.2f}{ratio:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
