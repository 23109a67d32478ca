"""Style losses beyond Gram matrices, the terms of an objective, several styles and masks."""

import pytest
import torch
from torch import nn

from genexp.losses.patches import PatchLoss
from genexp.losses.style import GramLoss, StatisticsLoss
from genexp.losses.style_distributions import GaussianLoss, SlicedLoss
from genexp.losses.style_objective import StyleObjective, StyleTerm

LOSSES = [GramLoss(), StatisticsLoss(), GaussianLoss(), SlicedLoss(lines=7), PatchLoss()]
SETS = LOSSES[:4]


def maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_a_picture_has_its_own_style_and_no_other_one(loss):
    found = maps(2, 5, 9, 8)
    other = loss(found, loss.describe(maps(2, 5, 7, 9, seed=1)))
    assert loss(found, loss.describe(found)).abs().max() < 1e-5 < 1e-2 < other.min()
    assert other.shape == (2,)
    leaf = found.clone().requires_grad_()
    loss(leaf, loss.describe(maps(2, 5, 7, 9, seed=1))).sum().backward()
    assert torch.isfinite(leaf.grad).all()
    assert leaf.grad.abs().sum() > 0


@pytest.mark.parametrize("loss", SETS[2:], ids=lambda loss: type(loss).__name__)
def test_distributions_do_not_change_when_the_style_picture_is_tiled(loss):
    image, style = maps(1, 6, 5, 7), maps(1, 6, 4, 3, seed=1)
    once, tiled = (loss(image, loss.describe(each)) for each in (style, style.tile(1, 1, 3, 2)))
    torch.testing.assert_close(once, tiled)


def test_gaussians_closed_form():
    """Of diagonal covariances the distance is that of the means and of the deviations, channel by channel."""
    a, b = maps(1, 2, 1, 4000), maps(1, 2, 1, 4000)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(a[0, :, 0].cov(correction=0)), a[0, :, 0], upper=False)
    white = (white - white.mean(1, keepdim=True))[None, :, None]
    a = white * torch.tensor([2.0, 0.5]).reshape(1, 2, 1, 1)
    b = white * torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1) + torch.tensor([1.0, -2.0]).reshape(1, 2, 1, 1)
    loss = GaussianLoss(eps=0.0)
    expected = (1 + 4 + (2 - 1) ** 2 + (0.5 - 3) ** 2) / 2
    torch.testing.assert_close(loss(a, loss.describe(b)), torch.tensor([expected]), rtol=1e-4, atol=1e-4)


def test_gaussians_of_any_covariances_agree_with_scipy():
    linalg = pytest.importorskip("scipy.linalg")
    a, b = maps(1, 4, 6, 6), maps(1, 4, 4, 4, seed=1).cumsum(1)
    loss = GaussianLoss(eps=0.0)
    (m, s), (n, t) = ((each.flatten(2)[0].mean(1), each.flatten(2)[0].cov(correction=0).double()) for each in (a, b))
    cross = torch.from_numpy(linalg.sqrtm((s @ t).numpy()).real)
    expected = ((m - n).square().sum() + (s + t - 2 * cross).trace()) / 4
    assert float(loss(a, loss.describe(b))) == pytest.approx(float(expected), rel=1e-4)


def test_sliced_distance_of_a_shifted_set_is_the_mean_squared_shift_along_the_lines():
    loss, features = SlicedLoss(lines=5), maps(2, 3, 6, 6)
    shift = torch.tensor([0.5, -1.0, 2.0])
    found = loss(features + shift.reshape(1, 3, 1, 1), loss.describe(features))
    expected = (loss.directions(3) @ shift).square().mean().expand(2)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(loss.directions(3).norm(dim=1), torch.ones(5))


def test_sliced_distance_sees_what_gaussians_do_not():
    coin = torch.tensor([-1.0, 1.0]).repeat(500).reshape(1, 1, 10, 100)
    bell = torch.erfinv(torch.linspace(-1, 1, 1001)[:-1] + 1e-3) * 2**0.5
    bell = ((bell - bell.mean()) / bell.std(correction=0)).reshape(1, 1, 10, 100)
    assert GaussianLoss()(coin, GaussianLoss().describe(bell)) < 1e-6
    assert SlicedLoss()(coin, SlicedLoss().describe(bell)) > 0.1


@pytest.mark.parametrize("stride", [1, 2])
def test_chunked_matching_is_the_whole_one(stride):
    found, style = maps(2, 4, 9, 9), maps(2, 4, 11, 8, seed=1)
    values = []
    for chunk in (1, 5, 10_000):
        leaf, loss = found.clone().requires_grad_(), PatchLoss(stride=stride, chunk=chunk)
        value = loss(leaf, loss.describe(style))
        value.sum().backward()
        values.append((value.detach(), leaf.grad))
    for value, gradient in values[1:]:
        torch.testing.assert_close(value, values[0][0], rtol=0, atol=0)
        torch.testing.assert_close(gradient, values[0][1], rtol=0, atol=0)


