"""What a discriminator sees in place of an image: its law, its gradients, and how the adaptive one is steered."""

import pytest
import torch

from genexp.adversarial.adaptive import CHANGES, AdaptiveAugment, blitted, recoloured, warped
from genexp.adversarial.augmentations import DiffAugment, InstanceNoise, shifted
from genexp.adversarial.critic import Critic
from genexp.adversarial.objectives import Hinge
from genexp.adversarial.penalties import R1
from genexp.geometry import sampled
from genexp.networks.dcgan import DCGANDiscriminator
from genexp.ramps import Linear

AUGMENTATIONS = [DiffAugment(), DiffAugment(("flip",)), InstanceNoise(), AdaptiveAugment(p=1.0)]


@pytest.fixture
def image():
    return torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def struck(num, **how):
    """Strikes and numbers in which only the named changes strike, by the given uniform number."""
    strikes = {name: torch.full((num,), float(name in how)) for name in CHANGES}
    return strikes, {name: torch.full((num,), float(how.get(name, 0.5))) for name in CHANGES}


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda part: type(part).__name__)
def test_a_sample_is_changed_by_its_own_draws_alone(augmentation, image):
    torch.manual_seed(1)
    drawn = augmentation.draw(image, 0)
    changed = augmentation(image, drawn)
    assert changed.shape == image.shape
    assert not torch.equal(changed, image)
    torch.testing.assert_close(augmentation(image[2:4], drawn[2:4]), changed[2:4])


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda part: type(part).__name__)
def test_what_is_done_is_the_same_to_the_bit_in_mixed_precision(augmentation, image):
    torch.manual_seed(1)
    drawn = augmentation.draw(image, 0)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = augmentation(image, drawn)
    assert torch.equal(mixed, augmentation(image, drawn))


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda part: type(part).__name__)
def test_a_gradient_penalty_has_a_gradient_through_it(augmentation, image):
    critic = Critic(
        DCGANDiscriminator(8, 3, width=2, norm="none"), Hinge(), {"r1": R1()}, augmentations={"a": augmentation}
    )
    critic.loss(image, -image)["penalty/r1"].sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in critic.parameters() if p.grad is not None)
    assert critic.discriminator.body[0].weight.grad.abs().sum() > 0


def test_shifts_bring_zeros_from_outside(image):
    moved = shifted(image, torch.tensor([[0, 0], [1, 0], [0, -2], [-3, 3], [8, 0]]))
    torch.testing.assert_close(moved[0], image[0])
    torch.testing.assert_close(moved[1, :, 1:], image[1, :, :-1])
    torch.testing.assert_close(moved[2, :, :, :-2], image[2, :, :, 2:])
    torch.testing.assert_close(moved[3, :, :-3, 3:], image[3, :, 3:, :-3])
    assert moved[1, :, 0].abs().sum() + moved[2, :, :, -2:].abs().sum() + moved[4].abs().sum() == 0


def test_shifts_are_equally_likely_whole_pixels():
    torch.manual_seed(0)
    dot = torch.zeros(4000, 1, 9, 9)
    dot[:, :, 4, 4] = 1
    part = DiffAugment(("translation",), shift=0.25)
    places = part(dot, part.draw(dot, 0)).sum((0, 1))
    assert (places > 0).sum() == 25
    torch.testing.assert_close(places[places > 0] / 4000, torch.full((25,), 1 / 25), atol=0.012, rtol=0)


def test_a_hole_covers_half_the_side_and_colours_keep_what_they_say():
    torch.manual_seed(0)
    part = DiffAugment(("cutout",))
    kept = part(torch.ones(500, 1, 8, 8), part.draw(torch.ones(500, 1, 8, 8), 0))
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert (kept == 0).sum((1, 2, 3)).max() == 16
    image = torch.randn(1, 3, 4, 4)
    middle = torch.full((1, 8), 0.5)
    torch.testing.assert_close(DiffAugment(("color",))(image, middle), image)  # + 0, times 1, times 1
    grey = DiffAugment(("color",))(image, torch.tensor([[0.5, 0.0, 0.5, 0, 0, 0, 0, 0]]))
    torch.testing.assert_close(grey, image.mean(1, keepdim=True).expand_as(image))


def test_instance_noise_falls_with_the_images_seen(image):
    part = InstanceNoise(Linear(0.5, 0.0, 1000))
    torch.manual_seed(0)
    wide = part.draw(torch.zeros(4, 1, 64, 64), 500)
    assert float(wide.std()) == pytest.approx(0.25, rel=0.02)
    torch.testing.assert_close(part(image, part.draw(image, 1000)), image)


