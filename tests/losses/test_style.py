import pytest
import torch
from torch import nn

from genexp.losses.style import GramLoss, StatisticsLoss, content_loss, overshoot, total_variation
from genexp.losses.style_objective import StyleObjective


def maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_content_loss_is_the_mean_square_of_each_sample():
    a, b = maps(3, 4, 5, 6), maps(3, 4, 5, 6, seed=1)
    expected = torch.stack([((x - y) ** 2).mean() for x, y in zip(a, b)])
    torch.testing.assert_close(content_loss(a, b), expected)


def test_gram_closed_form():
    features = torch.tensor([[[[1.0, 2.0], [0.0, 1.0]], [[3.0, 0.0], [1.0, -1.0]]]])
    products = torch.tensor([[[6.0, 2.0], [2.0, 11.0]]])
    torch.testing.assert_close(GramLoss("spatial").describe(features), products / 4)
    torch.testing.assert_close(GramLoss("elements").describe(features), products / 8)
    loss = GramLoss("spatial")(features, torch.zeros(1, 2, 2))
    torch.testing.assert_close(loss, (products / 4).square().mean((1, 2)))


def test_dividing_by_elements_weighs_a_layer_by_one_over_channels_squared():
    a, b = maps(2, 8, 4, 4), maps(2, 8, 4, 4, seed=1)
    spatial, elements = GramLoss("spatial"), GramLoss("elements")
    torch.testing.assert_close(elements(a, elements.describe(b)), spatial(a, spatial.describe(b)) / 64)


@pytest.mark.parametrize("loss", [GramLoss("spatial"), GramLoss("elements"), StatisticsLoss()])
def test_style_does_not_change_when_the_style_picture_is_tiled(loss):
    image, style = maps(1, 6, 5, 7), maps(1, 6, 4, 3, seed=1)
    torch.testing.assert_close(loss.describe(style.tile(1, 1, 3, 2)), loss.describe(style))
    once, tiled = loss(image, loss.describe(style)), loss(image, loss.describe(style.tile(1, 1, 3, 2)))
    assert once.shape == (1,)
    assert once > 1e-3
    torch.testing.assert_close(once, tiled)


@pytest.mark.parametrize("loss", [GramLoss("spatial"), StatisticsLoss()])
def test_style_forgets_positions_and_keeps_samples_apart(loss):
    features = maps(3, 6, 4, 4)
    shuffled = features.flatten(2)[..., torch.randperm(16)].reshape(3, 6, 4, 4)
    assert loss(shuffled, loss.describe(features)).abs().max() < 1e-10
    mixed = loss(torch.cat([features[:1], maps(2, 6, 4, 4, seed=1)]), loss.describe(features))
    assert mixed[0] == 0
    assert (mixed[1:] > 0).all()