def test_patches_are_compared_with_those_that_correlate_most():
    found, style = maps(1, 2, 5, 5), maps(1, 2, 6, 4, seed=1)
    cut = [each[0].unfold(1, 3, 1).unfold(2, 3, 1).permute(1, 2, 0, 3, 4).flatten(0, 1) for each in (found, style)]
    total = 0.0
    for patch in cut[0]:
        likeness = [float((patch * other).sum() / other.norm()) for other in cut[1]]
        total += float((patch - cut[1][likeness.index(max(likeness))]).square().mean())
    loss = PatchLoss(size=3, stride=1)
    assert float(loss(found, loss.describe(style))) == pytest.approx(total / len(cut[0]), rel=1e-5)
    with pytest.raises(ValueError, match="size must be at most the sides of the map, 2 x 8, got 3"):
        loss.describe(maps(1, 2, 2, 8))


def test_gram_conventions_of_the_literature_are_multiples_of_the_two():
    a, b = maps(1, 8, 4, 5), maps(1, 8, 4, 5, seed=1)
    products = [each.flatten(2)[0] @ each.flatten(2)[0].T for each in (a, b)]
    spatial, elements = (loss(a, loss.describe(b)) for loss in (GramLoss("spatial"), GramLoss("elements")))
    paper = (products[0] - products[1]).square().sum() / (4 * 8**2 * 20**2)
    torch.testing.assert_close(paper, spatial[0] / 4)
    notebook = 1e3 / 8**2 * ((products[0] - products[1]) / 20).square().mean()
    torch.testing.assert_close(notebook, 1e3 * elements[0])


class Same(nn.Module):
    """Stands for an encoder: the image, and its mean over pairs of pixels."""

    def forward(self, image, layers):
        found = {"fine": image, "coarse": nn.functional.avg_pool2d(image, 2)}
        return {layer: found[layer] for layer in layers}


def objective(loss=None, extra=None):
    return StyleObjective(Same(), loss or GramLoss(), ["coarse"], ["fine"], 1.0, 2.0, 0.0, 0.0, extra)


def test_extra_terms_are_named_weighted_and_added():
    whole = objective(
        extra={"swd": StyleTerm(SlicedLoss(), ["coarse"], 3.0), "patches": StyleTerm(PatchLoss(), ["fine"], 0.0)}
    )
    image, style = maps(1, 3, 8, 8), maps(1, 3, 8, 8, seed=1)
    terms = whole(image, whole.content_of(image), whole.style_of(style))
    coarse = [nn.functional.avg_pool2d(each, 2) for each in (image, style)]
    torch.testing.assert_close(terms["swd"], SlicedLoss()(coarse[0], SlicedLoss().describe(coarse[1])))
    torch.testing.assert_close(terms["patches"], PatchLoss()(image, style))
    torch.testing.assert_close(terms["loss"], terms["content"] + 2 * terms["style"] + 3 * terms["swd"])
    for name in ("tv", "loss"):
        with pytest.raises(ValueError, match=f"extra_terms must not be named as another term, got {name}"):
            objective(extra={name: StyleTerm(SlicedLoss(), ["coarse"])})
    with pytest.raises(ValueError, match="weight must be at least 0, got -1"):
        StyleTerm(SlicedLoss(), ["coarse"], -1)


def test_several_styles_count_by_their_shares():
    whole, image = objective(), maps(1, 3, 8, 8)
    styles = [maps(1, 3, 6, 6, seed=seed) for seed in (1, 2)]
    content = whole.content_of(image)
    alone = [whole(image, content, whole.style_of(style))["style"] for style in styles]
    both = whole(image, content, whole.style_of(styles[0], 0.25), whole.style_of(styles[1], 0.75))["style"]
    torch.testing.assert_close(both, 0.25 * alone[0] + 0.75 * alone[1])


@pytest.mark.parametrize("loss", SETS, ids=lambda loss: type(loss).__name__)
def test_a_mask_reads_and_paints_its_own_half_alone(loss):
    from dataclasses import replace

    whole, image, style = objective(loss), maps(1, 3, 8, 8).requires_grad_(), maps(1, 3, 8, 8, seed=1)
    left = torch.zeros(8, 8)
    left[:, :4] = 1
    target = replace(whole.style_of(style, guide=left), where=whole.positions(image, 1 - left))
    term = whole(image, whole.content_of(image), target)["style"]
    torch.testing.assert_close(term, loss(image[..., 4:], loss.describe(style[..., :4])))
    term.sum().backward()
    assert (image.grad[..., :4] == 0).all()
    assert (image.grad[..., 4:] != 0).any()


def test_masks_that_cannot_be_used_are_refused():
    whole, image = objective(), maps(1, 3, 8, 8)
    with pytest.raises(ValueError, match="a mask must show some of the picture at fine, got one that shows none"):
        whole.positions(image, torch.zeros(8, 8))
    with pytest.raises(ValueError, match="a mask needs style losses that take any set of positions, got PatchLoss"):
        objective(PatchLoss()).style_of(image, guide=torch.ones(8, 8))
