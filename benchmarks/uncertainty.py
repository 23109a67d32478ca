"""What the intervals of an evaluation cover: simulations with known truth.

Every figure of docs/evaluation.md on coverage, width and heavy tails comes from here. Features are drawn, not images,
so that the truth is known: in closed form for a Fréchet distance of normal laws, else from many samples.
"""

import argparse
import itertools
import json
import math
from collections.abc import Callable
from statistics import fmean, median, stdev
from typing import Any

import torch
from quick import parsed
from torch import Tensor

from genexp.evaluation.dealing import groups_within
from genexp.evaluation.frechet_distance import GaussianMoments
from genexp.evaluation.metrics.frechet import FrechetDistance
from genexp.evaluation.metrics.kernel import KernelDistance
from genexp.evaluation.metrics.memorisation import Memorisation
from genexp.evaluation.metrics.precision_recall import DensityCoverage, PrecisionRecall
from genexp.evaluation.uncertainty import interval

Draw = Callable[[int], Tensor]
"""So many feature vectors (N, D) of a law."""


def summarised(metric: Any, rows: Tensor, label: Tensor | None = None) -> Any:
    """A metric's summary of feature vectors (N, D) with the indices 0 .. N - 1, dealt within classes (N,) if given."""
    statistic = metric.statistic(rows.shape[1])
    group = None if label is None else groups_within(label)
    statistic.update(rows, torch.arange(len(rows)), label, group)
    return statistic


def frechet_of_laws(shift: float, scale: float, spectrum: Tensor) -> float:
    """The Fréchet distance of N(shift e_1, (scale S)^2) from N(0, S^2), S diagonal."""
    return shift**2 + float(((scale - 1) * spectrum).square().sum())


def frechet_from(reference: GaussianMoments, shift: float, scale: float, spectrum: Tensor) -> float:
    """The same law's distance from a fitted reference."""
    covariance = torch.diag((scale * spectrum) ** 2)
    overlap = torch.linalg.eigvalsh(reference.root.mT @ covariance @ reference.root).clamp(min=0).sqrt().sum()
    mean = torch.zeros_like(spectrum)
    mean[0] = shift
    return float((mean - reference.mean).square().sum() + covariance.trace() + reference.trace - 2 * overlap)


def reference_as_given(repeats: int, draw: torch.Generator) -> dict[str, Any]:
    """Coverage of the distance from the given real images, and from the law that they were drawn from."""
    metric, found = FrechetDistance(), {}
    for dimensions, shift, scale in ((4, 0.5, 1.1), (4, 0.2, 1.0), (16, 0.5, 1.1), (16, 1.0, 1.5)):
        spectrum = torch.linspace(1, 0.1, dimensions).double()
        truth = frechet_of_laws(shift, scale, spectrum)
        for count in (300, 1000, 10_000):
            given = population = 0
            for _ in range(repeats):
                real = torch.randn(count, dimensions, generator=draw).double() * spectrum
                prepared = metric.prepare(summarised(metric, real), None)
                rows = torch.randn(1000, dimensions, generator=draw).double() * spectrum * scale
                rows[:, 0] += shift
                one = interval(metric.compute(summarised(metric, rows), prepared)["fd"].draws)
                given += one.low <= frechet_from(prepared, shift, scale, spectrum) <= one.high
                population += one.low <= truth <= one.high
            place = f"{dimensions} dimensions, shift {shift}, scale {scale}, {count} real images"
            found[place] = {"given": given / repeats, "population": population / repeats}
    return found


def width_of_shares(repeats: int, draw: torch.Generator) -> dict[str, Any]:
    """Reported over true standard error of precision, recall, density and coverage; the truth from many sets."""
    found: dict[str, Any] = {}
    for dimensions, count in ((4, 1000), (16, 1000), (16, 400)):
        for metric in (PrecisionRecall(), DensityCoverage()):
            real = torch.randn(1000, dimensions, generator=draw)
            prepared = metric.prepare(summarised(metric, real), None)
            values: dict[str, list[Any]] = {name: [] for name in metric.values}
            for _ in range(repeats):
                rows = torch.randn(count, dimensions, generator=draw) * 1.1 + 0.1
                for name, value in metric.compute(summarised(metric, rows), prepared).items():
                    values[name].append((value.value, interval(value.draws).error))
            for name, pairs in values.items():
                true = stdev(value for value, _ in pairs)
                place = found.setdefault(name, {})
                place[f"{dimensions} dimensions, {count} images"] = fmean(error for _, error in pairs) / true
    return found


