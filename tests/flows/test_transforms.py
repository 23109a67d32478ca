"""Every transform of a flow: it goes there and back, and its log-determinant is that of its Jacobian."""

import copy
import math
from functools import partial

import pytest
import torch

from genexp.flows.composed import MultiScale, Vector
from genexp.flows.coupling_layers import CouplingLayer
from genexp.flows.elementwise import Additive, Affine, RationalQuadratic
from genexp.flows.linear import ActNorm, InvertibleLinear, Reverse, Scaling, Shuffle
from genexp.flows.masked_autoregressive import InverseAutoregressive, MaskedAutoregressive
from genexp.flows.masks import checkerboard, halves
from genexp.flows.reshaping import FactorOut, Flatten, Squeeze
from genexp.flows.residual import Residual
from genexp.flows.scaled import Centred, Logit
from genexp.flows.transform import Chain, Inverse
from genexp.networks.conditioners import ConvConditioner, MaskedConditioner, MLPConditioner
from genexp.networks.contraction import ContractionMLP

POINT, IMAGE, SQUEEZED = (6,), (1, 2, 4), (4, 1, 2)


def mlp(**options):
    return partial(MLPConditioner, width=16, **options)


def conv(**options):
    return partial(ConvConditioner, width=8, **options)


def coupling(element, network=None):
    return partial(CouplingLayer, element=element, network=network or mlp())


def masked(block, element=None):
    network = partial(MaskedConditioner, width=16)
    return partial(block, element=element or Affine(), network=network)


TRANSFORMS = {
    "additive": (POINT, coupling(Additive())),
    "affine": (POINT, coupling(Affine())),
    "spline": (POINT, coupling(RationalQuadratic(bins=5))),
    "affine_checkerboard": (IMAGE, lambda shape: coupling(Affine(), conv())(shape, mask=checkerboard(shape))),
    "spline_channels": (SQUEEZED, coupling(RationalQuadratic(bins=4), conv())),
    "autoregressive": (POINT, masked(MaskedAutoregressive)),
    "autoregressive_spline": (POINT, masked(MaskedAutoregressive, RationalQuadratic(bins=4))),
    "inverse_autoregressive": (POINT, masked(InverseAutoregressive)),
    "residual": (POINT, partial(Residual, network=partial(ContractionMLP, width=16))),
    "scaling": (POINT, Scaling),
    "actnorm": (SQUEEZED, ActNorm),
    "reverse": (POINT, Reverse),
    "shuffle": (SQUEEZED, Shuffle),
    "linear": (POINT, InvertibleLinear),
    "linear_channels": (SQUEEZED, InvertibleLinear),
    "squeeze": (IMAGE, Squeeze),
    "factor_out": (SQUEEZED, lambda shape: FactorOut(shape, Chain([ActNorm((2, 1, 2)), Flatten((2, 1, 2))]))),
    "centred": (IMAGE, lambda shape: Centred()),
    "logit": (IMAGE, lambda shape: Logit(0.05)),
    "inverse": (POINT, lambda shape: Inverse(coupling(Affine())(shape))),
    "vector": (IMAGE, partial(Vector, block=coupling(Affine()), depth=3, actnorm=True, scaling=True)),
    "glow": (
        (1, 4, 2),
        partial(MultiScale, block=coupling(Affine(), conv()), permutation=InvertibleLinear, scales=1, depth=2),
    ),
    "glow_split": (
        (2, 4, 4),
        partial(MultiScale, block=coupling(Additive(), conv()), permutation=Shuffle, scales=2, split_prior=True),
    ),
    "realnvp": (
        (1, 4, 2),
        partial(MultiScale, block=coupling(Affine(), conv()), scales=2, depth=2, checkerboard=3),
    ),
}

DEEP = ("vector", "glow", "glow_split", "realnvp")
"""Whole flows, which multiply the rounding of all their layers."""


