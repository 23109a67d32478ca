import numpy
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

from genexp.evaluation.extractors.resizing import resized

RULES = ("torch_antialias", "pil_clean", "tf1_legacy")


def noise(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("how", [*RULES, "none"])
def test_images_of_the_right_size_pass_unchanged(how):
    image = noise(2, 3, 8, 8)
    assert torch.equal(resized(image, 8, how), image)


@pytest.mark.parametrize("how", RULES)
@pytest.mark.parametrize("size", [5, 20])
def test_constant_images_stay_constant_and_batches_do_not_mix(how, size):
    image = noise(3, 1, 1, 1).expand(3, 2, 9, 12).contiguous()
    expected = image[:, :, :1, :1].expand(3, 2, size, size)
    torch.testing.assert_close(resized(image, size, how), expected, rtol=0, atol=1e-6)
    image = noise(4, 3, 9, 12)
    torch.testing.assert_close(resized(image, size, how)[2:], resized(image[2:], size, how))


@pytest.mark.parametrize("size", [13, 64, 299])
def test_pil_clean_is_pillow_on_every_channel_in_floating_point(size):
    image = noise(2, 3, 32, 40)
    found = resized(image, size, "pil_clean")
    plane = Image.fromarray(((image[1, 2] + 1) * 127.5).numpy(), mode="F").resize((size, size), Image.BICUBIC)
    expected = torch.from_numpy(numpy.asarray(plane).clip(0, 255).copy()) / 127.5 - 1
    torch.testing.assert_close(found[1, 2], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [13, 64])
def test_pil_clean_is_the_antialiased_bicubic_filter_of_torch_clipped(size):
    image = noise(2, 3, 32, 40)
    expected = interpolate(image, (size, size), mode="bicubic", antialias=True).clamp(-1, 1)
    torch.testing.assert_close(resized(image, size, "pil_clean"), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [5, 64, 299])
def test_tf1_legacy_is_torch_fidelitys(size):
    image = noise(2, 3, 32, 40)
    expected = interpolate_bilinear_2d_like_tensorflow1x(image, size=(size, size), align_corners=False)
    torch.testing.assert_close(resized(image, size, "tf1_legacy"), expected, rtol=0, atol=1e-5)


def test_filters_matter_when_images_shrink():
    image = noise(4, 1, 64, 64)
    assert resized(image, 8, "tf1_legacy").std() > 4 * resized(image, 8, "torch_antialias").std()


def test_unknown_rules_and_changes_of_size_without_one_are_refused():
    with pytest.raises(ValueError, match="resize must be one of none, torch_antialias, pil_clean, tf1_legacy, got box"):
        resized(noise(1, 1, 4, 4), 8, "box")
    with pytest.raises(ValueError, match=r"image must have 8 x 8 pixels with resize=none, got \(4, 4\)"):
        resized(noise(1, 1, 4, 4), 8, "none")
    with pytest.raises(ValueError, match=r"image must have shape \(B, C, H, W\)"):
        resized(noise(4, 4), 8, "pil_clean")
