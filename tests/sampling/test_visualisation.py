"""Pictures of how images are drawn: what a model is told stands beside what it draws of it."""

import torch

from genexp.conditioning.base import Conditioning
from genexp.conditioning.pictures import Picture
from genexp.sampling.draw import draw
from genexp.sampling.latent import Latent
from genexp.sampling.visualisation import Pictures

SIZE = 4


class Made:
    """Colour images of a grey picture of half their size: its mean, plus the latent."""

    latent_shape = (3,)
    conditioning = Conditioning({"source": Picture((1, SIZE // 2, SIZE // 2))})

    def decode(self, latent, condition):
        mean = condition["source"].mean((1, 2, 3))
        return (mean[:, None] + latent)[:, :, None, None].expand(-1, -1, SIZE, SIZE)


class Told:
    """Sample i is told a picture of i tenths."""

    def of(self, indices):
        return {"source": torch.tensor([i / 10 for i in indices])[:, None, None, None].expand(-1, 1, 2, 2)}


def test_an_arc_of_noises_begins_with_the_picture_that_it_is_drawn_of():
    pictures = Pictures(Made(), Latent(), 3, Told(), batch_size=5)
    found = pictures.interpolation(2, 3)
    rows = found.samples.unflatten(0, (2, 4))
    assert found.across == ["source", "0 %", "50 %", "100 %"]
    for row, index in enumerate((0, 2)):
        torch.testing.assert_close(rows[row, 0], torch.full((3, SIZE, SIZE), index / 10))
        (image,) = draw(Made(), Latent(), [index], 3, Told(), "cpu")["image"]
        torch.testing.assert_close(rows[row, 1], image)
    (other,) = draw(Made(), Latent(), [1], 3, Told(), "cpu")["image"]
    torch.testing.assert_close(rows[0, 3], other - 0.1)  # the noise of sample 1, told what sample 0 is told
