"""What evaluation costs: the Fréchet distance, its memory, the rate of images, and the work beside the network.

Both sides of every ratio run in one process, in turn; the figures are medians over the turns. Memory is measured in a
process of its own.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from functools import partial

import numpy as np
import scipy.linalg
import torch
from threadpoolctl import threadpool_limits
from torch.utils.data import Dataset

from genexp.evaluation.evaluator import Evaluator
from genexp.evaluation.extractors.classifiers import ClassifierFeatures
from genexp.evaluation.frechet_distance import GaussianMoments, frechet_distance
from genexp.evaluation.images import ImageSet
from genexp.evaluation.metrics.frechet import FrechetDistance
from genexp.evaluation.metrics.kernel import KernelDistance
from genexp.evaluation.metrics.precision_recall import DensityCoverage, PrecisionRecall
from genexp.evaluation.moments import Moments
from genexp.evaluation.summaries import FeatureStore
from genexp.hardware import cpu_features
from genexp.networks.compact_vgg import CompactVGG
from genexp.shipped import ASSETS
from genexp.tensors import to_float

PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in a unit of `ru_maxrss`."""


class NetworkFeatures:
    """A `CompactVGG` as an extractor."""

    name, digest, resize = "benchmark", "0" * 64, "none"

    def __init__(self, network):
        self.network, self.dimensions = network, network.num_features

    def __call__(self, image):
        return self.network.features(image)


class DrawnFeatures:
    """Random vectors in place of features: a network that costs next to nothing."""

    name, digest, resize = "drawn", "1" * 64, "none"

    def __init__(self, dimensions):
        self.dimensions, self._generator = dimensions, torch.Generator().manual_seed(0)

    def __call__(self, image):
        return torch.randn(len(image), self.dimensions, generator=self._generator)


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


def seconds_of(work):
    """What a call returns, and how long it took."""
    begun = time.perf_counter()
    found = work()
    return found, time.perf_counter() - begun


def in_turn(turns, *works):
    """Seconds of every call, (turns, len(works)); one turn before them is not counted."""
    rows = [[seconds_of(work)[1] for work in works] for _ in range(turns + 1)]
    return np.array(rows[1:])


def distance(given):
    """Our Fréchet distance against the textbook formula with scipy's matrix root, on the same moments."""
    for count in (10_000, 1_000):
        real = moments_of(10_000, given.dimensions, seed=0, shift=0.0)
        generated = moments_of(count, given.dimensions, seed=1, shift=0.02)
        means = real.mean.numpy(), generated.mean.numpy()
        covariances = real.covariance.numpy(), generated.covariance.numpy()

        def theirs(means=means, covariances=covariances):
            root = scipy.linalg.sqrtm(covariances[1] @ covariances[0])
            gap = means[1] - means[0]
            return gap @ gap + np.trace(covariances[0] + covariances[1]) - 2 * np.trace(root).real

        fits = [seconds_of(lambda real=real: GaussianMoments.fit(real)) for _ in range(given.turns)]
        law, fit = fits[0][0], statistics.median(taken for _, taken in fits)
        runs = [
            seconds_of(lambda law=law, generated=generated: frechet_distance(generated, law))
            for _ in range(given.turns)
        ]
        ours, alone = runs[0][0], statistics.median(taken for _, taken in runs)
        value, scipy_seconds = seconds_of(theirs)
        apart = abs(ours.value - value) / value
        print(f"distance, {count:,} against 10,000 samples, {given.dimensions} dimensions")
        print(f"  ours, reference decomposed before {alone:>8.2f} s   {scipy_seconds / alone:>6.1f}x")
        print(f"  ours with the decomposition       {alone + fit:>8.2f} s   {scipy_seconds / (alone + fit):>6.1f}x")
        print(f"  scipy.linalg.sqrtm                {scipy_seconds:>8.2f} s")
        print(f"  values {ours.value:.10g} and {value:.10g}, relative difference {apart:.1e}", flush=True)


