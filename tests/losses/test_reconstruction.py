"""Likelihoods are normalised, exact in nats, and summed over pixels."""

import itertools
import math

import numpy
import pytest
import torch
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli
from torch.distributions import Normal

from genexp.losses.reconstruction import MINIMUM_STD, Bernoulli, ContinuousBernoulli, Gaussian

EVERY = [Bernoulli(), ContinuousBernoulli(), Gaussian(0.3), Gaussian(0.3, learned=True)]
LOGITS = [-60.0, -8.0, -1.01, -1.0, -0.99, -1e-3, 0.0, 1e-6, 0.5, 1.0, 3.0, 25.0]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def binary(*shape):
    return torch.randint(2, shape).double() * 2 - 1


def test_bernoulli_probabilities_sum_to_one_over_all_images():
    raw = torch.randn(1, 1, 2, 3).double().expand(64, -1, -1, -1)
    images = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=6))).double().reshape(64, 1, 2, 3)
    assert torch.exp(-Bernoulli()(raw, images)).sum().item() == pytest.approx(1, abs=1e-12)


def test_bernoulli_agrees_with_torch():
    raw, image = 5 * torch.randn(3, 1, 4, 4).double(), binary(3, 1, 4, 4)
    distribution = TorchBernoulli(logits=raw)
    expected = -distribution.log_prob((image + 1) / 2).sum((1, 2, 3))
    torch.testing.assert_close(Bernoulli()(raw, image), expected)
    torch.testing.assert_close(Bernoulli().mean(raw), distribution.mean * 2 - 1)


def test_bernoulli_survives_certain_logits():
    raw = torch.tensor([[200.0], [-200.0]], requires_grad=True)
    nll = Bernoulli()(raw, torch.tensor([[-1.0], [-1.0]]))
    nll.sum().backward()
    assert nll.tolist() == [200.0, 0.0]
    assert raw.grad.flatten().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("logit", LOGITS)
def test_continuous_bernoulli_integrates_to_one_with_the_right_mean(logit):
    # Gauss-Legendre panels, finer towards the ends where the density peaks.
    edges = torch.tanh(torch.linspace(-6, 6, 121, dtype=torch.float64)) / math.tanh(6)
    nodes, weights = (torch.from_numpy(values) for values in numpy.polynomial.legendre.leggauss(12))
    half = edges.diff()[:, None] / 2
    y = ((edges[:-1] + edges[1:])[:, None] / 2 + half * nodes).reshape(-1, 1)
    measure = (half * weights).reshape(-1)
    raw = torch.full_like(y, logit)
    density = torch.exp(-ContinuousBernoulli()(raw, y))
    assert (density * measure).sum().item() == pytest.approx(1, abs=1e-8)
    expected = (density * measure * y[:, 0]).sum().item()
    assert ContinuousBernoulli().mean(raw[:1]).item() == pytest.approx(expected, abs=1e-7)


def test_continuous_bernoulli_agrees_with_torch_away_from_one_half():
    raw = torch.tensor([[-4.0], [-1.5], [2.0], [5.0]]).double()
    image = torch.tensor([[-0.9], [0.2], [0.4], [1.0]]).double()
    expected = -TorchContinuousBernoulli(logits=raw).log_prob((image + 1) / 2)[:, 0] + math.log(2)
    torch.testing.assert_close(ContinuousBernoulli()(raw, image), expected)


def test_continuous_bernoulli_is_smooth_through_one_half_in_float32():
    raw = torch.linspace(-1.5, 1.5, 3001)[:, None].requires_grad_()
    nll = ContinuousBernoulli()(raw, torch.zeros(3001, 1))
    (slope,) = torch.autograd.grad(nll.sum(), raw, create_graph=True)
    torch.testing.assert_close(slope, ContinuousBernoulli().mean(raw) / 2, atol=2e-6, rtol=0)
    exact = ContinuousBernoulli()(raw.double(), torch.zeros(3001, 1).double())
    torch.testing.assert_close(nll.double(), exact, atol=1e-6, rtol=0)
    (curvature,) = torch.autograd.grad(slope.sum(), raw)
    assert curvature.isfinite().all()
    assert curvature[1500].item() == pytest.approx(1 / 12, abs=1e-5)


@pytest.mark.parametrize("learned", [False, True])
def test_gaussian_integrates_to_one_and_agrees_with_torch(learned):
    likelihood = Gaussian(0.3, learned)
    y = torch.linspace(-4, 4, 4001).double()[:, None]
    density = torch.exp(-likelihood(torch.full_like(y, 0.2), y))
    assert torch.trapezoid(density, y[:, 0]).item() == pytest.approx(1, abs=1e-6)
    expected = -Normal(0.2, likelihood.std.double()).log_prob(y)[:, 0]
    torch.testing.assert_close(likelihood(torch.full_like(y, 0.2), y), expected)
    assert likelihood.std.item() == pytest.approx(0.3, abs=1e-6)


