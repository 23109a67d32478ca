"""Samplers of one pass, and paths between latents."""

import pytest
import torch

from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.contracts import Sampler
from genexp.sampling.ddim import DDIM
from genexp.sampling.interpolation import path, slerp
from genexp.sampling.latent import Latent, truncate
from genexp.sampling.latent_style import LatentByStyle
from genexp.sampling.mapping import Mapping
from genexp.tensors import IndexedNoise


class Decoder:
    latent_shape, conditioning = (5,), Conditioning()

    def decode(self, latent, condition=UNCONDITIONAL):
        return latent + condition["label"][:, None] if condition else latent


class Negative:
    def render(self, batch):
        return -batch["image"]


def test_latents_are_indexed_noise_through_the_decoder():
    sampler, calls = Latent(), []
    noise = IndexedNoise(3, range(4))
    start = sampler.start(Decoder(), noise)
    images = sampler.run(Decoder(), start, noise, {"label": torch.arange(4)}, lambda *call: calls.append(call))
    expected = IndexedNoise(3, range(4)).normal(5)
    assert torch.equal(start, expected)
    assert torch.equal(images, expected + torch.arange(4)[:, None])
    assert calls == [(1, 1)]


def test_truncated_latents_follow_the_cut_normal_distribution():
    z = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    cut = truncate(z, 0.7)
    kept = z[z.abs() <= 0.7]
    levels = torch.linspace(0.02, 0.98, 25)
    torch.testing.assert_close(cut.quantile(levels), kept.quantile(levels), rtol=0, atol=0.01)
    assert cut.abs().max() <= 0.7
    assert (cut[z.argsort()].diff() >= 0).all()
    torch.testing.assert_close(truncate(z[:1000], 8.0), z[:1000], rtol=0, atol=1e-4)
    assert truncate(torch.tensor([-40.0, 40.0]), 0.7).tolist() == pytest.approx([-0.7, 0.7])


def test_truncation_is_applied_when_decoding_not_when_drawing():
    sampler, noise = Latent(truncation=0.5), IndexedNoise(0, range(50))
    start = sampler.start(Decoder(), noise)
    assert start.abs().max() > 1
    assert sampler.run(Decoder(), start, noise).abs().max() <= 0.5


def test_an_image_map_renders_the_batch_it_is_given():
    batch, noise = {"image": torch.rand(2, 1, 4, 4)}, IndexedNoise(0, range(2))
    assert torch.equal(Mapping().run(Negative(), batch, noise), -batch["image"])


class Blend(Negative):
    def stylize(self, content, style, alpha):
        return torch.lerp(content, style, alpha)


def test_a_stylizer_is_told_the_strength_and_nobody_else():
    batch = {"image": torch.rand(2, 3), "content": torch.zeros(2, 3), "style": torch.ones(2, 3)}
    noise = IndexedNoise(0, range(2))
    assert torch.equal(Mapping(alpha=0.25).run(Blend(), batch, noise), torch.full((2, 3), 0.25))
    assert torch.equal(Mapping().run(Blend(), batch, noise), -batch["image"])
    with pytest.raises(TypeError, match="alpha needs a Stylizer, got Negative: leave it null"):
        Mapping(alpha=0.5).run(Negative(), batch, noise)
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\] or be null, got 1.5"):
        Mapping(alpha=1.5)


def test_models_of_the_wrong_kind_are_refused():
    noise = IndexedNoise(0, [0])
    with pytest.raises(TypeError, match="Latent draws from a LatentDecoder, got Negative"):
        Latent().start(Negative(), noise)
    with pytest.raises(TypeError, match="Mapping renders with an ImageMap, got Decoder"):
        Mapping().run(Decoder(), {}, noise)
    with pytest.raises(TypeError, match="Mapping starts from a batch of given images"):
        Mapping().start(Negative(), noise)
    with pytest.raises(ValueError, match="truncation must be positive or null, got 0"):
        Latent(truncation=0)


def test_all_samplers_keep_the_protocol():
    samplers: list[Sampler] = [Latent(), DDIM(), Mapping()]
    assert all(callable(sampler.start) and callable(sampler.run) for sampler in samplers)


def test_the_arc_begins_and_ends_at_its_ends_and_keeps_the_norm():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(3, 2, 64, 64, generator=generator), torch.randn(3, 2, 64, 64, generator=generator)
    torch.testing.assert_close(slerp(a, b, 0.0), a)
    torch.testing.assert_close(slerp(a, b, 1.0), b)
    middle = slerp(a, b, torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(middle.std(dim=(1, 2, 3)), torch.ones(3), rtol=0, atol=0.03)
    torch.testing.assert_close(slerp(a, b, 0.3), slerp(b, a, 0.7))


def test_the_arc_on_a_circle_goes_at_constant_speed():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    points = path(a, b, 4)[0]
    angles = torch.arange(4) * torch.pi / 6
    torch.testing.assert_close(points, torch.stack([angles.cos(), angles.sin()], dim=1))


def test_parallel_rows_go_along_the_line():
    a = torch.randn(1, 10)
    torch.testing.assert_close(slerp(a, a, 0.3), a)
    torch.testing.assert_close(slerp(a, 2 * a, 0.5), 1.5 * a)


def test_impossible_paths_are_refused():
    with pytest.raises(ValueError, match=r"second must have the shape \(2, 3\) of first, got \(2, 4\)"):
        slerp(torch.zeros(2, 3), torch.zeros(2, 4), 0.5)
    with pytest.raises(ValueError, match="count must be at least 2 points, got 1"):
        path(torch.zeros(2, 3), torch.zeros(2, 3), 1)


class StyleGenerator:
    """Images are styles times the noise of the latent; the mean style is not that of any latent."""

    latent_shape, mean_style = (3,), torch.tensor([1.0, 2.0])

    def styles(self, latent, condition=UNCONDITIONAL):
        return latent[:, None, :2] + torch.arange(2.0)[:, None]  # (B, 2 layers, 2)

    def synthesise(self, styles, latent=None):
        return styles * latent[:, None, 2:]


class StyleDecoder:
    latent_shape, conditioning, generator = (3,), Conditioning(), StyleGenerator()

    def decode(self, latent, condition=UNCONDITIONAL):
        return self.generator.synthesise(self.generator.styles(latent, condition), latent)


def test_styles_keep_a_share_of_their_distance_from_the_mean_and_noise_all_of_it():
    model, noise, calls = StyleDecoder(), IndexedNoise(0, range(3)), []
    start = LatentByStyle().start(model, noise)
    image = LatentByStyle(0.25).run(model, start, noise, progress=lambda *call: calls.append(call))
    whole = model.generator.styles(start)
    expected = (model.generator.mean_style + 0.25 * (whole - model.generator.mean_style)) * start[:, None, 2:]
    torch.testing.assert_close(image, expected)
    torch.testing.assert_close(LatentByStyle(1.0).run(model, start, noise), model.decode(start))
    assert calls == [(1, 1)]
    with pytest.raises(ValueError, match="model must have a generator of styles, as stylegan2 is, got Decoder"):
        LatentByStyle().start(Decoder(), noise)
    with pytest.raises(ValueError, match=r"spread must lie in \[0, 1\], got 1.2"):
        LatentByStyle(1.2)
