import pytest
import torch

from genexp.evaluation.dealing import group_numbers, groups_within
from genexp.evaluation.frechet_distance import GaussianMoments
from genexp.evaluation.grouped_moments import GroupedMoments
from genexp.evaluation.jackknife import draws_of_mean
from genexp.evaluation.metrics.frechet import FrechetDistance
from genexp.evaluation.metrics.kernel import KernelDistance
from genexp.evaluation.summaries import FeatureStore
from genexp.evaluation.uncertainty import interval, over_seeds, paired, pseudo_values


def generator(seed):
    return torch.Generator().manual_seed(seed)


def grouped(rows, groups=20):
    statistic = GroupedMoments(rows.shape[1], groups)
    statistic.update(rows, torch.arange(len(rows)))
    return statistic


def stored(rows):
    store = FeatureStore(rows.shape[1])
    store.update(rows, torch.arange(len(rows)))
    return store


def arranged(label, order):
    """Positions of samples so that their classes come one after the other, or in turn."""
    place = label.argsort(stable=True)
    if order == "one after the other":
        return place
    rank = torch.empty_like(label)
    for each in label.unique():
        members = (label == each).nonzero().flatten()
        rank[members] = torch.arange(len(members))
    return (rank * 100 + label).argsort(stable=True)


def true_distance(mean, deviation, reference):
    """Of N(mean, diag(deviation^2)) from a fitted reference, in closed form."""
    covariance = torch.diag(deviation**2)
    inner = reference.root.mT @ covariance @ reference.root
    overlap = torch.linalg.eigvalsh(inner).clamp(min=0).sqrt().sum()
    gap = (mean - reference.mean).square().sum()
    return float(gap + covariance.trace() + reference.trace - 2 * overlap)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.2, 1.0), (0.0, 1.1), (1.0, 1.5)])
def test_the_interval_of_a_frechet_distance_covers_the_truth_and_the_value_itself_does_not(shift, scale):
    dimensions, count, repeats = 16, 400, 100
    draw = generator(int(10 * shift + 100 * scale))
    spectrum = torch.linspace(1, 0.1, dimensions).double()
    metric = FrechetDistance()
    real = grouped(torch.randn(5000, dimensions, generator=draw).double() * spectrum, groups=1)
    prepared = metric.prepare(real, None)
    mean = torch.zeros(dimensions).double()
    mean[0] = shift
    truth = true_distance(mean, spectrum * scale, prepared)
    hits, corrected, plain = 0, 0.0, 0.0
    for _ in range(repeats):
        rows = torch.randn(count, dimensions, generator=draw).double() * spectrum * scale + mean
        value = metric.compute(grouped(rows), prepared)["fd"]
        found = interval(value.draws)
        hits += found.low <= truth <= found.high
        corrected += found.value / repeats
        plain += value.value / repeats
    assert 0.88 <= hits / repeats <= 1.0
    assert abs(corrected - truth) < 0.25 * abs(plain - truth)


def test_over_all_cases_the_coverage_of_95_percent_intervals_is_near_its_name():
    draw, hits, cases = generator(0), 0, 400
    metric, spectrum = FrechetDistance(), torch.linspace(1, 0.2, 8).double()
    prepared = metric.prepare(grouped(torch.randn(3000, 8, generator=draw).double() * spectrum, groups=1), None)
    for case in range(cases):
        mean, scale = torch.zeros(8).double(), 1 + 0.1 * (case % 5)
        mean[1] = 0.1 * (case % 7)
        truth = true_distance(mean, spectrum * scale, prepared)
        rows = torch.randn(300, 8, generator=draw).double() * spectrum * scale + mean
        found = interval(metric.compute(grouped(rows), prepared)["fd"].draws)
        hits += found.low <= truth <= found.high
    assert 0.88 <= hits / cases <= 0.99


