"""What values cost once features are there: the Fréchet distance, and neighbours. Parts of `evaluation.py`."""

import statistics
import time
from functools import partial

import numpy as np
import scipy.linalg
import torch

from genexp.evaluation.frechet_distance import GaussianMoments, frechet_distance
from genexp.evaluation.metrics.precision_recall import DensityCoverage, PrecisionRecall
from genexp.evaluation.moments import Moments
from genexp.evaluation.summaries import FeatureStore


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
