import pytest
import torch

from genexp.networks.stylizers import AdaINStylizer, adain, statistics


def maps(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_adain_of_an_image_with_itself_is_the_identity():
    features = maps(2, 8, 5, 6) * 3 + 1
    torch.testing.assert_close(adain(features, features), features)


def test_adain_transfers_mean_and_deviation_and_nothing_else():
    content, style = maps(2, 8, 5, 6), 4 * maps(2, 8, 9, 3, seed=1) - 2
    mixed = adain(content, style, eps=0.0)
    torch.testing.assert_close(mixed.mean((2, 3)), style.mean((2, 3)))
    torch.testing.assert_close(mixed.std((2, 3), correction=0), style.std((2, 3), correction=0))
    normal = [(f - f.mean((2, 3), True)) / f.std((2, 3), correction=0, keepdim=True) for f in (content, mixed)]
    torch.testing.assert_close(normal[0], normal[1])


def test_adain_is_finite_on_single_positions_and_constant_channels():
    style = maps(1, 4, 3, 3)
    single = maps(1, 4, 1, 1).requires_grad_()
    mixed = adain(single, style)
    torch.testing.assert_close(mixed, style.mean((2, 3), keepdim=True))
    mixed.sum().backward()
    assert torch.isfinite(single.grad).all()
    assert torch.isfinite(adain(torch.ones(1, 4, 3, 3), maps(1, 4, 1, 1))).all()


def test_the_default_decoder_mirrors_vgg19_up_to_relu4_1():
    stylizer = AdaINStylizer()
    shapes = [tuple(p.shape[:2]) for p in stylizer.parameters() if p.ndim == 4]
    assert shapes == [
        (256, 512),
        (256, 256), (256, 256), (256, 256), (128, 256),
        (128, 128), (64, 128),
        (64, 64), (3, 64),
    ]  # fmt: skip
    with torch.no_grad():
        assert stylizer(maps(2, 512, 2, 3)).shape == (2, 3, 16, 24)


def test_a_constant_map_decodes_to_a_constant_image():
    """Nearest upsampling and reflection leave neither a checkerboard nor a border."""
    stylizer = AdaINStylizer(channels=[8, 4], convolutions=[2, 2])
    with torch.no_grad():
        image = stylizer(maps(1, 8, 1, 1).expand(-1, -1, 4, 4))
    assert (image.amax((2, 3)) - image.amin((2, 3))).max() < 1e-6


def test_layers_that_do_not_match_are_named():
    with pytest.raises(ValueError, match=r"convolutions must name at least 1 for each of the 2 channels, got \[1\]"):
        AdaINStylizer(channels=[8, 4], convolutions=[1])
    with pytest.raises(ValueError, match="convolutions must name at least 1"):
        AdaINStylizer(channels=[8, 4], convolutions=[1, 0])


SMALL = {"channels": [8, 4], "convolutions": [1, 2]}


def test_a_blend_of_styles_is_the_mean_of_their_targets_and_one_alone_is_that_style():
    stylizer, content = AdaINStylizer(**SMALL), maps(2, 8, 6, 6)
    styles = [maps(1, 8, 4, 5, seed=1), 3 * maps(1, 8, 7, 2, seed=2) + 1]
    told = [stylizer.describe(style) for style in styles]
    for place, weights in enumerate(([1.0, 0.0], [0.0, 1.0])):
        assert torch.equal(stylizer.blend(content, told, weights), adain(content, styles[place].expand(2, -1, -1, -1)))
    half = stylizer.blend(content, told, [0.5, 0.5])
    means = torch.stack([statistics(style)[:, 1] for style in styles])
    torch.testing.assert_close(half.mean((2, 3)), means.mean(0).expand(2, -1))


def test_masks_of_halves_are_the_halves_by_themselves():
    stylizer, content = AdaINStylizer(**SMALL), maps(1, 8, 6, 10)
    styles = [maps(1, 8, 4, 5, seed=1), 3 * maps(1, 8, 7, 2, seed=2) + 1]
    left = torch.zeros(1, 1, 12, 20)
    left[..., :10] = 1
    told = [stylizer.describe(style) for style in styles]
    found = stylizer.blend(content, told, [0.5, 0.5], [left, 1 - left])
    torch.testing.assert_close(found[..., :5], adain(content[..., :5], styles[0]))
    torch.testing.assert_close(found[..., 5:], adain(content[..., 5:], styles[1]))


def test_what_no_mask_shows_stays_and_what_two_show_is_shared():
    stylizer, content = AdaINStylizer(**SMALL), maps(1, 8, 6, 10)
    told, left = [stylizer.describe(maps(1, 8, 4, 5, seed=1))], torch.zeros(1, 1, 6, 10)
    left[..., :5] = 1
    found = stylizer.blend(content, told, [1.0], [left])
    assert torch.equal(found[..., 5:], content[..., 5:])
    whole = torch.ones(1, 1, 6, 10)
    torch.testing.assert_close(
        stylizer.blend(content, told * 2, [0.5, 0.5], [whole, whole]), stylizer.blend(content, told, [1.0])
    )
    assert torch.isfinite(stylizer.blend(content, told, [1.0], [0 * whole])).all()