@pytest.mark.parametrize("order", ["one after the other", "in turn"])
@pytest.mark.parametrize("metric", [FrechetDistance(), KernelDistance()], ids=["fd", "kid"])
def test_intervals_cover_the_truth_when_images_are_sorted_by_class_or_classes_come_in_turn(metric, order):
    """Ten classes far apart, drawn at random: of groups by index mod 20 not one interval in turn holds the truth."""
    draw, hits, cases, count, dimensions = generator(5), 0, 120, 400, 4
    centres = 2 * torch.randn(10, dimensions, generator=draw).double()

    def drawn(number):
        label = torch.randint(10, (number,), generator=draw)
        return centres[label] + 0.5 * torch.randn(number, dimensions, generator=draw).double(), label

    kept = grouped if isinstance(metric, FrechetDistance) else stored
    real = drawn(500)[0]
    prepared = metric.prepare(kept(real), None)
    (name,) = metric.values
    truth = metric.compute(kept(drawn(20_000)[0]), prepared)[name].value
    for _ in range(cases):
        rows, label = drawn(count)
        found = interval(metric.compute(kept(rows[arranged(label, order)]), prepared)[name].draws)
        hits += found.low <= truth <= found.high
    assert 0.88 <= hits / cases <= 0.99


def within(rows, label):
    statistic = GroupedMoments(rows.shape[1])
    statistic.update(rows, torch.arange(len(rows)), label, groups_within(label))
    return statistic


def test_intervals_cover_the_truth_where_every_class_has_exactly_its_share():
    """Ten classes far apart, as a class-conditional model draws them: dealt by index, half of the intervals miss."""
    draw, cases, dimensions, metric = generator(8), 100, 4, FrechetDistance()
    centres = 2 * torch.randn(10, dimensions, generator=draw).double()

    def drawn(count):
        label = torch.arange(count) % 10
        return centres[label] + 0.5 * torch.randn(count, dimensions, generator=draw).double(), label

    prepared = metric.prepare(grouped(drawn(500)[0]), None)
    truth = metric.compute(grouped(drawn(20_000)[0]), prepared)["fd"].value
    hits = {"by index": 0, "within classes": 0}
    for _ in range(cases):
        rows, label = drawn(400)
        for dealing, kept in (("by index", grouped(rows)), ("within classes", within(rows, label))):
            found = interval(metric.compute(kept, prepared)["fd"].draws)
            hits[dealing] += found.low <= truth <= found.high
    assert 0.88 <= hits["within classes"] / cases <= 1.0
    assert hits["by index"] / cases < 0.8


def test_a_value_of_labelled_images_has_nearly_one_interval_in_any_order():
    """The issue's case, classes known: 10 x n images in turn and in random order."""
    draw, dimensions, metric = generator(6), 4, FrechetDistance()
    centres = 2 * torch.randn(10, dimensions, generator=draw).double()
    label = torch.arange(400) % 10
    rows = centres[label] + 0.5 * torch.randn(400, dimensions, generator=draw).double()
    real = centres[label] + 0.5 * torch.randn(400, dimensions, generator=draw).double()
    prepared = metric.prepare(grouped(real), None)
    value = metric.compute(grouped(rows), prepared)["fd"].value
    for order in (torch.arange(400), label.argsort(stable=True), torch.randperm(400, generator=draw)):
        found = interval(metric.compute(within(rows[order], label[order]), prepared)["fd"].draws)
        assert abs(found.value - value) < 0.1
        assert found.error < 0.05


def test_a_value_with_equal_class_shares_has_the_same_interval_in_any_order():
    """The issue's case: 10 x n images, in random order and with the classes in turn."""
    draw, dimensions = generator(6), 4
    centres = 2 * torch.randn(10, dimensions, generator=draw).double()
    label = torch.arange(400) % 10
    rows = centres[label] + 0.5 * torch.randn(400, dimensions, generator=draw).double()
    metric = FrechetDistance()
    prepared = metric.prepare(grouped(centres.repeat(50, 1) + 0.5 * torch.randn(500, dimensions, generator=draw)), None)
    found = [
        interval(metric.compute(grouped(rows[order]), prepared)["fd"].draws)
        for order in (torch.arange(400), label.argsort(stable=True), torch.randperm(400, generator=draw))
    ]
    assert max(one.value for one in found) - min(one.value for one in found) < 5 * found[0].error
    assert max(one.error for one in found) < 3 * min(one.error for one in found)


