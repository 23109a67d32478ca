"""Pictures for people: pixels stay what they are, words stand beside them, points keep one frame."""

import pytest
import torch

from genexp.data.datamodule import ImageData
from genexp.data.toy2d import Toy2d
from genexp.figures.samples import drawn
from genexp.tensors import Grid, Plane, image_grid


def plane(kind="ring", **more):
    return ImageData(Toy2d(kind, train_points=64, val_points=500, **more), [2], None, 64).plane()


def test_small_images_are_enlarged():
    assert drawn(Grid(torch.zeros(4, 1, 8, 8), columns=2)).shape == (3, 2 * 34 + 2, 2 * 34 + 2)


def test_words_leave_every_pixel_of_the_images_where_it_was():
    images = torch.rand(6, 3, 64, 64) * 2 - 1
    bare = image_grid(images, 3)
    worded = drawn(Grid(images, 3, ["t = 1000", "t = 500", "t = 0"], ["noisy", "denoised"]))
    assert worded[:, -bare.shape[1] :, -bare.shape[2] :].equal(bare)
    top, left = worded.shape[1] - bare.shape[1], worded.shape[2] - bare.shape[2]
    for margin in (worded[:, :top, left:], worded[:, top:, :left]):
        dark = (margin.sum(0) < 384).float()
        assert 0.01 < dark.mean() < 0.4
    assert worded[:, :top, :left].eq(255).all()


def test_a_tile_is_as_wide_as_its_word_and_long_words_are_left_out_evenly():
    images = torch.zeros(8, 1, 8, 8)
    few = drawn(Grid(images, 8, [f"t = {1000 - 125 * n}" for n in range(8)]))
    many = drawn(Grid(images, 8, [f"strength {n}.25" for n in range(8)]))

    def words(picture):
        columns = (picture[:, : -(56 + 4)].sum(0) < 384).any(0)
        ink = columns.nonzero().flatten()
        return 1 + int(((ink[1:] - ink[:-1]) > 8).sum())  # letters of a word stand nearer than that

    assert words(few) >= 8
    assert many.shape[2] <= few.shape[2] + 60


@pytest.mark.parametrize("kind", ["ring", "grid", "swiss_roll", "moons", "checkerboard"])
def test_points_of_one_data_set_are_shown_in_one_frame_wherever_they_lie(kind):
    frame = plane(kind)
    near, far = (drawn(Grid(torch.full((3, 2), place), plane=frame)) for place in (0.31, 900.0))
    assert near.shape == far.shape
    assert frame.reach == 1.5
    assert len(frame.target) == 500
    same = (near == far).all(0).float().mean()
    assert 0.98 < same < 1


def test_another_scale_has_another_frame():
    assert plane(scale=2.0).reach == 3.0
    assert plane(std=0.5).reach == 4.0
    assert ImageData(Toy2d(val_points=10), [2], None, 64).plane().centres.shape == (8, 2)


def test_every_mode_has_a_circle_that_shows_through_when_it_is_missed():
    empty, hit = torch.full((1, 2), 1.4), torch.full((1, 2), 1.4)
    hit = torch.cat([hit, plane().centres])
    with_circles = drawn(Grid(empty, plane=Plane(1.5, plane().centres, 0.06)))
    red = (with_circles[0].int() - with_circles[2].int() > 60).int()
    assert red.sum() > 8 * 20
    blue = [((p[2].int() - p[0].int()) > 60).sum() for p in (with_circles, drawn(Grid(hit, plane=Plane(1.5))))]
    assert blue[1] >= 8 * blue[0] > 0


def test_points_outside_and_points_that_are_no_numbers_are_said_and_do_not_move_the_frame():
    points = torch.tensor([[0.0, 0.0], [50.0, 0.1], [float("nan"), 0.0], [float("inf"), 0.0]])
    picture = drawn(Grid(points, plane=plane()))
    assert picture.shape == drawn(Grid(points[:1], plane=plane())).shape
    assert drawn(Grid(points[2:])).shape[0] == 3


def test_images_have_no_plane():
    from genexp.data.digits import Digits

    assert ImageData(Digits(), [1, 8, 8], 10, 64, 8, 1).plane() is None


def test_a_source_that_says_nothing_is_shown_a_quarter_farther_than_it_reaches():
    class Bare(Toy2d):
        plane = None

    data = ImageData(Bare("grid", std=0.0, train_points=64, val_points=300), [2], None, 64)
    assert data.plane().reach == 1.25
