import pytest
import torch
from torchvision.transforms import v2

from genexp.data.augment import Augmentation


def _images(count, size=8):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, size, size), generator=generator, dtype=torch.uint8)


_TRANSFORMS = {
    "flip": lambda: v2.RandomHorizontalFlip(0.5),
    "crop": lambda: v2.RandomCrop(8, padding=2),
    "colour": lambda: v2.ColorJitter(brightness=0.5, hue=0.2),
    "rotation": lambda: v2.RandomRotation(30),
}


@pytest.mark.parametrize("name", _TRANSFORMS)
def test_every_image_has_its_own_draw(name):
    same = _images(1).expand(16, -1, -1, -1)
    changed = Augmentation([_TRANSFORMS[name]()], seed=0)(same, first=0)
    distinct = len({tuple(image.flatten().tolist()) for image in changed})
    assert distinct == 2 if name == "flip" else distinct > 8


@pytest.mark.parametrize("name", _TRANSFORMS)
def test_the_draw_depends_on_seed_and_position_alone(name):
    image = _images(12)
    augment = Augmentation([_TRANSFORMS[name]()], seed=0)
    whole = augment(image, first=24)
    for ranks in (2, 3):
        for rank in range(ranks):
            assert torch.equal(augment(image[rank::ranks], 24 + rank, ranks), whole[rank::ranks])
    assert not torch.equal(augment(image, first=36), whole)
    assert not torch.equal(Augmentation([_TRANSFORMS[name]()], seed=1)(image, first=24), whole)


@pytest.mark.parametrize("name", _TRANSFORMS)
def test_the_global_random_state_stays_as_it_was(name):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Augmentation([_TRANSFORMS[name]()], seed=0)(_images(4), first=0)
    assert torch.equal(torch.rand(3), expected)


def test_flips_are_mirrors_with_the_given_probability():
    image = _images(1, size=2).expand(4000, -1, -1, -1)
    for transform, axis in ((v2.RandomHorizontalFlip(0.3), -1), (v2.RandomVerticalFlip(0.3), -2)):
        changed = Augmentation([transform], seed=0)(image, first=0)
        mirrored = (changed == image.flip(axis)).flatten(1).all(1)
        kept = (changed == image).flatten(1).all(1)
        assert (mirrored | kept).all()
        assert abs(mirrored.float().mean() - 0.3) < 0.03


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_shifts_are_uniform_windows_of_the_padded_image(mode):
    image = _images(1, size=4)
    padded = v2.functional.pad(image, [1] * 4, padding_mode=mode)[0]
    windows = [padded[:, top : top + 4, left : left + 4] for top in range(3) for left in range(3)]
    transform = v2.RandomCrop(4, padding=1, padding_mode=mode)
    changed = Augmentation([transform], seed=0)(image.expand(4500, -1, -1, -1), first=0)
    counts = [int((changed == window).flatten(1).all(1).sum()) for window in windows]
    assert sum(counts) == 4500
    assert min(counts) > 420
    assert max(counts) < 580


def test_a_shift_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match="size must be at most that of the padded image, 8 x 8, got"):
        Augmentation([v2.RandomCrop(9)], seed=0)(_images(2), first=0)


def test_certain_flips():
    image = _images(6)
    assert torch.equal(Augmentation([v2.RandomHorizontalFlip(1.0)], 0)(image, 0), image.flip(-1))
    assert torch.equal(Augmentation([v2.RandomHorizontalFlip(0.0)], 0)(image, 0), image)


@pytest.mark.parametrize("transform", [v2.ToDtype(torch.float32), v2.RandomCrop(4), v2.Grayscale(1)])
def test_transforms_that_change_shape_or_type_are_refused(transform):
    with pytest.raises(ValueError, match="must keep uint8 images of shape .* from " + type(transform).__name__):
        Augmentation([transform], seed=0)(_images(2), first=0)


def test_no_transforms_is_false():
    assert not Augmentation([], seed=0)