@pytest.mark.parametrize(("change", "by"), [("quarter_turns", 0.3), ("flip", 0.1)])
def test_quarter_turns_and_flips_are_exact(change, by, image):
    expected = torch.rot90(image, 1, (-2, -1)) if change == "quarter_turns" else image.flip(-1)
    torch.testing.assert_close(blitted(image, *struck(5, **{change: by})), expected)


def test_adaptive_shifts_are_mirrored_at_the_borders(image):
    strikes, how = struck(5, shift_down=0.999)
    strikes["quarter_turns"] = strikes["flip"] = torch.zeros(5)
    how["shift_right"] = torch.full((5,), 0.001)  # one pixel down, one to the left, of 8
    expected = torch.cat([image[..., :1, :], image[..., :-1, :]], -2)
    expected = torch.cat([expected[..., 1:], expected[..., -1:]], -1)
    assert torch.equal(blitted(image, strikes, how), expected)


def test_turns_by_an_angle_agree_with_quarter_turns(image):
    for by, quarters in ((0.75, 1), (0.25, 3), (0.5, 0)):
        turned = warped(image, *struck(5, turn_first=by))
        choices = [torch.rot90(image, k, (-2, -1)) for k in (quarters, -quarters)]
        assert min((turned - each).abs().max() for each in choices) < 1e-4


def test_reading_between_pixels_is_linear_with_mirrors_at_the_borders():
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    right = torch.tensor([0.5, 2.25, -0.75, 4.0])
    values = sampled(ramp, torch.zeros(1, 4, 4), right.expand(1, 4, 4))[0, 0, 0]
    torch.testing.assert_close(values, torch.tensor([0.5, 2.25, 0.0, 3.0]))


def test_colour_turns_keep_grey_and_length(image):
    grey = image.mean(1, keepdim=True).expand_as(image)
    for change in ("hue", "saturation"):
        torch.testing.assert_close(recoloured(grey, *struck(5, **{change: 0.8})), grey)
    turned = recoloured(image, *struck(5, hue=0.8))
    torch.testing.assert_close(turned.norm(dim=1), image.norm(dim=1))
    twice = recoloured(recoloured(image, *struck(5, luma_flip=0.1)), *struck(5, luma_flip=0.1))
    torch.testing.assert_close(twice, image)


def test_each_change_strikes_with_probability_p_and_turns_make_one_of_two():
    torch.manual_seed(0)
    part = AdaptiveAugment(p=0.36)
    strikes = part.draw(torch.zeros(20_000, 1, 2, 2), 0)[:, 0].mean(0)
    expected = torch.tensor([0.2 if name.startswith("turn_") else 0.36 for name in CHANGES])
    torch.testing.assert_close(strikes, expected, atol=0.015, rtol=0)


def test_p_follows_the_sign_of_the_real_scores():
    part = AdaptiveAugment(target=0.6, every=2, images=1000)
    image = torch.zeros(4, 1, 2, 2)
    seen = []
    for sign in (1.0, 0.8, 1.0, 1.0, -1.0, 0.0, -1.0, -1.0, -1.0, -1.0):
        before = {name: value.clone() for name, value in part.state_dict().items()}
        part.draw(image, 0)  # both players draw: what they see leaves p alone
        assert all(torch.equal(value, before[name]) for name, value in part.state_dict().items())
        part.observe({"real_sign": torch.tensor(sign)}, 50)
        seen.append(round(float(part.p), 6))
    assert seen == [0.0, 0.0, 0.1, 0.1, 0.2, 0.2, 0.1, 0.1, 0.0, 0.0]  # by 100 / 1000, by the two steps before
    kept = AdaptiveAugment(target=None, p=0.4, every=1)
    for _ in range(2):
        kept.observe({"real_sign": torch.tensor(1.0)}, 50)
    assert float(kept.p) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: DiffAugment(("colour",)),
            r"policy must be a list of color, translation, cutout, flip, got \('colour',\)",
        ),
        (lambda: DiffAugment("color"), "policy must be a list of .*, got 'color'"),
        (lambda: DiffAugment(shift=2.0), r"shift must lie in \[0, 1\], got 2"),
        (lambda: AdaptiveAugment(p=1.5), r"p must lie in \[0, 1\], got 1.5"),
        (lambda: AdaptiveAugment(policy=["bgc"]), r"policy must be a list of blit, geometry, color, got \['bgc'\]"),
        (lambda: AdaptiveAugment(every=0), "every must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
