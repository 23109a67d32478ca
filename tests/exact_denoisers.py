"""Denoisers that are exact, and every diffusion sampler that ships as a YAML."""

import torch

from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.config.compose import conf_dir
from genexp.config.targets import locate
from genexp.diffusion.schedules import Cosine
from genexp.files.yaml_records import read_yaml
from genexp.sampling.base import DiffusionSampler
from genexp.tensors import expand_to


class Mixture:
    """The exact posterior mean of two equal Gaussians N(+-mean, std^2) of one dimension; a Gaussian at mean 0."""

    conditioning, image_shape = Conditioning(), (1,)

    def __init__(self, schedule, mean=0.0, std=0.5):
        self.schedule, self.mean, self.std, self.calls = schedule, mean, std, 0

    def __call__(self, x_t, t, condition=UNCONDITIONAL):
        self.calls += 1
        alpha, sigma = (expand_to(level, x_t) for level in self.schedule(t, torch.float64))
        total = alpha**2 * self.std**2 + sigma**2
        side = self.mean * torch.tanh(alpha * self.mean * x_t / total)
        return side + alpha * self.std**2 / total * (x_t - alpha * side)

    def quantiles(self, count):
        """The middle quantiles of the data, float64."""
        wanted = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        low, high = torch.full((count,), -9.0).double(), torch.full((count,), 9.0).double()
        for _ in range(60):
            middle = (low + high) / 2
            parts = [torch.special.ndtr((middle - side) / self.std) for side in (-self.mean, self.mean)]
            below = sum(parts) / 2 < wanted
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return middle


class Gaussian:
    """The exact posterior mean of N(mean, covariance) of D dimensions."""

    conditioning = Conditioning()

    def __init__(self, schedule, mean, covariance):
        self.schedule, self.mean = schedule, torch.tensor(mean, dtype=torch.float64)
        self.covariance = torch.tensor(covariance, dtype=torch.float64)
        self.image_shape, self.calls = tuple(self.mean.shape), 0

    def __call__(self, x_t, t, condition=UNCONDITIONAL):
        self.calls += 1
        alpha, sigma = (float(level) for level in self.schedule(t[:1], torch.float64))
        total = alpha**2 * self.covariance + sigma**2 * torch.eye(len(self.mean), dtype=torch.float64)
        gain = alpha * self.covariance @ torch.linalg.inv(total)
        return self.mean + (x_t - alpha * self.mean) @ gain.T


class ClassDenoiser:
    """Knows one image per class, and their mean for no class; remembers the batches it was called with."""

    image_shape, schedule = (3,), Cosine()

    def __init__(self, num_classes=2):
        self.conditioning, self.batches = Conditioning.of(num_classes, left_out=0.1), []

    def __call__(self, x_t, t, condition=UNCONDITIONAL):
        self.batches.append(len(x_t))
        label = condition.get("label", torch.full_like(t, 2))
        return 0.1 * torch.sin(x_t) + expand_to(torch.tensor([-0.5, 0.7, 0.1])[label], x_t)


def shipped_samplers():
    """Class and settings of every conf/sampler/*.yaml that is a diffusion sampler, by its name."""
    found, shared = {}, read_yaml(conf_dir() / "sampler/_diffusion.yaml")
    for path in sorted((conf_dir() / "sampler").glob("[!_]*.yaml")):
        own = read_yaml(path)
        based = {**shared, **own} if "_diffusion" in own.get("defaults", []) else own
        settings = {key: value for key, value in based.items() if key != "defaults"}
        kind = locate(settings.pop("_target_", "genexp.sampling.draw.draw"))
        if isinstance(kind, type) and issubclass(kind, DiffusionSampler):
            found[path.stem] = (kind, settings)
    return found


def shipped(name, **changed):
    """A shipped sampler, unclipped unless told otherwise."""
    kind, settings = shipped_samplers()[name]
    return kind(**{**settings, "clip": False, **changed})
