import pytest
import torch
from torchvision.transforms import v2

from genexp.data.random_transforms import RandomTransforms


def _images(count, size=8):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, size, size), generator=generator, dtype=torch.uint8)


_TRANSFORMS = {
    "flip": lambda: v2.RandomHorizontalFlip(0.5),
    "crop": lambda: v2.RandomCrop(8, padding=2),
    "colour": lambda: v2.ColorJitter(brightness=0.5, hue=0.2),
    "rotation": lambda: v2.RandomRotation(30),
    "erasing": lambda: v2.RandomErasing(1.0, scale=(0.1, 0.3), value=7),
}


@pytest.mark.parametrize("name", _TRANSFORMS)
def test_every_image_has_its_own_draw(name):
    same = _images(1).expand(16, -1, -1, -1)
    changed = RandomTransforms([_TRANSFORMS[name]()], seed=0)(same, first=0)
    distinct = len({tuple(image.flatten().tolist()) for image in changed})
    assert distinct == 2 if name == "flip" else distinct > 8


@pytest.mark.parametrize("name", _TRANSFORMS)
def test_the_draw_depends_on_seed_and_position_alone(name):
    image = _images(12)
    augment = RandomTransforms([_TRANSFORMS[name]()], seed=0)
    whole = augment(image, first=24)
    for ranks in (2, 3):
        for rank in range(ranks):
            assert torch.equal(augment(image[rank::ranks], 24 + rank, ranks), whole[rank::ranks])
    assert not torch.equal(augment(image, first=36), whole)
    assert not torch.equal(RandomTransforms([_TRANSFORMS[name]()], seed=1)(image, first=24), whole)


@pytest.mark.parametrize("name", _TRANSFORMS)
def test_the_global_random_state_stays_as_it_was(name):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    RandomTransforms([_TRANSFORMS[name]()], seed=0)(_images(4), first=0)
    assert torch.equal(torch.rand(3), expected)


def test_flips_are_mirrors_with_the_given_probability():
    image = _images(1, size=2).expand(4000, -1, -1, -1)
    for transform, axis in ((v2.RandomHorizontalFlip(0.3), -1), (v2.RandomVerticalFlip(0.3), -2)):
        changed = RandomTransforms([transform], seed=0)(image, first=0)
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
    changed = RandomTransforms([transform], seed=0)(image.expand(4500, -1, -1, -1), first=0)
    counts = [int((changed == window).flatten(1).all(1).sum()) for window in windows]
    assert sum(counts) == 4500
    assert min(counts) > 420
    assert max(counts) < 580


def test_erased_rectangles_have_the_law_of_torchvision():
    image = torch.zeros(3000, 1, 32, 32, dtype=torch.uint8)
    transform = v2.RandomErasing(0.4, scale=(0.05, 0.15), ratio=(0.5, 2.0), value=128)
    torch.manual_seed(0)
    found = [RandomTransforms([transform], seed=0)(image, first=0), torch.stack([transform(one) for one in image])]
    erased, heights, corners = [], [], []
    for changed in found:
        assert set(changed.unique().tolist()) == {0, 128}
        hidden = (changed == 128)[:, 0]
        some = hidden.flatten(1).any(1)
        erased.append(float(some.float().mean()))
        tall, wide = hidden[some].any(2).sum(1), hidden[some].any(1).sum(1)
        assert torch.equal(tall * wide, hidden[some].flatten(1).sum(1))  # a full rectangle
        heights.append([float((tall * wide).float().mean()), float(tall.float().mean()), float(tall.float().std())])
        corners.append([float(hidden[:, 0, 0].float().mean()), float(hidden[:, 16, 16].float().mean())])
    assert erased == [pytest.approx(0.4, abs=0.03)] * 2
    assert heights[0] == pytest.approx(heights[1], rel=0.04)
    assert corners[0] == pytest.approx(corners[1], abs=0.012)


def test_a_rectangle_that_might_not_fit_is_left_to_torchvision():
    wild = v2.RandomErasing(1.0, scale=(0.5, 1.0), ratio=(0.1, 10.0), value=1)
    changed = RandomTransforms([wild], seed=0)(torch.zeros(50, 1, 8, 8, dtype=torch.uint8), first=0)
    assert 0 < float(changed.float().mean()) <= 1


def test_a_shift_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match="size must be at most that of the padded image, 8 x 8, got"):
        RandomTransforms([v2.RandomCrop(9)], seed=0)(_images(2), first=0)


def test_certain_flips():
    image = _images(6)
    assert torch.equal(RandomTransforms([v2.RandomHorizontalFlip(1.0)], 0)(image, 0), image.flip(-1))
    assert torch.equal(RandomTransforms([v2.RandomHorizontalFlip(0.0)], 0)(image, 0), image)


@pytest.mark.parametrize("transform", [v2.ToDtype(torch.float32), v2.RandomCrop(4), v2.Grayscale(1)])
def test_transforms_that_change_shape_or_type_are_refused(transform):
    with pytest.raises(ValueError, match=type(transform).__name__ + ", must keep uint8 images of shape"):
        RandomTransforms([transform], seed=0)(_images(2), first=0)


def test_a_transform_that_fails_is_named_with_its_key():
    image = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    transforms = [v2.RandomHorizontalFlip(), v2.ElasticTransform()]
    with pytest.raises(ValueError, match=r"data.augment\[1\], ElasticTransform, failed on uint8 .* \(3, 8, 8\): .+"):
        RandomTransforms(transforms, seed=0)(image, first=0)


def test_no_transforms_is_false():
    assert not RandomTransforms([], seed=0)
