"""Optimisers as updates make them: what is faster must not change a bit."""

from functools import partial

import pytest
import torch
from torch import nn

from genexp.families.updates import EXACT_TOGETHER, FUSED, SMALL, Update, limit_norm, with_options

OPTIONS = {
    torch.optim.Adam: [{}, {"betas": (0.0, 0.99)}, {"weight_decay": 0.01}, {"amsgrad": True}],
    torch.optim.AdamW: [{}, {"betas": (0.9, 0.95), "weight_decay": 0.05}],
    torch.optim.RMSprop: [{}, {"momentum": 0.9}, {"centered": True}],
    torch.optim.SGD: [{}, {"momentum": 0.9, "nesterov": True}, {"weight_decay": 0.1}],
}


def trained(kind, options, make):
    """Weights after 60 steps with gradients of all sizes, a falling rate, and a parameter that at times has none."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((64, 64), (64,), (32, 8, 3, 3), (1,), ())
    parameters = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    optimizer = make(lambda given: kind(given, lr=2e-3, **options), parameters)
    for step in range(60):
        for number, parameter in enumerate(parameters):
            gradient = torch.randn(parameter.shape, generator=generator) * 10 ** (step % 5 - 2)
            parameter.grad = None if step % 7 == 3 and number == 2 else gradient
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - step / 70)
        optimizer.step()
    return parameters, optimizer


@pytest.mark.parametrize(("kind", "options"), [(kind, each) for kind, several in OPTIONS.items() for each in several])
def test_stepping_all_parameters_together_changes_no_bit(kind, options):
    alone, single = trained(kind, options | {"foreach": False}, lambda make, given: make(given))
    together, joint = trained(kind, options, lambda make, given: Update(make, lambda: given, clip=None).made(given))
    assert not single.param_groups[0]["foreach"]
    assert joint.param_groups[0]["foreach"]
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def test_every_optimiser_that_steps_together_is_held_to_its_plain_self():
    assert set(OPTIONS) == set(EXACT_TOGETHER)


@pytest.mark.parametrize("options", [{"foreach": False}, {"fused": True}])
def test_what_was_asked_for_stays(options):
    parameters = [nn.Parameter(torch.zeros(3))]
    group = (
        Update(lambda given: torch.optim.Adam(given, **options), lambda: parameters).made(parameters).param_groups[0]
    )
    assert {name: group[name] for name in options} == options


def test_large_parameters_are_stepped_one_by_one_on_a_cpu():
    def joint(size):
        parameters = [nn.Parameter(torch.zeros(size)), nn.Parameter(torch.zeros(()))]
        return Update(torch.optim.Adam, lambda: parameters).made(parameters).param_groups[0]["foreach"]

    assert joint(2 * SMALL - 1) is True
    assert joint(2 * SMALL) is None


@pytest.mark.parametrize("kind", FUSED)
def test_a_card_steps_all_parameters_in_one_kernel_unless_told_otherwise(kind):
    card, parameters = torch.device("cuda"), [nn.Parameter(torch.zeros(3))]
    for options, expected in (({}, True), ({"fused": False}, False), ({"foreach": True}, None)):
        update = Update(partial(kind, lr=0.1, **options), lambda: parameters)
        assert update.made(parameters, device=card).param_groups[0].get("fused") is expected
        stored = [update.made(parameters, device=torch.device("cpu")).state_dict()]
        (resumed,) = with_options(stored, {"all": update}, card)
        assert resumed["param_groups"][0]["fused"] is expected


def test_an_optimiser_without_such_a_kernel_is_left_alone_on_a_card():
    parameters = [nn.Parameter(torch.zeros(3))]
    group = Update(torch.optim.RMSprop, lambda: parameters).made(parameters, device=torch.device("cuda")).param_groups
    assert "fused" not in group[0]
    assert group[0]["foreach"] is None


@pytest.mark.parametrize(("clip", "scaled"), [(1.0, False), (None, True)])
def test_gradients_that_are_clipped_are_unscaled_before(clip, scaled):
    parameters = [nn.Parameter(torch.zeros(3))]
    optimizer = Update(partial(torch.optim.Adam, fused=True), lambda: parameters, clip=clip).made(parameters)
    assert getattr(optimizer, "_step_supports_amp_scaling", False) is scaled


@pytest.mark.parametrize("scale", [1e-3, 1e3, float("inf"), float("nan")])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_gradients_are_clipped_to_the_bit_that_pytorch_clips_them_to(scale, kind):
    ours, theirs = ([nn.Parameter(torch.zeros(size, dtype=kind)) for size in (1000, 33, 1, 5)] for _ in range(2))
    for one, other in list(zip(ours, theirs, strict=True))[:3]:  # the last has no gradient
        one.grad = torch.randn(one.shape, dtype=kind) * scale
        other.grad = one.grad.clone()
    limit_norm(ours, 1.0)
    nn.utils.clip_grad_norm_(theirs, 1.0)
    for one, other in list(zip(ours, theirs, strict=True))[:3]:
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=0, equal_nan=True)
    assert ours[3].grad is None


def test_gradients_of_several_kinds_are_clipped_together():
    ours = [nn.Parameter(torch.zeros(3, dtype=kind)) for kind in (torch.float32, torch.float64)]
    for each in ours:
        each.grad = torch.full_like(each, 2.0)
    limit_norm(ours, 1.0)
    norm = torch.stack([each.grad.double().square().sum() for each in ours]).sum().sqrt()
    assert norm.item() == pytest.approx(1.0, abs=1e-5)
