"""Flows as densities: what they integrate to, what dequantisation and ranges cost, and their latents."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

from genexp.conditioning.base import UNCONDITIONAL
from genexp.contracts import Density, LatentEncoder, StartsFromData
from genexp.densities.dequantisation import Uniform, Untouched, Variational
from genexp.densities.flow import NormalizingFlow
from genexp.flows.composed import MultiScale, Vector
from genexp.flows.coupling_layers import CouplingLayer
from genexp.flows.elementwise import Affine, RationalQuadratic
from genexp.flows.transform import Chain, Transform
from genexp.networks.conditioners import ConvConditioner, MLPConditioner
from genexp.sampling.latent import Latent
from genexp.tensors import BatchNoise, IndexedNoise, from_levels, to_levels

IMAGE = (1, 4, 4)


def of_points(element=None, **options):
    layer = partial(CouplingLayer, element=element or Affine(), network=partial(MLPConditioner, width=32))
    return NormalizingFlow(partial(Vector, block=layer, **options), (2,), Untouched(), levels=None)


def of_images(levels=5, logit=None, moved=0.0, **options):
    torch.manual_seed(0)
    layer = partial(CouplingLayer, element=Affine(), network=partial(ConvConditioner, width=8))
    model = NormalizingFlow(
        partial(MultiScale, block=layer, depth=2, scales=1), IMAGE, Uniform(), levels, logit, **options
    )
    for parameter in model.parameters():
        parameter.data += moved * torch.randn_like(parameter)
    return model


class UniformToNormal(Transform):
    """Values in [-1, 1] to normal ones by their quantiles: what a flow of uniform data would learn."""

    def forward(self, x, condition=UNCONDITIONAL):
        z = torch.special.ndtri((x.double() + 1) / 2).flatten(1)
        return z, (z.square() / 2 + math.log(math.sqrt(2 * math.pi) / 2)).sum(1)


def moons(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    angle = math.pi * torch.rand(count, generator=generator)
    upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], 1)
    sign = (torch.rand(count, 1, generator=generator) < 0.5).float() * 2 - 1
    return upper * sign + 0.1 * torch.randn(count, 2, generator=generator)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("element", [Affine(), RationalQuadratic(bins=6)], ids=["affine", "spline"])
def test_the_density_of_points_integrates_to_one_after_training(element):
    torch.manual_seed(0)
    model = of_points(element, depth=4, actnorm=True)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    model.start_from({"image": moons(500)})
    first = -model.log_prob({"image": moons(500)}).mean().item()
    for step in range(40):
        loss = -model.log_prob({"image": moons(200, step)}).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < first - 0.1
    line = torch.linspace(-5, 5, 301)
    with torch.no_grad():
        density = model.log_prob({"image": torch.cartesian_prod(line, line)}).double().exp()
    assert float(density.sum() * (10 / 300) ** 2) == pytest.approx(1, abs=2e-3)
    assert model.exact


def test_a_flow_that_does_nothing_is_the_standard_normal_density():
    model, x = of_points(RationalQuadratic(bins=6)).double(), torch.randn(50, 2, dtype=torch.float64) * 2
    expected = stats.multivariate_normal(np.zeros(2), np.eye(2)).logpdf(x.numpy())
    np.testing.assert_allclose(model.log_prob({"image": x}).detach().numpy(), expected, rtol=0, atol=1e-12)


def test_uniform_noise_within_levels_costs_a_uniform_model_the_logarithm_of_their_number():
    model = NormalizingFlow(lambda shape: UniformToNormal(), (1, 8, 8), Uniform(), levels=17)
    image = torch.rand(6, 1, 8, 8, dtype=torch.float64) * 2 - 1
    nats = model.log_prob(model.observe({"image": image}, BatchNoise(image)))
    torch.testing.assert_close(nats, torch.full_like(nats, -64 * math.log(17)), rtol=0, atol=1e-6)
    assert not model.exact


@pytest.mark.parametrize("alpha", [None, 0.05])
def test_the_jacobians_of_dequantisation_and_logit_are_those_of_a_calculation_by_hand(alpha):
    """Of independent values z = g((level + u) / L): log p = sum of log N(g) + log g' - log L, g' by differences."""
    model = NormalizingFlow(lambda shape: Chain([]), IMAGE, Uniform(), levels=5, logit=alpha).double()
    batch = model.observe({"image": torch.rand(3, *IMAGE, dtype=torch.float64) * 2 - 1}, IndexedNoise(0, range(3)))

    def g(v):
        if alpha is None:
            return 2 * v - 1
        y = alpha + (1 - 2 * alpha) * v
        return np.log(y) - np.log(1 - y)

    v = ((batch["image"].numpy() + 1) * 2 + batch["noise"].double().numpy()) / 5
    slope = (g(v + 1e-6) - g(v - 1e-6)) / 2e-6
    expected = (stats.norm.logpdf(g(v)) + np.log(slope) - np.log(5)).reshape(3, -1).sum(1)
    np.testing.assert_allclose(model.log_prob(batch).numpy(), expected, rtol=0, atol=1e-6)


def test_the_mean_over_noise_is_below_the_logarithm_of_the_probability_of_the_level():
    model = of_images(levels=3, moved=0.2)
    noise = torch.rand(4000, *IMAGE)
    image = from_levels(torch.randint(3, IMAGE, generator=torch.Generator().manual_seed(1)), 3)
    with torch.no_grad():
        nats = model.log_prob({"image": image.expand(4000, *IMAGE), "noise": noise}).double()
    probability = torch.logsumexp(nats, 0) - math.log(4000)
    assert float(nats.mean()) < float(probability) - 0.2


@pytest.mark.parametrize("logit", [None, 0.05])
def test_images_come_back_from_their_latents_and_draws_lie_at_the_levels(logit):
    model = of_images(levels=5, logit=logit, moved=0.05)
    image = from_levels(torch.randint(5, (20, *IMAGE)), 5)
    with torch.no_grad():
        torch.testing.assert_close(model.decode(model.encode(image)), image)
        noise = IndexedNoise(3, range(20))
        torch.testing.assert_close(model.decode(model.latents({"image": image}, noise)), image)
        drawn = Latent(temperature=0.7).run(model, Latent().start(model, noise), noise)
    torch.testing.assert_close(drawn, from_levels(to_levels(drawn, 5), 5))
    assert drawn.shape == (20, *IMAGE)
    assert isinstance(model, Density)
    assert isinstance(model, LatentEncoder)
    assert isinstance(model, StartsFromData)


def learned(moved):
    torch.manual_seed(1)
    model = Variational(IMAGE, partial(ConvConditioner, width=8, context=1), depth=2).double()
    for parameter in model.parameters():
        parameter.data += moved * torch.randn_like(parameter)
    return model


def test_learned_noise_begins_as_uniform_and_has_the_density_that_it_says():
    image, drawn = torch.ones(3, *IMAGE, dtype=torch.float64), torch.randn(3, *IMAGE, dtype=torch.float64)
    within, log_q = learned(0).within(image, drawn, {})
    torch.testing.assert_close(within, torch.special.ndtr(drawn))
    torch.testing.assert_close(log_q, torch.zeros_like(log_q), rtol=0, atol=1e-9)
    model = learned(0.1)
    within, log_q = model.within(image, drawn, {})
    jacobian = torch.autograd.functional.jacobian(lambda e: model.within(image[:1], e[None], {})[0].flatten(), drawn[0])
    expected = stats.norm.logpdf(drawn[0].numpy()).sum() - torch.linalg.slogdet(jacobian.flatten(1)).logabsdet
    assert log_q[0].item() == pytest.approx(float(expected), abs=1e-8)
    assert ((within > 0) & (within < 1)).all()
    assert not torch.allclose(model.within(-image, drawn, {})[0], within)


def test_the_probability_of_a_level_is_the_same_by_learned_noise():
    """With weights 1 / q the mean of p is the same probability of the level, whatever noise is drawn."""
    layer = partial(CouplingLayer, element=Affine(), network=partial(ConvConditioner, width=8))
    transform = partial(MultiScale, block=layer, depth=1, scales=1)
    torch.manual_seed(0)
    uniform, other = (NormalizingFlow(transform, IMAGE, each, levels=3).double() for each in (Uniform(), learned(0.03)))
    for parameter in uniform.transform.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    other.transform.load_state_dict(uniform.transform.state_dict())
    image = from_levels(torch.randint(3, IMAGE), 3).expand(8000, *IMAGE).double()
    with torch.no_grad():
        nats = [model.log_prob(model.observe({"image": image}, BatchNoise(image))) for model in (uniform, other)]
    first, second = (float(torch.logsumexp(each, 0)) for each in nats)
    assert first == pytest.approx(second, abs=0.15)


def test_a_temperature_scales_the_latents():
    model, noise = of_points(), IndexedNoise(0, range(4))
    start = Latent().start(model, noise)
    with torch.no_grad():
        torch.testing.assert_close(Latent(temperature=0.5).run(model, start, noise), start / 2)
    with pytest.raises(ValueError, match="temperature must be positive or null, got 0"):
        Latent(temperature=0)


def test_the_first_batch_sets_the_norms_of_what_it_is_after_dequantisation_and_once():
    model = of_images(levels=5)
    image = torch.zeros(64, *IMAGE)
    batch = model.observe({"image": image}, BatchNoise(image))  # a constant but for its noise
    model.start_from(batch)
    with torch.no_grad():
        z = model.transform(model.range((2 + batch["noise"]) / 5)[0])[0]
    assert float(z.std()) == pytest.approx(1, abs=0.05)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model._begun = False  # as in another process that loads the weights
    model.start_from({**batch, "image": -image - 1})
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_log_determinants_are_float32_under_autocast():
    model = of_images(levels=5, moved=0.05)
    batch = model.observe({"image": torch.zeros(4, *IMAGE)}, IndexedNoise(0, range(4)))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        mixed = model.log_prob(batch)
        z = model.encode(batch["image"])
        back = model.decode(z)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, model.log_prob(batch), rtol=0.02, atol=0)
    torch.testing.assert_close(back, batch["image"])


def test_each_class_has_a_density_of_its_own():
    layer = partial(CouplingLayer, element=Affine(), network=partial(MLPConditioner, width=8, num_classes=2))
    model = NormalizingFlow(partial(Vector, block=layer), (2,), Untouched(), levels=None, num_classes=2)
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    x, zero = torch.randn(5, 2), torch.zeros(5).long()
    first, second = (model.log_prob({"image": x, "label": label}) for label in (zero, zero + 1))
    assert not torch.allclose(first, second)
    with pytest.raises(ValueError, match="transform must read the conditions of the model, none, got one that reads l"):
        NormalizingFlow(partial(Vector, block=layer), (2,), Untouched(), levels=None)


@pytest.mark.parametrize(
    ("rule", "shape", "dequantisation", "options"),
    [
        ("dequantisation must be none where levels is null", (2,), Uniform(), {"levels": None}),
        ("dequantisation must be uniform or variational for 256 levels, got none", IMAGE, Untouched(), {}),
        ("logit must be null where levels is null, got 0.05", (2,), Untouched(), {"levels": None, "logit": 0.05}),
        (r"levels must lie in \[2, 256\] or be null, got 1", IMAGE, Uniform(), {"levels": 1}),
        ("levels must be null for points, got 256", (2,), Uniform(), {}),
    ],
)
def test_what_does_not_go_together_is_refused(rule, shape, dequantisation, options):
    with pytest.raises(ValueError, match=rule):
        NormalizingFlow(lambda shape: Chain([]), shape, dequantisation, **options)
