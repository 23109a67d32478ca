"""What evaluation costs: the Fréchet distance, its memory, the rate of images, and the work beside the network.

Both sides of every ratio run in one process, in turn; the figures are medians over the turns. Memory is measured in a
process of its own.
"""

import argparse
import time
from functools import partial

import numpy as np
import scipy
import torch
from memory_of_evaluation import memory, memory_of_this_process
from quick import parsed
from threadpoolctl import threadpool_limits
from torch.utils.data import Dataset
from values_of_features import distance, in_turn, neighbours, seconds_of, statistics_alone

from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.extractors.classifiers import ClassifierFeatures
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.frechet import FrechetDistance
from genexp.evaluation.metrics.kernel import KernelDistance
from genexp.evaluation.metrics.precision_recall import PrecisionRecall
from genexp.hardware import cpu_features
from genexp.networks.compact_vgg import CompactVGG
from genexp.shipped import ASSETS
from genexp.tensors import to_float


class NetworkFeatures:
    """A `CompactVGG` as an extractor."""

    name, digest, resize = "benchmark", "0" * 64, "none"

    def __init__(self, network):
        self.network, self.dimensions = network, network.num_features

    def __call__(self, image):
        return self.network.features(image)


class Pictures(Dataset):
    """uint8 images (3, H, W), as torch-fidelity takes them."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        return self.images[row]


def extractor_and_kind():
    """The shipped features, or where they are missing those of the same network with random weights; and what it is."""
    if (ASSETS / "cifar_vgg.safetensors").is_file():
        return ClassifierFeatures("cifar_vgg"), "shipped cifar_vgg"
    torch.manual_seed(0)
    return NetworkFeatures(CompactVGG(3, 10).eval().folded()), "CompactVGG with random weights"


def throughput(given):
    """Images a second of a whole evaluation, distance included, by us and by torch-fidelity with the same network."""
    import torch_fidelity  # here, so that it takes no part in the measured memory

    extractor, kind = extractor_and_kind()
    network = CompactVGG(**extractor.network.settings)  # a plain copy for the other side
    network.load_state_dict(extractor.network.state_dict())
    sides = [random_images(given.images, seed) for seed in (0, 1)]
    evaluator = Evaluator(extractor, {"fd": FrechetDistance()})

    def ours():
        real = ImageSet("real", "real", given.images, (3, 32, 32), lambda: batches_of(sides[1], given.batch))
        reference = evaluator.reference(real)
        return evaluator.values(evaluator.summarise(batches_of(sides[0], given.batch)), reference)["fd"]["fd"].value

    torch_fidelity.register_feature_extractor("benchmark", registered(network.eval()))

    def theirs(workers=True):
        return torch_fidelity.calculate_metrics(
            input1=Pictures(sides[0]),
            input2=Pictures(sides[1]),
            feature_extractor="benchmark",
            feature_layer_fid="features",
            fid=True,
            batch_size=given.batch,
            cuda=False,
            cache=False,
            save_cpu_ram=not workers,
            verbose=False,
        )["frechet_inception_distance"]

    seconds = in_turn(
        given.turns, ours, theirs, lambda: theirs(workers=False), clock=time.perf_counter
    )  # workers count
    rates = 2 * given.images / np.median(seconds, axis=0)
    ratios = np.median(seconds[:, 1:] / seconds[:, :1], axis=0)
    a, b = ours(), theirs()
    print(f"throughput, {kind}, 2 x {given.images:,} images of 32 x 32 pixels, batch {given.batch}")
    print(f"  ours                              {rates[0]:>8.1f} images/s")
    print(f"  torch-fidelity, with its workers  {rates[1]:>8.1f} images/s   {ratios[0]:>6.2f}x")
    print(f"  torch-fidelity, save_cpu_ram=True {rates[2]:>8.1f} images/s   {ratios[1]:>6.2f}x")
    print(f"  values {a:.8g} and {b:.8g}, relative difference {abs(a - b) / b:.1e}", flush=True)


def registered(network):
    """A network as a feature extractor of torch-fidelity."""
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    class Registered(FeatureExtractorBase):
        def __init__(self, name, features_list, **_):
            super().__init__(name, features_list)
            self.network = network

        @staticmethod
        def get_provided_features_list():
            return ("features",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "features"

        @staticmethod
        def can_be_compiled():
            return False

        @staticmethod
        def get_dummy_input_for_compile():
            return torch.zeros(1, 3, 32, 32, dtype=torch.uint8)

        def forward(self, image):
            with torch.no_grad():
                return (self.network.features(to_float(image)),)

    return Registered


def overhead(given):
    """A pass of the evaluator over batches against the bare network on the same batches."""
    extractor, kind = extractor_and_kind()
    batches = list(batches_of(random_images(given.images, 0), given.batch))
    choices = {
        "fd": {"fd": FrechetDistance()},
        "fd, kid, precision and recall": {"fd": FrechetDistance(), "kid": KernelDistance(), "pr": PrecisionRecall()},
    }

    @torch.no_grad()
    def bare():
        for batch in batches:
            extractor.network.features(batch["image"])

    print(f"overhead, {kind}, {given.images:,} images of 32 x 32 pixels, batch {given.batch}")
    for name, metrics in choices.items():
        evaluator = Evaluator(extractor, metrics)
        seconds = in_turn(given.turns, bare, lambda evaluator=evaluator: evaluator.summarise(batches))
        plain, whole = np.median(seconds, axis=0)
        extra = np.median(seconds[:, 1] / seconds[:, 0]) - 1
        real = ImageSet("real", "real", given.images, (3, 32, 32), lambda: batches)
        closing = partial(evaluator.values, evaluator.summarise(batches), evaluator.reference(real))
        print(f"  {name:<34}{whole:>8.2f} s against {plain:.2f} s   {100 * extra:>+6.1f} %")
        print(f"  {'  values from the summaries':<34}{seconds_of(closing)[1]:>8.2f} s", flush=True)


def random_images(count, seed):
    """uint8 images (N, 3, 32, 32) of blocks of colour under noise."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.rand(count, 3, 4, 4, generator=generator).repeat_interleave(8, 2).repeat_interleave(8, 3)
    grain = torch.rand(count, 3, 32, 32, generator=generator)
    return ((0.8 * blocks + 0.2 * grain) * 255).round().byte()


def batches_of(images, size):
    """Batches as the evaluator takes them."""
    return ({"image": to_float(part)} for part in images.split(size))


PARTS = {
    "distance": distance,
    "statistics": statistics_alone,
    "memory": memory,
    "throughput": throughput,
    "overhead": overhead,
    "neighbours": neighbours,
}


def main():
    """Print the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="parts to run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--dimensions", type=int, default=2048, help="features of distance and memory")
    parser.add_argument("--vectors", type=int, default=50_000, help="feature vectors a side for memory")
    parser.add_argument("--images", type=int, default=2000, help="images a side for throughput and overhead")
    parser.add_argument("--neighbours", type=int, default=3000, help="feature vectors a side for neighbours")
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parsed(
        parser, turns=1, dimensions=64, vectors=500, images=50, neighbours=100, only=["distance", "memory", "overhead"]
    )
    torch.set_num_threads(given.threads)
    threadpool_limits(given.threads)  # scipy's own BLAS
    if given.child:
        memory_of_this_process(given)
        return
    print(f"{cpu_features()['name']}, {given.threads} threads, torch {torch.__version__}, scipy {scipy.__version__}")
    for name in given.only:
        PARTS[name](given)


if __name__ == "__main__":
    main()
