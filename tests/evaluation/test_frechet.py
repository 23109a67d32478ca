import math

import pytest
import torch

from genexp.evaluation.frechet_distance import GaussianMoments, frechet_distance
from genexp.evaluation.moments import Moments, packed


def law(mean, covariance, count=1001):
    """Moments with exactly this mean and covariance."""
    scatter = packed(torch.as_tensor(covariance, dtype=torch.float64) * (count - 1))
    centre = torch.as_tensor(mean, dtype=torch.float64)
    none = torch.empty(0, len(mean))
    return Moments.from_state({"count": torch.tensor([count]), "mean": centre, "scatter": scatter, "rows": none})


def distance(one, other):
    return frechet_distance(one, GaussianMoments.fit(other))


def orthogonal(size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))[0]


def random_covariance(size, rank, seed):
    generator = torch.Generator().manual_seed(seed)
    factor = torch.randn(size, rank, generator=generator, dtype=torch.float64)
    return factor @ factor.mT / rank


def test_a_shift_costs_its_squared_length():
    covariance = random_covariance(6, 6, 0)
    shift = torch.arange(6.0, dtype=torch.float64)
    found = distance(law(torch.zeros(6), covariance), law(shift, covariance))
    assert found.value == pytest.approx(float(shift.square().sum()), rel=1e-12)


def test_commuting_covariances_compare_their_standard_deviations():
    basis = orthogonal(5)
    a = torch.tensor([4.0, 1.0, 0.25, 9.0, 2.0], dtype=torch.float64)
    b = torch.tensor([1.0, 1.0, 4.0, 16.0, 0.0], dtype=torch.float64)
    expected = float((a.sqrt() - b.sqrt()).square().sum())
    one, other = law(torch.zeros(5), basis * a @ basis.mT), law(torch.zeros(5), basis * b @ basis.mT)
    assert distance(one, other).value == pytest.approx(expected, rel=1e-7)
    assert distance(other, one).value == pytest.approx(expected, rel=1e-7)


def test_one_dimension():
    found = distance(law([3.0], [[4.0]]), law([1.0], [[0.25]]))
    assert found.value == pytest.approx(4 + 1.5**2, rel=1e-13)


def test_two_dimensions_have_a_closed_form_for_any_covariances():
    a, b = random_covariance(2, 2, 1), random_covariance(2, 2, 2)
    trace_of_root = math.sqrt(float((a @ b).trace()) + 2 * math.sqrt(float(torch.det(a @ b))))
    expected = float(a.trace() + b.trace()) - 2 * trace_of_root
    assert distance(law([0.0, 0.0], a), law([0.0, 0.0], b)).value == pytest.approx(expected, rel=1e-10)


def test_general_covariances_agree_with_eigenvalues_of_the_product():
    a, b = random_covariance(64, 200, 3), random_covariance(64, 200, 4)
    overlap = torch.linalg.eigvals(a @ b).sqrt().real.sum()
    expected = float(a.trace() + b.trace() - 2 * overlap)
    assert distance(law(torch.zeros(64), a), law(torch.zeros(64), b)).value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("rank_a", "rank_b"), [(5, 40), (40, 5), (5, 7)])
def test_fewer_samples_than_dimensions(rank_a, rank_b):
    generator = torch.Generator().manual_seed(rank_a)
    a = torch.randn(40, rank_a, generator=generator, dtype=torch.float64)
    b = torch.randn(40, rank_b, generator=generator, dtype=torch.float64)
    overlap = torch.linalg.svdvals(a.mT @ b).sum()
    expected = float(a.square().sum() + b.square().sum() - 2 * overlap)
    found = distance(law(torch.zeros(40), a @ a.mT), law(torch.zeros(40), b @ b.mT))
    assert found.value == pytest.approx(expected, rel=1e-6)
    assert found.residual < 1e-5 * found.value


def test_roots_by_cholesky_and_by_eigenvectors_give_one_distance():
    a, b = random_covariance(48, 400, 5), law(torch.ones(48), random_covariance(48, 300, 6))
    values, vectors = torch.linalg.eigh(a)
    by_vectors = GaussianMoments(torch.zeros(48, dtype=torch.float64), vectors * values.sqrt(), 1001)
    by_cholesky = GaussianMoments.fit(law(torch.zeros(48), a))
    assert torch.equal(by_cholesky.root, by_cholesky.root.tril())
    assert frechet_distance(b, by_cholesky).value == pytest.approx(frechet_distance(b, by_vectors).value, rel=1e-12)


def test_of_features_that_repeat_each_other_the_root_has_no_column():
    covariance = random_covariance(12, 60, 7)[:, [*range(12), 0, 5]][[*range(12), 0, 5]]  # entries 12 and 13 repeat two
    fitted = GaussianMoments.fit(law(torch.zeros(14), covariance))
    assert fitted.root.shape == (14, 12)
    torch.testing.assert_close(fitted.root @ fitted.root.mT, covariance, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("count", [8, 200])
def test_a_set_is_at_no_distance_from_itself(count):
    moments = Moments(32)
    moments.update(torch.randn(count, 32, generator=torch.Generator().manual_seed(0)) * 10 + 5)
    assert distance(moments, moments).value < 1e-4


def test_a_law_without_spread_is_a_point():
    found = distance(law([0.0, 0.0], torch.zeros(2, 2)), law([3.0, 0.0], torch.diag(torch.tensor([1.0, 4.0]))))
    assert found.value == pytest.approx(9 + 5)
    assert distance(
        law([3.0, 0.0], torch.diag(torch.tensor([1.0, 4.0]))), law([0.0, 0.0], torch.zeros(2, 2))
    ).value == (pytest.approx(14))


def test_scaling_all_features_scales_the_distance_by_its_square():
    a, b = random_covariance(8, 20, 5), random_covariance(8, 20, 6)
    mean = torch.ones(8, dtype=torch.float64)
    small = distance(law(0 * mean, a), law(mean, b)).value
    large = distance(law(0 * mean, 9 * a), law(3 * mean, 9 * b)).value
    assert large == pytest.approx(9 * small, rel=1e-9)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="must have 2 dimensions, got 3"):
        distance(law(torch.zeros(3), torch.eye(3)), law(torch.zeros(2), torch.eye(2)))
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        distance(law(torch.zeros(2), torch.eye(2), count=1), law(torch.zeros(2), torch.eye(2)))
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        GaussianMoments.fit(law(torch.zeros(2), torch.eye(2), count=1))
