"""What is taken away from images: closed forms, chance that is the image's own or drawn, and refusals."""

import pytest
import torch

from genexp.conditioning.base import Conditioning
from genexp.conditioning.chance import Drawn, OfContent
from genexp.conditioning.degradations import Bicubic, Blurred, Grey, Jpeg, Masked, Noisy, OneAfterTheOther
from genexp.conditioning.degraded import Degraded


def test_noise_has_the_deviation_of_levels_and_is_the_images_own_until_it_is_drawn():
    image = torch.rand(3, 1, 64, 64) * 2 - 1
    kind = Degraded((1, 64, 64), Noisy(25))
    made = kind.made(image)
    assert float((made - image).std() * 127.5) == pytest.approx(25, rel=0.02)
    assert torch.equal(kind.made(image[1:2])[0], made[1])
    assert not torch.equal((made - image)[0], (made - image)[1])
    told = Conditioning({"source": kind})
    assert torch.equal(told.told({"image": image})["source"], made)
    torch.manual_seed(0)
    first = told.told({"image": image}, anew=True)["source"]
    assert not torch.equal(told.told({"image": image}, anew=True)["source"], first)
    torch.manual_seed(0)
    assert torch.equal(told.told({"image": image}, anew=True)["source"], first)


@pytest.mark.parametrize("degradation", [Blurred(1.0), Bicubic(2)], ids=lambda each: type(each).__name__)
def test_what_is_made_of_a_batch_is_the_same_to_the_bit_in_mixed_precision(degradation):
    told, batch = Conditioning({"source": Degraded((1, 16, 16), degradation)}), {"image": torch.rand(3, 1, 16, 16)}
    with torch.autocast("cpu", torch.bfloat16):
        mixed = told.told(batch)["source"]
    assert torch.equal(mixed, told.told(batch)["source"])


def test_random_levels_of_noise_are_uniform():
    torch.manual_seed(0)
    image = torch.zeros(2000, 1, 16, 16)
    levels = (Noisy(50, least=10)(image, Drawn(image)) * 127.5).flatten(1).std(1)
    assert float(levels.mean()) == pytest.approx(30, abs=1)
    assert float(levels.std()) == pytest.approx(40 / 12**0.5, rel=0.05)


def test_a_blur_keeps_constants_and_turns_an_impulse_into_a_gaussian():
    blur = Blurred(1.0)
    assert torch.allclose(blur(torch.full((1, 3, 9, 9), 0.3)), torch.full((1, 3, 9, 9), 0.3))
    impulse = torch.zeros(1, 1, 15, 15)
    impulse[..., 7, 7] = 1
    seen = blur(impulse)[0, 0]
    assert float(seen[7, 8] / seen[7, 7]) == pytest.approx(0.60653, abs=1e-4)  # exp(-1/2)
    assert float(seen[8, 8] / seen[7, 7]) == pytest.approx(0.36788, abs=1e-4)
    assert float(seen.sum()) == pytest.approx(1, abs=1e-5)


def test_a_rectangle_is_lost_and_nothing_else_changes():
    image = torch.rand(300, 2, 20, 30) * 0.5 + 0.5
    seen = Masked(0.25, 0.5)(image, OfContent(image))
    lost = (seen == 0).all(1)
    assert torch.equal(seen[:, 0][~lost], image[:, 0][~lost])
    heights, widths = lost.any(2).sum(1), lost.any(1).sum(1)
    assert torch.equal(lost.sum((1, 2)), heights * widths)
    assert (heights.min().item(), heights.max().item()) == (5, 10)
    assert (widths.min().item(), widths.max().item()) == (8, 15)
    assert bool(lost.any(0).any(0).all() and lost.any(0).any(1).all())  # every row and column may be lost


def test_grey_is_luma_and_jpeg_is_worse_at_lower_quality():
    image = torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert torch.allclose(Grey()(image), torch.full((1, 1, 8, 8), 0.299 - 0.587))
    picture = torch.rand(2, 3, 32, 40) * 2 - 1
    errors = [float((Jpeg(quality)(picture) - picture).abs().mean()) for quality in (95, 50, 5)]
    assert errors == sorted(errors)
    assert Jpeg(50)(picture[:, :1]).shape == (2, 1, 32, 40)


def test_steps_follow_each_other_and_pictures_have_the_levels_of_files():
    image = torch.rand(2, 3, 16, 16) * 2 - 1
    steps = OneAfterTheOther({"blur": Blurred(1.0), "smaller": Bicubic(2)})
    assert torch.equal(steps(image, OfContent(image)), Bicubic(2)(Blurred(1.0)(image)))
    seen = Degraded((3, 16, 16), Bicubic(2), eight_bits=True).made(image)
    levels = (seen + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    assert float(seen.abs().max()) <= 1
    assert float((seen - Bicubic(2)(image).clamp(-1, 1)).abs().max()) <= 1 / 255 + 1e-6


def test_what_cannot_be_done_is_refused():
    for make, told in (
        (lambda: Bicubic(1), "factor must be at least 2, got 1"),
        (lambda: Degraded((1, 9, 9), Bicubic(2)), "factor must divide the sides of an image, 9 and 9, got 2"),
        (lambda: Noisy(0), "deviation must be above 0 levels of 255, got 0"),
        (lambda: Noisy(10, 20), r"least must lie in \[0, deviation=10\] or be null, got 20"),
        (lambda: Blurred(0), "deviation must be above 0 pixels, got 0"),
        (lambda: Degraded((1, 4, 4), Blurred(2)), "deviation must reach less than an image of 4 pixels, got 6"),
        (lambda: Masked(0.5, 0.2), "least and most must satisfy 0 < least <= most < 1, got 0.5 and 0.2"),
        (lambda: Degraded((1, 4, 4), Grey()), "images must have 3 channels to lose their colours, got 1"),
        (lambda: Jpeg(0), r"quality must lie in \[1, 100\], got 0"),
        (lambda: OneAfterTheOther({}), "steps must hold at least one degradation, got none"),
    ):
        with pytest.raises(ValueError, match=told):
            make()
