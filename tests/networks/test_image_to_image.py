"""The U-Net of pix2pix: its form, its dropout, which is its latent, and what is refused."""

import pytest
import torch

from genexp.conditioning.pictures import Picture
from genexp.networks.image_to_image import ImageToImageGenerator
from genexp.tensors import IndexedNoise

SIZE = 24


def generator(**options):
    torch.manual_seed(0)
    return ImageToImageGenerator(SIZE, 3, {"source": Picture((1, SIZE, SIZE))}, **{"width": 4, **options})


def pictures(count):
    return {"source": torch.randn(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))}


def latents(network, *indices):
    return IndexedNoise(0, indices).normal(*network.latent_shape)


def test_its_layers_are_those_of_the_paper_at_256_pixels():
    network = ImageToImageGenerator(256, 3, {"source": Picture((3, 256, 256))})
    assert [layer[0].out_channels for layer in network.downs] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [layer[0].out_channels for layer in network.ups] == [512, 512, 512, 512, 256, 128, 64, 3]
    assert [layer[0].in_channels for layer in network.ups] == [512, 1024, 1024, 1024, 1024, 512, 256, 128]
    assert network.dropped == [(512, 2, 2), (512, 4, 4), (512, 8, 8)]
    normed = [len(layer) == 2 for layer in (*network.downs, *network.ups)]
    assert normed == [False, *[True] * 6, False, *[True] * 7, False]
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(54.4e6, rel=0.01)  # of the published code


@pytest.mark.parametrize("norm", ["instance", "layer", "none"])
def test_an_image_is_one_function_of_its_latent_and_picture_in_any_batch(norm):
    network, told = generator(norm=norm), pictures(4)
    for mode in (network.train(), network.eval()):  # what is dropped is in the latent, in both
        every = mode(latents(network, 0, 1, 2, 3), told)
        one = mode(latents(network, 2), {"source": told["source"][2:3]})
        torch.testing.assert_close(one[0], every[2])
    assert every.shape == (4, 3, SIZE, SIZE)
    assert every.abs().max() <= 1
    other = network(latents(network, 7), {"source": told["source"][2:3]})
    assert not torch.equal(other, one)


def test_features_are_dropped_as_often_as_asked_and_keep_their_mean():
    network = generator(dropout=0.3, width=16)
    factors = torch.cat([each.flatten() for each in network.kept(latents(network, *range(40)))])
    torch.testing.assert_close(factors.unique(), torch.tensor([0.0, 1 / 0.7]))
    assert float((factors == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(factors.mean()) == pytest.approx(1, abs=0.015)


def test_without_dropout_there_is_one_image_of_a_picture():
    for network in (generator(dropout=0.0), generator(dropped_layers=0)):
        assert network.latent_shape == (1,)
        torch.testing.assert_close(network(latents(network, 0), pictures(1)), network(latents(network, 1), pictures(1)))


def test_every_size_is_handed_over_to_its_like():
    network = generator(norm="none", dropout=0.0)
    with torch.no_grad():
        network.ups[0][0].weight.zero_()  # nothing comes through the smallest size
    source = pictures(1)["source"].requires_grad_()
    network(latents(network, 0), {"source": source}).sum().backward()
    assert (source.grad != 0).float().mean() > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beside": {}}, "beside must name a picture that an image is made of, .*, got none"),
        ({"beside": {"low_res": Picture((1, 8, 8))}}, "beside must hold pictures of the size .*, got low_res of 8 x 8"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1"),
        ({"halvings": 5}, r"halvings must lie in \[2, 4\] for 16 pixels, or be null, got 5"),
        ({"image_size": 18}, "image_size must be a multiple of 4 pixels, got 18"),
        ({"norm": "spectral"}, "norm must be one of instance, batch, layer, none, got 'spectral'"),
        ({"dropped_layers": -1}, "dropped_layers must be at least 0, got -1"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    given = {"image_size": 16, "channels": 1, "beside": {"source": Picture((1, 16, 16))}, **arguments}
    with pytest.raises(ValueError, match=message):
        ImageToImageGenerator(**given)