def heavy_tails(repeats: int, draw: torch.Generator) -> dict[str, Any]:
    """Fréchet distance of lognormal features: coverage of the large-sample value, and widths around it."""
    found = {}
    metric = FrechetDistance()

    for sigma in (0.5, 1.0, 1.5):

        def rows(count: int, scale: float, sigma: float = sigma) -> Tensor:
            return (sigma * torch.randn(count, 8, generator=draw).double()).exp() * scale

        prepared = metric.prepare(summarised(metric, rows(100_000, 1.0)), None)
        truth = metric.compute(summarised(metric, rows(2_000_000, 1.2)), prepared)["fd"].value
        ones = [
            interval(metric.compute(summarised(metric, rows(1000, 1.2)), prepared)["fd"].draws) for _ in range(repeats)
        ]
        widths = [one.high - one.low for one in ones]
        found[f"sigma {sigma}"] = {
            "truth": truth,
            "covered": fmean(one.low <= truth <= one.high for one in ones),
            "median width": median(widths),
            "largest width": max(widths),
        }
    return found


def orders(repeats: int, draw: torch.Generator) -> dict[str, Any]:
    """Coverage for images of ten classes in random order, class after class, and classes in turn; fd and kid.

    Classes lie near one another or far apart. They are drawn at random, or exactly as often as each other, as for a
    class-conditional model; groups are dealt by the images' index or within classes. The truth is that of infinitely
    many images.
    """
    found = {}
    for place, distance in (("near", 0.5), ("far apart", 2.0)):
        centres = distance * torch.randn(10, 4, generator=draw).double()
        for metric in (FrechetDistance(), KernelDistance()):
            found |= {f"{place}, {case}": each for case, each in _orders(metric, centres, repeats, draw).items()}
    return found


def _orders(metric: Any, centres: Tensor, repeats: int, draw: torch.Generator) -> dict[str, Any]:
    def rows(label: Tensor) -> Tensor:
        return centres[label] + 0.5 * torch.randn(len(label), 4, generator=draw).double()

    (name,) = metric.values
    prepared = metric.prepare(summarised(metric, rows(torch.randint(10, (500,), generator=draw))), None)
    truth = metric.compute(summarised(metric, rows(torch.arange(20_000) % 10)), prepared)[name].value
    found: dict[str, Any] = {}
    for shares, order in itertools.product(("random", "equal"), ("random", "class after class", "in turn")):
        ones: dict[str, list[Any]] = {"by index": [], "within classes": []}
        for _ in range(repeats):
            label = torch.randint(10, (400,), generator=draw) if shares == "random" else torch.arange(400) % 10
            label = arranged(label, order, draw)
            vectors = rows(label)
            for dealing, classes in (("by index", None), ("within classes", label)):
                value = metric.compute(summarised(metric, vectors, classes), prepared)[name]
                ones[dealing].append(interval(value.draws))
        for dealing, intervals in ones.items():
            found[f"{name}, {shares} shares, {order}, {dealing}"] = {
                "covered": fmean(one.low <= truth <= one.high for one in intervals),
                "width": fmean(one.high - one.low for one in intervals),
                "mean without bias minus truth": fmean(one.value for one in intervals) - truth,
            }
    return found


def arranged(label: Tensor, order: str, draw: torch.Generator) -> Tensor:
    """Classes (N,) in one of the three orders."""
    if order == "random":
        return label[torch.randperm(len(label), generator=draw)]
    label = label.sort().values
    if order == "class after class":
        return label
    counts = label.bincount()
    rank = torch.cat([torch.arange(int(count)) for count in counts])
    return label[rank.argsort(stable=True)]


def copying_score(repeats: int, draw: torch.Generator) -> dict[str, Any]:
    """Mean and standard deviation of `ct` for new real images, by cells, dimensions and numbers."""
    found = {}
    for cells, dimensions, real, new in ((1, 2, 500, 500), (1, 2, 500, 2000), (1, 64, 500, 500), (3, 2, 500, 2000)):
        metric, values = Memorisation(cells=cells), []
        for _ in range(repeats):
            reference = summarised(metric, torch.randn(real, dimensions, generator=draw))
            generated = summarised(metric, torch.randn(new, dimensions, generator=draw))
            values.append(metric.compute(generated, metric.prepare(reference, None))["ct"].value)
        place = f"{cells} cells, {dimensions} dimensions, {real} real, {new} new"
        found[place] = {
            "mean": fmean(values),
            "std": stdev(values),
            "error of std": stdev(values) / math.sqrt(2 * repeats),
        }
    return found


PARTS = {
    "reference": reference_as_given,
    "shares": width_of_shares,
    "tails": heavy_tails,
    "orders": orders,
    "ct": copying_score,
}


def main() -> None:
    """Run the parts that were asked for and print their figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"any of {', '.join(PARTS)}; all by default")
    parser.add_argument("--repeats", type=int, default=300, help="simulated evaluations of every case")
    parser.add_argument("--seed", type=int, default=0)
    options = parsed(parser, parts=["shares"], repeats=4)
    torch.set_num_threads(1)
    for name in options.parts or PARTS:
        draw = torch.Generator().manual_seed(options.seed)
        print(json.dumps({name: PARTS[name](options.repeats, draw)}, indent=2), flush=True)


if __name__ == "__main__":
    main()