def test_gram_is_float32_under_autocast():
    features = maps(1, 64, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under = GramLoss().describe(features.bfloat16())
    assert under.dtype == torch.float32
    torch.testing.assert_close(under, GramLoss().describe(features.bfloat16().float()), rtol=0, atol=0)


def test_statistics_closed_form_with_the_biased_deviation():
    features = torch.tensor([1.0, 3.0, 5.0, 7.0]).reshape(1, 1, 2, 2)
    loss = StatisticsLoss(eps=0.0)
    torch.testing.assert_close(loss.describe(features), torch.tensor([[[4.0], [5.0**0.5]]]))
    torch.testing.assert_close(loss(features, torch.zeros(1, 2, 1)), torch.tensor([16.0 + 5.0]))


def test_statistics_of_a_single_position_have_a_finite_gradient():
    features = maps(2, 4, 1, 1).requires_grad_()
    loss = StatisticsLoss()
    loss(features, loss.describe(maps(2, 4, 3, 3, seed=1))).sum().backward()
    assert torch.isfinite(features.grad).all()


def test_total_variation_of_a_ramp_is_its_slope_at_every_size():
    for height, width in ((8, 8), (16, 32), (5, 64)):
        down, across = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
        ramp = (0.25 * down - 0.5 * across).expand(2, 3, -1, -1)
        torch.testing.assert_close(total_variation(ramp), torch.full((2,), 0.75))


def test_total_variation_scales_with_contrast_and_ignores_brightness():
    image = maps(2, 3, 9, 7)
    torch.testing.assert_close(total_variation(3 * image + 0.5), 3 * total_variation(image))
    assert (total_variation(torch.full((2, 3, 4, 4), 0.7)) == 0).all()


def test_overshoot_is_the_squared_distance_from_the_range():
    image = torch.tensor([[-3.0, -1.0, 0.5, 1.5], [-1.0, 1.0, 0.0, 0.9]]).reshape(2, 1, 2, 2)
    torch.testing.assert_close(overshoot(image), torch.tensor([(4 + 0.25) / 4, 0.0]))


class Pyramid(nn.Module):
    """Stands for an encoder: the image itself, and its mean over pairs of pixels."""

    def forward(self, image, layers):
        found = {"fine": image, "coarse": nn.functional.avg_pool2d(image, 2)}
        return {layer: found[layer] for layer in layers}


def test_objective_is_the_weighted_sum_over_layers_of_each_sample():
    gram = GramLoss()
    objective = StyleObjective(Pyramid(), gram, ["coarse"], ["fine", "coarse"], 2.0, 3.0, 0.5, 7.0)
    image, content, style = maps(2, 3, 8, 8), maps(2, 3, 8, 8, seed=1), maps(2, 3, 4, 4, seed=2)
    terms = objective(image, objective.content_of(content), objective.style_of(style))
    pool = nn.functional.avg_pool2d
    expected_style = gram(image, gram.describe(style)) + gram(pool(image, 2), gram.describe(pool(style, 2)))
    torch.testing.assert_close(terms["content"], content_loss(pool(image, 2), pool(content, 2)))
    torch.testing.assert_close(terms["style"], expected_style)
    weighted = 2 * terms["content"] + 3 * terms["style"] + 0.5 * terms["tv"] + 7 * terms["range"]
    torch.testing.assert_close(terms["loss"], weighted)
    assert {value.shape for value in terms.values()} == {(2,)}


def test_one_pass_gives_what_two_give_bit_for_bit():
    class Counted(Pyramid):
        passes = 0

        def forward(self, image, layers):
            self.passes += 1
            return super().forward(image, layers)

    objective = StyleObjective(Counted(), GramLoss(), ["coarse"], ["fine", "coarse"])
    image = maps(2, 3, 8, 8)
    content, style = objective.both_of(image)
    assert objective.features.passes == 1
    for found, expected in (
        (content, objective.content_of(image)),
        (style.described, objective.style_of(image).described),
    ):
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[layer], expected[layer]) for layer in expected)


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match="normalise must be spatial or elements, got channels"):
        GramLoss("channels")
    with pytest.raises(ValueError, match="style_weight must be at least 0, got -1"):
        StyleObjective(Pyramid(), GramLoss(), ["fine"], ["fine"], style_weight=-1)
    with pytest.raises(ValueError, match="content, style, tv, range weights must not all be 0"):
        StyleObjective(Pyramid(), GramLoss(), ["fine"], ["fine"], 0, 0, 0)


class Scaled(nn.Module):
    """Two layers: the image itself, and three times the image."""

    def forward(self, image, layers):
        return {layer: image * {"one": 1.0, "three": 3.0}[layer] for layer in layers}


@pytest.mark.parametrize("style_loss", [GramLoss(), StatisticsLoss()])
def test_distances_are_anchored_at_the_content_at_the_style_and_at_nothing(style_loss):
    objective = StyleObjective(Scaled(), style_loss, ["one"], ["one"], content_weight=7.0, style_weight=0.1)
    content, style = maps(3, 3, 8, 8), 2 * maps(3, 3, 6, 6, seed=1) + 1
    kept = objective.distances(["one", "three"], content, content, style)
    assert torch.equal(kept["content_distance"], torch.zeros(3))
    assert (kept["style_distance"] > 0).all()
    nothing = objective.distances(["one", "three"], torch.zeros_like(content), content, style)
    torch.testing.assert_close(nothing["style_distance"], torch.ones(3), atol=1e-3, rtol=0)
    flat = content.mean((2, 3), keepdim=True).expand_as(content)
    torch.testing.assert_close(
        objective.distances(["one", "three"], flat, content, style)["content_distance"], torch.ones(3)
    )
    tiled = style.tile(1, 1, 2, 2)[..., :12, :12]
    other = objective.distances(["one", "three"], tiled, maps(3, 3, 12, 12), style)
    torch.testing.assert_close(other["style_distance"], torch.zeros(3), atol=1e-5, rtol=0)


def test_distances_do_not_change_with_weights_or_with_the_scale_of_a_layer():
    image, content, style = maps(2, 3, 8, 8), maps(2, 3, 8, 8, seed=1), maps(2, 3, 8, 8, seed=2)
    found = []
    for weight, layers in ((1.0, ["one"]), (50.0, ["one"]), (1.0, ["three"])):
        objective = StyleObjective(Scaled(), GramLoss(), ["one"], ["one"], style_weight=weight)
        found.append(objective.distances(layers, image, content, style))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])


def test_flat_contents_and_equal_pairs_have_finite_distances():
    objective = StyleObjective(Scaled(), GramLoss(), ["one"], ["one"])
    flat = torch.ones(1, 3, 4, 4)
    found = objective.distances(["one"], flat, flat, flat)
    assert found == {"content_distance": torch.zeros(1), "style_distance": torch.zeros(1)}