def test_pseudo_values_of_unequal_groups_lose_a_bias_of_order_one_over_n_exactly():
    sizes, theta, factor = [3, 8, 1, 5, 3], 2.0, 7.0
    n = sum(sizes)
    draws = pseudo_values(theta + factor / n, [theta + factor / (n - size) for size in sizes], sizes)
    assert draws == pytest.approx([theta] * 5, abs=1e-12)
    values = torch.randn(n, generator=generator(0)).double().split(sizes)
    total = torch.cat(values)
    without = [float(torch.cat([v for i, v in enumerate(values) if i != g]).mean()) for g in range(5)]
    assert sum(pseudo_values(float(total.mean()), without, sizes)) / 5 == pytest.approx(float(total.mean()), abs=1e-12)


def test_the_error_of_a_mean_over_groups_of_random_sizes_is_that_of_the_mean():
    draw = generator(9)
    errors = [
        interval(draws_of_mean(torch.randn(200, generator=draw), group_numbers(torch.arange(200) + 200 * i))).error ** 2
        for i in range(400)
    ]
    assert sum(errors) / 400 == pytest.approx(1 / 200, rel=0.06)


def test_too_few_samples_give_a_value_but_no_interval():
    metric = FrechetDistance()
    prepared = GaussianMoments.fit(grouped(torch.randn(500, 16, generator=generator(0)), groups=1).total)
    assert metric.compute(grouped(torch.randn(40, 16, generator=generator(1))), prepared)["fd"].draws == ()
    assert len(metric.compute(grouped(torch.randn(400, 16, generator=generator(1))), prepared)["fd"].draws) == 20


def test_the_jackknife_of_a_mean_is_the_mean_and_it_removes_the_bias_of_a_variance():
    values = torch.randn(40, generator=generator(0)).double()
    groups = values.reshape(10, 4)
    without = [float(torch.cat([groups[:i], groups[i + 1 :]]).mean()) for i in range(10)]
    draws = pseudo_values(float(values.mean()), without)
    assert draws == pytest.approx(groups.mean(1).tolist())
    singles = [values[torch.arange(40) != i] for i in range(40)]
    biased = [float(rest.var(correction=0)) for rest in singles]
    assert interval(pseudo_values(float(values.var(correction=0)), biased)).value == pytest.approx(float(values.var()))


def test_an_interval_is_student_s():
    found = interval([1.0, 2.0, 3.0, 4.0])
    assert found.value == 2.5
    assert found.error == pytest.approx(0.6454972)
    assert (found.low, found.high) == pytest.approx((0.4457397, 4.5542603), abs=1e-6)


def test_a_paired_test_finds_a_small_difference_under_large_common_noise():
    noise = torch.randn(20, generator=generator(0)).double() * 10
    jitter = torch.randn(20, generator=generator(1)).double() * 0.1
    found = paired((noise + 0.5 + jitter).tolist(), noise.tolist())
    assert found.difference.low < 0.5 < found.difference.high
    assert found.p_value < 1e-6
    assert paired([1.0, 2.0], [1.0, 2.0]).p_value == 1.0


def test_a_paired_test_of_equal_runs_rejects_as_often_as_it_says():
    draw, repeats = generator(2), 1000
    samples = torch.randn(repeats, 2, 12, generator=draw).tolist()
    rejected = sum(paired(first, second).p_value < 0.05 for first, second in samples)
    assert 0.03 < rejected / repeats < 0.07


def test_seeds_are_summed_up_by_mean_deviation_and_number():
    assert over_seeds([1.0, 2.0, 3.0]) == {"mean": 2.0, "std": 1.0, "n": 3}


def test_too_few_values_are_refused():
    for call, text in (
        (lambda: interval([1.0]), "draws must hold at least 2 values for an interval, got 1"),
        (lambda: pseudo_values(1.0, [1.0]), "without must hold at least 2 values, got 1"),
        (lambda: pseudo_values(1.0, [1.0, 2.0], [3, 0]), "sizes must be 2 numbers of at least 1, one a group, got"),
        (lambda: paired([1.0], [1.0, 2.0]), "first and second must be pairs, got 1 and 2 values"),
        (lambda: over_seeds([]), "values must hold at least one seed, got none"),
    ):
        with pytest.raises(ValueError, match=text):
            call()
