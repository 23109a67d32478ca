import pytest
import torch

from genexp.evaluation.canaries import CANARIES, RealImages, moved
from genexp.evaluation.gallery import Gallery, pick
from genexp.evaluation.images import ImageSet
from genexp.evaluation.neighbours import nearest_few
from genexp.evaluation.summaries import FeatureStore


def store(rows, first=0):
    kept = FeatureStore(rows.shape[1])
    kept.update(rows, torch.arange(first, first + len(rows)))
    return kept


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_copy_is_found_with_the_image_that_it_copies():
    real, fake = normal(300, 6), normal(40, 6, seed=1)
    fake[7] = real[123] + 1e-3
    fake[9] += 100
    chosen = Gallery(neighbours=3).choose(store(fake, first=1000), store(real, first=5), 4)
    assert chosen["nearest"].samples[0] == 1007
    assert chosen["nearest"].neighbours[0, 0] == 128
    assert chosen["worst"].samples[0] == 1009
    assert chosen["best"].neighbours.shape == (4, 3)
    assert (chosen["best"].distances.mean(1).diff() >= 0).all()


def test_nearest_is_brute_force():
    queries, points = normal(50, 4), normal(70, 4, seed=1)
    distances, positions = nearest_few(queries, points, 2)
    brute = (queries[:, None] - points).norm(dim=2).sort(1)
    torch.testing.assert_close(distances, brute.values[:, :2])
    assert torch.equal(positions, brute.indices[:, :2])
    assert nearest_few(queries, points[:1], 5)[0].shape == (50, 1)


def test_picked_images_come_in_the_order_asked_for_with_repeats():
    images = torch.arange(10.0).reshape(10, 1, 1, 1)
    found = ImageSet("x", "x", 10, (1, 1, 1), lambda: [{"image": part} for part in images.split(3)])
    assert pick(found, torch.tensor([7, 0, 7, 9])).flatten().tolist() == [7, 0, 7, 9]


def real_images(count=60, seed=0):
    image = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return RealImages(image, torch.arange(count) % 3)


@pytest.mark.parametrize("name", CANARIES)
def test_every_canary_is_as_many_images_as_the_held_out_ones_and_is_not_them(name):
    held_out, reference = real_images(), real_images(200, seed=1)
    faulty = CANARIES[name](held_out, reference)
    assert faulty.image.shape == held_out.image.shape
    assert not torch.equal(faulty.image, held_out.image)
    assert faulty.image.abs().max() <= 1


def test_canaries_have_the_fault_of_their_name():
    held_out, reference = real_images(), real_images(200, seed=1)
    collapsed = CANARIES["collapse"](held_out, reference)
    assert len(collapsed.image.unique(dim=0)) == 3
    assert 0 not in CANARIES["missing_class"](held_out, reference).label
    copies = CANARIES["duplicates"](held_out, reference).image
    assert all((reference.image == one).flatten(1).all(1).any() for one in copies)
    assert CANARIES["blur"](held_out, reference).image.std() < 0.5 * held_out.image.std()


def test_faults_that_points_cannot_have_are_left_out():
    points = RealImages(normal(30, 2))
    assert CANARIES["blur"](points, points) is None
    assert CANARIES["jpeg"](points, points) is None
    assert CANARIES["missing_class"](points, points) is None


@pytest.mark.parametrize(
    ("better", "aim", "real", "canary", "expected"),
    [
        ("lower", 0, 1.0, 2.0, "worse"),
        ("higher", 0, 1.0, 2.0, "better"),
        ("lower", 0, 1.0, 1.0, "same"),
        ("reference", 5.0, 5.1, 4.0, "worse"),
        ("reference", 5.0, 6.0, 5.5, "better"),
    ],
)
def test_movement_is_judged_in_the_metrics_own_direction(better, aim, real, canary, expected):
    assert moved(better, aim, real, canary) == expected