def test_learned_std_settles_at_the_root_mean_squared_error():
    likelihood = Gaussian(1.0, learned=True)
    raw, image = torch.zeros(16, 1, 8, 8), 0.17 * torch.randn(16, 1, 8, 8)
    optimizer = torch.optim.LBFGS(likelihood.parameters(), line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def closure():
        optimizer.zero_grad()
        loss = likelihood(raw, image).mean()
        loss.backward()
        return loss

    for _ in range(5):
        optimizer.step(closure)
    assert likelihood.std.item() == pytest.approx(image.square().mean().sqrt().item(), rel=1e-4)
    assert likelihood.terms()["std"] is not None
    assert Gaussian(1.0).terms() == {}


def test_learned_std_stays_above_half_a_level_on_perfect_fits():
    likelihood = Gaussian(0.5, learned=True)
    optimizer = torch.optim.SGD(likelihood.parameters(), lr=1.0)
    for _ in range(100):
        optimizer.zero_grad()
        likelihood(torch.zeros(4, 64), torch.zeros(4, 64)).mean().backward()
        optimizer.step()
    assert likelihood.std.item() >= MINIMUM_STD


@pytest.mark.parametrize("likelihood", EVERY, ids=lambda likelihood: type(likelihood).__name__)
def test_nats_are_summed_over_pixels_and_kept_per_sample(likelihood):
    raw, image = torch.randn(3, 2, 4, 4).double(), binary(3, 2, 4, 4)
    nll = likelihood(raw, image)
    assert nll.shape == (3,)
    taller = likelihood(torch.cat([raw, raw], 2), torch.cat([image, image], 2))
    torch.testing.assert_close(taller, 2 * nll)
    torch.testing.assert_close(likelihood(raw[1:2], image[1:2]), nll[1:2])


@pytest.mark.parametrize("likelihood", EVERY, ids=lambda likelihood: type(likelihood).__name__)
def test_half_precision_decoders_are_scored_in_float32(likelihood):
    raw, image = torch.randn(2, 1, 8, 8).bfloat16(), binary(2, 1, 8, 8).float()
    torch.testing.assert_close(likelihood(raw, image), likelihood(raw.float(), image), rtol=0, atol=0)
    assert likelihood(raw, image).dtype == torch.float32


@pytest.mark.parametrize("likelihood", EVERY, ids=lambda likelihood: type(likelihood).__name__)
def test_mean_images_stay_in_range(likelihood):
    mean = likelihood.mean(torch.tensor([-1e4, -3.0, 0.0, 3.0, 1e4]))
    assert mean.abs().max() <= 1
    assert mean.sort().values.equal(mean)


def test_points_are_not_clipped():
    assert Gaussian(clip=False).mean(torch.tensor([1.5, -3.0])).tolist() == [1.5, -3.0]


@pytest.mark.parametrize("likelihood", EVERY, ids=lambda likelihood: type(likelihood).__name__)
def test_shapes_must_agree(likelihood):
    with pytest.raises(ValueError, match=r"raw must have the shape of image \(2, 1, 4, 4\), got \(2, 1, 1, 4\)"):
        likelihood(torch.zeros(2, 1, 1, 4), torch.ones(2, 1, 4, 4))


def test_grey_images_are_refused_unless_binarised():
    grey = torch.tensor([[-1.0, 0.25, 1.0]])
    with pytest.raises(ValueError, match="image must be binary for a Bernoulli likelihood, got grey values"):
        Bernoulli().observe(grey, torch.rand_like(grey))
    black_and_white = torch.tensor([[-1.0, 1.0, 1.0]])
    assert Bernoulli().observe(black_and_white, torch.rand(1, 3)).equal(black_and_white)
    assert Bernoulli("threshold").observe(grey, torch.rand(1, 3)).tolist() == [[-1.0, 1.0, 1.0]]
    assert ContinuousBernoulli().observe(grey, torch.rand(1, 3)).equal(grey)


def test_dynamic_binarisation_has_the_intensity_as_its_probability():
    grey = torch.tensor([[-1.0, -0.5, 0.0, 0.6, 1.0]]).repeat(20_000, 1)
    drawn = Bernoulli("dynamic").observe(grey, torch.rand(grey.shape, generator=torch.Generator().manual_seed(0)))
    assert set(drawn.unique().tolist()) == {-1.0, 1.0}
    assert drawn[:, 0].eq(-1).all()
    assert drawn[:, -1].eq(1).all()
    torch.testing.assert_close(drawn.mean(0), grey[0], atol=0.03, rtol=0)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="binarise must be one of none, threshold, dynamic, got random"):
        Bernoulli("random")
    with pytest.raises(ValueError, match=r"std must be positive, got 0\.0"):
        Gaussian(0.0)
    with pytest.raises(ValueError, match=r"std must start above 0\.0039 to be learned, got 0\.001"):
        Gaussian(0.001, learned=True)