def moments_of(count, dimensions, seed, shift):
    """Moments of Gaussian features with a spectrum that falls like 1 / k, mixed over the axes."""
    generator = torch.Generator().manual_seed(100 + seed)
    scale = torch.arange(1, dimensions + 1).float().rsqrt()
    moments = Moments(dimensions)
    mixing = torch.linalg.qr(torch.randn(dimensions, dimensions, generator=torch.Generator().manual_seed(7)))[0]
    for begin in range(0, count, 1000):
        rows = min(1000, count - begin)
        moments.update(torch.randn(rows, dimensions, generator=generator) * scale @ mixing + shift)
    return moments


def memory(given):
    """Peak memory of one evaluation with the Fréchet distance alone, in a child process."""
    command = [sys.executable, __file__, "--child", "--threads", str(given.threads)]
    command += ["--dimensions", str(given.dimensions), "--vectors", str(given.vectors)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    steps = json.loads(lines.splitlines()[-1])
    base = steps["after the imports"]["peak"]
    print(f"memory, {given.vectors:,} real and {given.vectors:,} generated vectors, {given.dimensions} dimensions")
    for name, step in steps.items():
        peak = step["peak"]
        print(f"  {name:<34}{peak / 1e9:>8.2f} GB   {(peak - base) / 1e9:>6.2f} GB above   {step['seconds']:>7.1f} s")
    sys.stdout.flush()


def memory_of_this_process(given):
    """Run the evaluation and print the peak after every step as JSON."""
    steps = {"after the imports": {"peak": peak_bytes(), "seconds": 0.0}}

    def batches():
        for begin in range(0, given.vectors, 250):
            yield {"image": torch.zeros(min(250, given.vectors - begin), 3, 8, 8)}

    def step(name, work):
        found, taken = seconds_of(work)
        steps[name] = {"peak": peak_bytes(), "seconds": taken}
        return found

    evaluator = Evaluator(DrawnFeatures(given.dimensions), {"fd": FrechetDistance()})
    real = ImageSet("drawn", "drawn", given.vectors, (3, 8, 8), batches)
    reference = step("reference summarised, decomposed", lambda: evaluator.reference(real))
    summary = step("generated summarised", lambda: evaluator.summarise(batches()))
    step("value with its 20 pseudo-values", lambda: evaluator.values(summary, reference))
    print(json.dumps(steps))


def peak_bytes():
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT


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

    seconds = in_turn(given.turns, ours, theirs, lambda: theirs(workers=False))
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


def neighbours(given):
    """Precision and recall with their intervals, and density and coverage, against torch-fidelity's values alone."""
    from torch_fidelity.metric_prc import prc_features_to_metric

    generator = torch.Generator().manual_seed(0)
    real, drawn = (torch.randn(given.neighbours, given.dimensions, generator=generator).square() for _ in range(2))
    stores = []
    for features in (real, drawn):
        stores.append(FeatureStore(given.dimensions))
        stores[-1].update(features, torch.arange(given.neighbours))

    def ours(*metrics):
        stores[0].update(real[:0], torch.arange(0))  # what was found is found again
        for metric in metrics:
            metric.compute(stores[1], metric.prepare(stores[0], None))

    theirs = partial(prc_features_to_metric, drawn, real, prc_neighborhood=3, prc_batch_size=10_000, verbose=False)
    works = {
        "precision, recall": partial(ours, PrecisionRecall()),
        "all four": partial(ours, PrecisionRecall(), DensityCoverage()),
    }
    print(f"neighbours, 2 x {given.neighbours:,} features of {given.dimensions:,} dimensions")
    for name, work in works.items():
        seconds = in_turn(given.turns, theirs, work)
        plain, whole = np.median(seconds, axis=0)
        ratio = np.median(seconds[:, 1] / seconds[:, 0])
        print(f"  {name:<20}{whole:>7.2f} s against {plain:.2f} s, {ratio:.2f} times", flush=True)


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
    given = parser.parse_args()
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
