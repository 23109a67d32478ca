"""What values cost once features are there: the Fréchet distance, and neighbours. Parts of `evaluation.py`."""

import importlib.util
import statistics
import time
from functools import partial

import numpy as np
import scipy.linalg
import torch

from genexp.evaluation.frechet_distance import GaussianMoments, frechet_distance
from genexp.evaluation.grouped_moments import GroupedMoments
from genexp.evaluation.metrics.frechet import FrechetDistance
from genexp.evaluation.metrics.precision_recall import DensityCoverage, PrecisionRecall
from genexp.evaluation.moments import Moments
from genexp.evaluation.summaries import FeatureStore


def seconds_of(work, clock=time.process_time):
    """What a call returns, and the seconds of the processor that it took."""
    begun = clock()
    found = work()
    return found, clock() - begun


def in_turn(turns, *works, clock=time.process_time):
    """Seconds of every call, (turns, len(works)); one turn before them is not counted."""
    rows = [[seconds_of(work, clock)[1] for work in works] for _ in range(turns + 1)]
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


def statistics_alone(given):
    """Moments of features, and the distance of two moments, both sides new, against torch-fidelity and torchmetrics."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torchmetrics.image.fid import _compute_fid

    sides = [features_of(10_000, given.dimensions, seed, shift) for seed, shift in ((0, 0.0), (1, 0.02))]
    laws = [summed(features) for features in sides]
    told = [fid_features_to_statistics(features) for features in sides]
    means, covariances = [law.mean for law in laws], [law.covariance for law in laws]
    theirs, ours = in_turn(
        given.turns, partial(fid_features_to_statistics, sides[0]), lambda: summed(sides[0]).covariance
    ).T
    print(f"moments of 10,000 x {given.dimensions:,}: torch-fidelity {told_of(theirs)}, ours {told_of(ours, theirs)}")

    def ours_anew():
        return frechet_distance(laws[0], GaussianMoments.fit(laws[1])).value

    works = [lambda: fid_statistics_to_metric(*told, verbose=False)["frechet_inception_distance"]]
    works.append(lambda: float(_compute_fid(means[0], covariances[0], means[1], covariances[1])))
    values = [work() for work in (*works, ours_anew)]
    *others, ours = in_turn(given.turns, *works, ours_anew).T
    for name, theirs in zip(("torch-fidelity", "torchmetrics"), others, strict=True):
        print(f"distance of two new moments: {name} {told_of(theirs)}, ours {told_of(ours, theirs)}")
    print(f"  values {' '.join(f'{value:.8g}' for value in values)}")
    real, drawn = GroupedMoments(given.dimensions, 1), GroupedMoments(given.dimensions)
    for grouped, features in zip((real, drawn), sides, strict=True):
        grouped.update(features, torch.arange(len(features)))
    metric = FrechetDistance()
    alone = lambda: frechet_distance(drawn.total, metric.prepare(real, None))  # noqa: E731
    alone, whole = in_turn(given.turns, alone, lambda: metric.compute(drawn, metric.prepare(real, None))).T
    print(f"value alone {told_of(alone)}, with bias and interval of 20 groups {told_of(whole, alone)}", flush=True)


def summed(features):
    """Moments of features that come 250 at a time."""
    found = Moments(features.shape[1])
    for part in features.split(250):
        found.update(part)
    return found


def told_of(seconds, base=None):
    """The median with its range, and the median ratio to other seconds."""
    text = f"{np.median(seconds):.2f} s ({seconds.min():.2f} to {seconds.max():.2f})"
    return text if base is None else f"{text}, {np.median(seconds / base):.2f} times"


def moments_of(count, dimensions, seed, shift):
    """Moments of Gaussian features with a spectrum that falls like 1 / k, mixed over the axes."""
    return summed(features_of(count, dimensions, seed, shift))


def features_of(count, dimensions, seed, shift):
    """Gaussian features (count, dimensions) of that spectrum."""
    generator = torch.Generator().manual_seed(100 + seed)
    scale = torch.arange(1, dimensions + 1).float().rsqrt()
    mixing = torch.linalg.qr(torch.randn(dimensions, dimensions, generator=torch.Generator().manual_seed(7)))[0]
    return torch.randn(count, dimensions, generator=generator) * scale @ mixing + shift


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
    if importlib.util.find_spec("prdc"):
        from prdc import compute_prdc

        theirs = partial(compute_prdc, real.numpy(), drawn.numpy(), nearest_k=3)
        plain, whole = in_turn(given.turns, theirs, works["all four"]).T
        print(f"  all four, of prdc {told_of(plain)}, ours {told_of(whole, plain)}", flush=True)
