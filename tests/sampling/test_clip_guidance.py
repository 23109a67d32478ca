"""Guidance by how well images fit a caption: its slope, what it makes of a Gaussian, and where it does nothing."""

from functools import partial

import pytest
import torch
from torch import nn

from genexp.conditioning.base import Conditioning
from genexp.conditioning.kinds import Classes, Words
from genexp.data.word_lists import WordList
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.prediction import Sample
from genexp.diffusion.schedules import Cosine
from genexp.diffusion.weighting import UniformEpsilon
from genexp.families.contrastive import Contrastive
from genexp.networks.text_encoder import TextVector
from genexp.sampling.clip_guidance import ClipGuidance
from genexp.sampling.guidance import Interval
from genexp.tensors import expand_to

WORDS = Words(["left", "right"], 3)
MEAN, STD = 0.4, 0.3


class Gaussian:
    """E[x | x_t] of N(mean, std^2)."""

    image_shape, conditioning, schedule = (1,), Conditioning(), Cosine()

    def __init__(self, mean=MEAN):
        self.mean = mean

    def __call__(self, x_t, t, condition=None):
        alpha, sigma = (expand_to(level, x_t) for level in self.schedule(t, x_t.dtype))
        return self.mean + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (x_t - alpha * self.mean)


class Linear:
    """S = a x, with a of the first word."""

    image_shape, conditioning = (1,), Conditioning({"caption": WORDS})
    weights = torch.tensor([0.0, -2.0, 1.5], dtype=torch.float64)

    def __init__(self):
        self.calls = 0

    def fit(self, image, caption):
        self.calls += 1
        return self.weights[caption[:, 0]] * image[:, 0]


class Halves:
    """A codec of one value, whose code is half the image."""

    image_shape, code_shape, fingerprint = (1,), (1,), "halves"

    def encode(self, image):
        return image / 2

    def decode(self, code):
        return 2 * code


T = torch.tensor([1, 200, 600, 999])


def test_of_a_gaussian_and_a_linear_fit_it_makes_the_gaussian_whose_mean_has_moved():
    """p(x) exp(s a x) of N(m, v) is N(m + s a v, v), at every level of noise."""
    x_t = torch.linspace(-1, 1, 4, dtype=torch.float64)[:, None]
    for word, weight in ((1, -2.0), (2, 1.5)):
        caption = torch.tensor([[word, 0, 0]]).expand(4, -1)
        found = ClipGuidance(Linear(), 0.7)(Gaussian())(x_t, T, {"caption": caption})
        wanted = Gaussian(MEAN + 0.7 * weight * STD**2)(x_t, T)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)
        assert not found.requires_grad


def test_codes_are_moved_by_the_slope_through_the_decoder():
    """S = a (2 x) of a code x."""
    model, caption = Gaussian(), torch.tensor([[2, 0, 0]]).expand(4, -1)
    model.codec = Halves()
    x_t = torch.linspace(-1, 1, 4, dtype=torch.float64)[:, None]
    found = ClipGuidance(Linear(), 0.7)(model)(x_t, T, {"caption": caption})
    torch.testing.assert_close(found, Gaussian(MEAN + 0.7 * 2 * 1.5 * STD**2)(x_t, T), rtol=0, atol=1e-9)


def test_a_judge_of_smaller_images_sees_means_of_pixels():
    torch.manual_seed(1)
    judge, caption, t = space(), torch.tensor([[1, 2, 0], [2, 0, 0]]), torch.tensor([300, 700])

    def guided(side):
        network = lambda x, t, condition: torch.tanh(x)  # noqa: E731
        model = NetworkDenoiser(network, Cosine(), Sample(), UniformEpsilon(), (3, side, side))
        return lambda x: ClipGuidance(judge, 2.0)(model)(x, t, {"caption": caption}) - model(x, t)

    small = torch.randn(2, 3, 2, 2, dtype=torch.float64)
    large = small.repeat_interleave(3, 2).repeat_interleave(3, 3)
    found = guided(6)(large).unfold(2, 3, 3).unfold(3, 3, 3).sum((4, 5))
    torch.testing.assert_close(found, guided(2)(small))
    model = Gaussian()
    model.image_shape = (3, 6, 4)
    with pytest.raises(ValueError, match=r"with a whole part of the sides, got \(3, 2, 2\)"):
        ClipGuidance(judge)(model)


