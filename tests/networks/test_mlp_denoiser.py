"""The fully connected denoiser sees all that it is given, and refuses what does not fit."""

import pytest
import torch

from genexp.networks.mlp import MLPDenoiser


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8)])
@pytest.mark.parametrize("num_classes", [None, 3])
def test_every_parameter_receives_a_gradient(shape, num_classes):
    torch.manual_seed(0)
    network = MLPDenoiser(shape, width=8, depth=2, num_classes=num_classes)
    condition = {} if num_classes is None else {"label": torch.arange(4)}  # the last one is "no class"
    x_t = torch.randn(4, *shape)
    output = network(x_t, torch.tensor([0, 1, 500, 999]), condition)
    assert output.shape == x_t.shape
    (output * torch.randn_like(output)).sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())


def test_the_point_the_time_and_the_class_all_matter():
    torch.manual_seed(0)
    network = MLPDenoiser((2,), width=16, num_classes=3)
    x_t, t, label = torch.randn(1, 2), torch.tensor([10]), torch.tensor([0])
    output = network(x_t, t, {"label": label})
    assert not torch.allclose(network(x_t + 0.1, t, {"label": label}), output)
    assert not torch.allclose(network(x_t, t + 1, {"label": label}), output)
    labelled = network(x_t.expand(4, 2), t.expand(4), {"label": torch.arange(4)})
    assert len({tuple(row) for row in labelled.tolist()}) == 4


def test_samples_do_not_see_each_other():
    torch.manual_seed(0)
    network = MLPDenoiser((2,), width=16)
    x_t, t = torch.randn(5, 2), torch.arange(5) * 100
    alone = torch.cat([network(x_t[i : i + 1], t[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(network(x_t, t), alone)


def test_a_tiny_denoiser_learns_the_posterior_mean_of_a_gaussian():
    """For data N(0, s^2) and x_t = a x + b e, the mean of e given x_t is b x_t / (a^2 s^2 + b^2)."""
    torch.manual_seed(0)
    network = MLPDenoiser((2,), width=32, depth=1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    t, deviation = torch.zeros(512, dtype=torch.long), 0.5
    for _ in range(200):
        noise = torch.randn(512, 2)
        x_t = 0.8 * deviation * torch.randn(512, 2) + 0.6 * noise
        loss = (network(x_t, t) - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    point = torch.randn(512, 2) * 0.5
    expected = 0.6 * point / (0.64 * deviation**2 + 0.36)
    with torch.no_grad():
        assert (network(point, t) - expected).square().mean() < 0.02 * expected.square().mean()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"x_t must hold samples of shape \(2,\), got \(3,\)"):
        MLPDenoiser((2,), width=8)(torch.zeros(1, 3), torch.zeros(1))
    with pytest.raises(ValueError, match=r"x_t must hold samples of shape \(1, 2, 2\), got \(2, 2, 1\)"):
        MLPDenoiser((1, 2, 2), width=8)(torch.zeros(1, 2, 2, 1), torch.zeros(1))
    with pytest.raises(ValueError, match=r"label must be given to \w+, which reads it, got none"):
        MLPDenoiser((2,), width=8, num_classes=3)(torch.zeros(1, 2), torch.zeros(1))
    with pytest.raises(ValueError, match=r"label must not be given to \w+, which does not read it"):
        MLPDenoiser((2,), width=8)(torch.zeros(1, 2), torch.zeros(1), {"label": torch.zeros(1, dtype=torch.long)})
    with pytest.raises(ValueError, match="depth must be at least 1 residual block, got 0"):
        MLPDenoiser((2,), depth=0)
    with pytest.raises(ValueError, match="width must be even and at least 4, got 7"):
        MLPDenoiser((2,), width=7)
