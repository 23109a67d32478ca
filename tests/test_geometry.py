"""Images in other sizes and of other places."""

import torch
from torch.nn import functional as F

from genexp.geometry import fitted, gathered


def test_a_thin_line_is_still_there_in_a_quarter_of_the_size():
    image = -torch.ones(1, 1, 32, 32)
    image[..., 12] = 1
    small = fitted(image, (8, 8))
    assert torch.allclose(small.mean(), image.mean(), atol=0.02)
    assert small[..., 3].min() > -0.7  # without a filter nothing of it is left
    plain = F.interpolate(image, (8, 8), mode="bicubic")
    assert plain[..., 3].max() < -0.99
    assert torch.equal(fitted(image, (64, 40)), F.interpolate(image, (64, 40), mode="bicubic"))
    assert torch.equal(fitted(image, (32, 32)), image)


def test_pixels_are_gathered_by_the_rows_and_columns_of_each_image():
    image = torch.arange(24.0).reshape(2, 1, 3, 4)
    found = gathered(image, torch.tensor([[2, 0], [1, 1]]), torch.tensor([[3], [0]]))
    assert found.tolist() == [[[[11.0], [3.0]]], [[[16.0], [16.0]]]]