def space(double=True):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 4))
    text = partial(TextVector, 4, WORDS, 8, 1, 2)
    made = Contrastive(network, text, partial(torch.optim.Adam, lr=0.05), {"caption": WORDS}).eval()
    made.image_shape = (3, 2, 2)
    return made.double() if double else made


def test_the_direction_is_the_slope_of_the_fit_by_finite_differences():
    torch.manual_seed(1)
    layer = nn.Conv2d(3, 3, 1).double()
    network = lambda x, t, condition: torch.tanh(layer(x)) + 0.1 * expand_to(t, x) / 1000  # noqa: E731
    model = NetworkDenoiser(network, Cosine(), Sample(), UniformEpsilon(), (3, 2, 2))
    judge, x_t = space(), torch.randn(2, 3, 2, 2, dtype=torch.float64)
    t, caption = torch.tensor([300, 700]), torch.tensor([[1, 2, 0], [2, 0, 0]])
    found = ClipGuidance(judge, 2.0)(model)(x_t, t, {"caption": caption}) - model(x_t, t)
    alpha, sigma = (expand_to(level, x_t) for level in Cosine()(t, torch.float64))
    slope = (found / (2.0 * sigma**2 / alpha)).detach()
    step = 1e-5
    for place in range(12):
        moved = torch.zeros(12, dtype=torch.float64).scatter(0, torch.tensor(place), step).view(3, 2, 2)
        up, down = (judge.fit(model(x_t + each, t), caption) for each in (moved, -moved))
        wanted = (up - down).detach() / (2 * step)
        torch.testing.assert_close(slope.flatten(1)[:, place], wanted, rtol=1e-5, atol=1e-7)
    assert slope.abs().max() > 1e-2


def test_fit_is_the_diagonal_of_similarity():
    judge, image = space(False), torch.rand(3, 3, 2, 2) * 2 - 1
    caption = torch.tensor([[1, 2, 0], [2, 0, 0], [0, 0, 0]])
    torch.testing.assert_close(judge.fit(image, caption), judge.similarity(image, caption).diagonal())


def test_scale_zero_is_the_model_bit_for_bit_without_the_judge():
    judge, x_t = Linear(), torch.randn(4, 1)
    for condition in ({}, {"caption": torch.ones(4, 3, dtype=torch.int64)}):
        assert torch.equal(ClipGuidance(judge, 0.0)(Gaussian())(x_t, T, condition), Gaussian()(x_t, T))
    assert judge.calls == 0


def test_it_is_told_captions_of_which_the_model_may_know_nothing():
    guided = ClipGuidance(Linear())(Gaussian())
    assert guided.conditioning.names == ("caption",)
    assert Interval(ClipGuidance(Linear()), 0.2, 2.0)(Gaussian()).conditioning.names == ("caption",)
    with pytest.raises(ValueError, match="caption must be given for guidance of scale 1 by it, got none"):
        guided(torch.zeros(4, 1), T)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="scale must be at least 0, got -1"):
        ClipGuidance(Linear(), -1.0)
    model = Gaussian()
    model.image_shape = (3, 2, 2)
    with pytest.raises(ValueError, match=r"judge must be of images of shape \(3, 2, 2\), or of that .*, got \(1,\)"):
        ClipGuidance(Linear())(model)
    for kind in (Words(["up"], 3), Classes(3)):
        model = Gaussian()
        model.conditioning = Conditioning({"caption": kind})
        with pytest.raises(ValueError, match="judge must read the model's caption, got one of other words"):
            ClipGuidance(Linear())(model)
    model.conditioning = Conditioning({"caption": WordList(["left", "right"], length=3)})  # the same words
    assert ClipGuidance(Linear())(model).conditioning.kinds["caption"] is model.conditioning.kinds["caption"]


def test_padding_changes_no_vector_of_a_text_and_the_order_of_words_does():
    encoder = space(False).text
    short, long = torch.tensor([[1, 2]]), torch.tensor([[1, 2, 0]])
    torch.testing.assert_close(encoder(short), encoder(long), rtol=0, atol=1e-6)
    assert (encoder(long) - encoder(torch.tensor([[2, 1, 0]]))).abs().max() > 1e-3
    assert encoder(torch.zeros(2, 3, dtype=torch.int64)).shape == (2, 4)
    assert not [name for name in encoder.state_dict() if name.startswith("tokens")]
