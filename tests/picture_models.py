"""What a family is to whoever asks it for images of one picture: a generator and its picture, without training."""

import torch

from genexp.conditioning.base import Conditioning


class PictureModel(torch.nn.Module):
    """A latent decoder around a generator that is told one picture, `source`."""

    def __init__(self, kind, generator):
        super().__init__()
        self.generator, self.conditioning = generator, Conditioning({"source": kind})
        self.latent_shape = generator.latent_shape

    def decode(self, latent, condition=None):
        return self.generator(latent, condition)


def picture_model(kind, make, channels=1, **options):
    """A model of a seeded generator that makes images of pictures of a kind, in evaluation mode."""
    torch.manual_seed(0)
    return PictureModel(kind, make(kind.shape[-1], channels, {"source": kind}, **options)).eval()
