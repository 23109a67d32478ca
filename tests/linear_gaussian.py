"""Linear Gaussian models, in which every quantity of a variational autoencoder has a closed form."""

from functools import partial

import torch
from torch import nn

from genexp.conditioning.base import UNCONDITIONAL
from genexp.families.vae import VAE
from genexp.losses.reconstruction import Gaussian

LATENT, PIXELS = 3, 6
SGD = partial(torch.optim.SGD, lr=1e-3)


class Encoder(nn.Module):
    """A linear mean and a constant log-variance."""

    def __init__(self, weight, log_variance):
        super().__init__()
        self.weight, self.log_variance = nn.Parameter(weight), nn.Parameter(log_variance)

    def forward(self, image, condition=UNCONDITIONAL):
        mean = image.flatten(1) @ self.weight
        return torch.cat([mean, self.log_variance.expand_as(mean)], dim=1)


class Decoder(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, latent, condition=UNCONDITIONAL):
        return (latent @ self.weight.T).unflatten(1, (1, 2, 3))


def orthogonal(seed=0):
    """W (PIXELS, LATENT) with orthogonal columns: the posterior of x = W z + std e has independent units."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.linalg.qr(torch.randn(PIXELS, LATENT, generator=generator).double())[0]
    return weight * torch.tensor([2.0, 1.0, 0.3]).double()


def exact_encoder(weight, std):
    """The posterior of x = W z + std e for orthogonal columns of W."""
    precision = 1 + weight.square().sum(0) / std**2
    return Encoder(weight / std**2 / precision, -precision.log())


def model_of(weight, std, encoder=None, **settings):
    """A VAE of x = W z + std e."""
    encoder = exact_encoder(weight, std) if encoder is None else encoder
    settings = {"latent_size": LATENT} | settings
    return VAE(encoder, Decoder(weight), Gaussian(std).double(), optimizer=SGD, **settings)


def log_likelihood(weight, std, image):
    """log p(x) in nats (B,) of x = W z + std e."""
    covariance = weight @ weight.T + std**2 * torch.eye(len(weight)).double()
    return torch.distributions.MultivariateNormal(torch.zeros(len(weight)).double(), covariance).log_prob(
        image.flatten(1)
    )