def made(name, moved, dtype=torch.float64):
    """A transform, at its start or with parameters that no start has, and samples for it."""
    shape, build = TRANSFORMS[name]
    torch.manual_seed(0)
    transform = build(shape).to(dtype)
    x = torch.rand(5, *shape, dtype=dtype)
    x = x if name in ("logit", "centred") else 4 * x - 2
    if moved:
        transform.initialise(x)
        for parameter in transform.parameters():
            parameter.data += (0.1 if name in DEEP else 0.3) * torch.randn_like(parameter)
    return transform, x


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("moved", [False, True], ids=["start", "moved"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_samples_come_back(name, moved):
    for dtype, allowed in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        transform, x = made(name, moved, dtype)
        with torch.no_grad():
            z, log_det = transform(x)
            back, undone = transform.inverse(z)
        assert z.dtype == log_det.dtype == dtype
        torch.testing.assert_close(back, x, rtol=allowed, atol=allowed)
        torch.testing.assert_close(undone, -log_det, rtol=10 * allowed, atol=10 * allowed)
        assert log_det.shape == (5,)


@pytest.mark.parametrize("moved", [False, True], ids=["start", "moved"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_log_determinant_is_that_of_the_jacobian(name, moved):
    transform, x = made(name, moved)
    _, log_det = transform(x)
    for i in range(2):
        jacobian = torch.autograd.functional.jacobian(lambda one: transform(one[None])[0][0].flatten(), x[i])
        exact = torch.linalg.slogdet(jacobian.flatten(1)).logabsdet
        assert log_det[i].item() == pytest.approx(float(exact), abs=1e-9)


STARTS_AS_IDENTITY = ("additive", "affine", "spline", "affine_checkerboard", "spline_channels", "scaling", "actnorm")
STARTS_AS_IDENTITY += ("residual", "autoregressive", "autoregressive_spline", "inverse_autoregressive")


@pytest.mark.parametrize("name", STARTS_AS_IDENTITY)
def test_a_layer_begins_as_the_identity(name):
    transform, x = made(name, moved=False)
    z, log_det = transform(x)
    torch.testing.assert_close(z, x, rtol=0, atol=1e-12)
    torch.testing.assert_close(log_det, torch.zeros(5, dtype=x.dtype), rtol=0, atol=1e-12)


def test_no_slope_of_the_affine_layer_leaves_its_bounds():
    x, raw = torch.ones(3, 1), torch.tensor([-1e4, 0.0, 1e4])
    _, log_slope = Affine(limit=1.5).forward(x, torch.stack([raw, raw], 1)[..., None])
    assert log_slope[:, 0].tolist() == [-1.5, 0, 1.5]


def test_the_spline_goes_through_its_knots_and_is_smooth_there():
    spline, parameters = RationalQuadratic(bins=4, bound=2.0), torch.randn(1, 11, dtype=torch.float64)
    places, heights, slopes = spline._knots(parameters)
    for offset in (-1e-9, 1e-9):
        at = places[0, 1:-1] + offset
        z, log_slope = spline.forward(at, parameters.expand(3, 11))
        torch.testing.assert_close(z, heights[0, 1:-1], rtol=0, atol=1e-7)
        torch.testing.assert_close(log_slope.exp(), slopes[0, 1:-1], rtol=0, atol=1e-6)
    ends = torch.tensor([-2.5, -2.0, 2.0, 2.5], dtype=torch.float64)
    z, log_slope = spline.forward(ends, parameters.expand(4, 11))
    torch.testing.assert_close(z, ends)
    torch.testing.assert_close(log_slope, torch.zeros_like(ends))


def test_actnorm_is_set_once_by_the_whole_first_batch():
    norm, x = ActNorm((3, 2, 2)), 5 * torch.randn(40, 3, 2, 2) + 2
    z = norm.initialise(x)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(z.var((0, 2, 3), unbiased=False), torch.ones(3), rtol=0, atol=1e-5)
    before = copy.deepcopy(norm.state_dict())
    norm.initialise(x * 10)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    loaded = ActNorm((3, 2, 2))
    loaded.load_state_dict(before)
    assert torch.equal(loaded.initialise(x * 10), norm(x * 10)[0])


def test_the_weights_of_the_linear_layer_are_a_rotation_at_the_start():
    layer = InvertibleLinear((5,)).double()
    weight = layer(torch.eye(5, dtype=torch.float64))[0]
    torch.testing.assert_close(weight @ weight.T, torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-6)
    assert not torch.equal(weight.round(), weight)


def test_the_masks_are_those_of_the_paper():
    assert checkerboard((1, 2, 3)).int().tolist() == [[[1, 0, 1], [0, 1, 0]]]
    assert torch.equal(checkerboard((2, 2, 2), odd=True), ~checkerboard((2, 2, 2)))
    assert halves((3,)).tolist() == [True, False, False]
    for rule, call in (
        ("at least 2 channels", lambda: halves((1, 4, 4))),
        ("at least 2 pixels", lambda: checkerboard((4,))),
        ("some values", lambda: coupling(Affine())((2,), mask=torch.ones(2, dtype=torch.bool))),
        ("shape .2,. of a sample", lambda: coupling(Affine())((2,), mask=torch.ones(3, dtype=torch.bool))),
    ):
        with pytest.raises(ValueError, match=rule):
            call()


def test_what_a_layer_is_told_changes_it_and_is_named():
    told = mlp(num_classes=3, context=2, told={"speed": partial(torch.nn.Linear, 1)})
    flow = Vector((4,), coupling(Affine(), told), depth=2)
    assert flow.reads == ("label", "speed", "context")
    for parameter in flow.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    condition = {"label": torch.tensor([0, 1]), "speed": torch.ones(2, 1), "context": torch.ones(2, 2)}
    x = torch.ones(2, 4)
    base = flow(x, condition)[0]
    torch.testing.assert_close(flow.inverse(base, condition)[0], x)
    for name in condition:
        assert not torch.allclose(flow(x, {**condition, name: condition[name] * 0 + 2})[0], base)
    with pytest.raises(ValueError, match="speed must be given to MLPConditioner, which reads it, got none"):
        flow(x, {"label": condition["label"], "context": condition["context"]})


@pytest.mark.parametrize(
    ("rule", "call"),
    [
        ("even sides for a squeeze, got .1, 3, 4.", lambda: Squeeze((1, 3, 4))),
        ("even number of channels", lambda: FactorOut((3, 2, 2), Flatten((1, 2, 2)))),
        ("alpha must lie between 0 and 0.5, got 0.5", lambda: Logit(0.5)),
        ("limit must be above 0, got 0", lambda: Affine(0)),
        ("bins must be at least 2, got 1", lambda: RationalQuadratic(1)),
        ("bound must be above 0, got 0", lambda: RationalQuadratic(bound=0)),
        ("least must lie between 0 and 1 / bins = 0.125, got 0.2", lambda: RationalQuadratic(least=0.2)),
        ("depth must be at least 1 step, got 0", lambda: Vector((2,), coupling(Affine()), depth=0)),
        ("sides of images that 4 divides for 2 squeezes", lambda: MultiScale((1, 6, 8), coupling(Affine()))),
        ("transform must be vector for samples", lambda: MultiScale((2,), coupling(Affine()))),
        ("transform must have scales and depth", lambda: MultiScale((1, 8, 8), coupling(Affine()), depth=0)),
        ("network=mlp", lambda: ConvConditioner((4,), 2)),
        ("block=conv_coupling to be multi_scale, got Scaling", lambda: MultiScale((1, 8, 8), Scaling)),
        ("at most 64 entries with block=residual", lambda: Residual((65,), mlp())),
        ("a contraction as the network of a residual block, got MLPConditioner", lambda: Residual((4,), mlp())),
        ("lipschitz must lie between 0 and 1, got 1", lambda: ContractionMLP((4,), 1, lipschitz=1)),
        ("a contraction in a residual block alone", lambda: ContractionMLP((4,), 2)),
        ("network=masked over vectors alone", lambda: MaskedConditioner((1, 2, 2), 2)),
        ("width and depth must be at least 1", lambda: MaskedConditioner((4,), 2, depth=0)),
        ("in an autoregressive block, got MLP", lambda: MaskedAutoregressive((4,), Affine(), mlp())),
    ],
)
def test_what_does_not_fit_is_refused(rule, call):
    with pytest.raises(ValueError, match=rule):
        call()


def test_a_contraction_stays_one_whatever_its_weights():
    network = ContractionMLP((3,), 1, width=20, lipschitz=0.8, num_classes=2, context=1).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=3)
    told = {"label": torch.tensor([1]), "context": torch.ones(1, 1, dtype=torch.float64)}
    slopes = [
        torch.autograd.functional.jacobian(lambda one: network(one[None], told)[0, 0], x).flatten(1)
        for x in torch.randn(20, 3, dtype=torch.float64)
    ]
    assert 0.05 < max(float(torch.linalg.matrix_norm(each, 2)) for each in slopes) < 0.8
    flow, x = Residual((3,), lambda shape, outputs: network), torch.randn(4, 3, dtype=torch.float64)
    condition = {"label": torch.tensor([0, 1, 1, 0]), "context": torch.randn(4, 1, dtype=torch.float64)}
    with torch.no_grad():
        z, log_det = flow(x, condition)
        torch.testing.assert_close(flow.inverse(z, condition)[0], x)
        assert log_det.abs().max() > 0.01
        assert not torch.allclose(flow(x, {**condition, "label": 1 - condition["label"]})[0], z)


def test_numbers_of_an_entry_are_of_those_before_it_and_of_what_is_told():
    network = MaskedConditioner((5,), 3, width=80, num_classes=2, context=2).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    x, context = torch.randn(5, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    told = {"label": torch.tensor([1]), "context": context}
    slopes = torch.autograd.functional.jacobian(lambda one: network(one[None], told)[0], x)
    assert not slopes.triu().any()
    assert torch.equal(slopes.abs().sum(0) > 0, torch.ones(5, 5).tril(-1).bool())
    for name, rows in told.items():
        changed = network(x[None], {**told, name: rows * 0}) != network(x[None], told)
        assert changed.all()


def test_a_context_is_seen_about_its_place_and_a_class_everywhere():
    network = ConvConditioner((2, 9, 9), 3, width=4, context=1, num_classes=2)
    torch.nn.init.normal_(network.last.weight)
    x, context = torch.randn(1, 2, 9, 9), torch.zeros(1, 1, 9, 9)
    told = {"label": torch.tensor([1]), "context": context}
    out = network(x, told)
    assert out.shape == (1, 3, 2, 9, 9)
    context = context.clone()
    context[0, 0, 0, 0] = 1
    changed = (network(x, {**told, "context": context}) != out).any(1).any(1)[0]
    assert changed[0, 0]
    assert not changed[8, 8]
    assert not torch.equal(network(x, {**told, "label": torch.tensor([0])}), out)


def test_log_det_of_a_scale_counts_every_place():
    norm = ActNorm((2, 3, 3))
    norm.log_scale.data.fill_(math.log(2))
    assert norm(torch.zeros(1, 2, 3, 3))[1].item() == pytest.approx(18 * math.log(2))
