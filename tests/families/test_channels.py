"""Weights between grey pictures and pictures of colours: what is computed from the same picture stays the same."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

import tiny
from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.families.channels import adapted
from genexp.families.transfer import transferred
from genexp.inference.run import load_run

LAYERS = {
    "convolution": lambda i, o: nn.Conv2d(i, o, 3, padding=1),
    "transposed": lambda i, o: nn.ConvTranspose2d(i, o, 4, 2, 1),
}


def started(layer, other):
    """A layer that begins with the weights of another."""
    for name, weight in layer.named_parameters():
        weight.data = adapted(layer, other.get_parameter(name).detach(), tuple(weight.shape))
    return layer


@pytest.mark.parametrize("kind", LAYERS)
def test_what_reads_colours_sees_of_a_grey_picture_what_it_saw(kind):
    torch.manual_seed(0)
    grey, picture = LAYERS[kind](1, 5).double(), torch.randn(2, 1, 8, 8, dtype=torch.float64)
    wide = LAYERS[kind](3, 5).double()
    for name, weight in wide.named_parameters():
        if name == "weight":
            weight.data = adapted(wide, grey.weight.detach(), tuple(weight.shape))
        else:
            weight.data = grey.bias.data
    torch.testing.assert_close(wide(picture.expand(-1, 3, -1, -1)), grey(picture))
    narrow = LAYERS[kind](1, 5).double()
    narrow.bias.data = wide.bias.data
    nn.init.normal_(wide.weight)
    narrow.weight.data = adapted(narrow, wide.weight.detach(), tuple(narrow.weight.shape))
    torch.testing.assert_close(narrow(picture), wide(picture.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize("kind", LAYERS)
def test_what_gives_colours_gives_the_grey_in_each_and_back_their_mean(kind):
    torch.manual_seed(0)
    maps = torch.randn(2, 5, 8, 8, dtype=torch.float64)
    grey, colours = LAYERS[kind](5, 1).double(), LAYERS[kind](5, 3).double()
    torch.testing.assert_close(started(LAYERS[kind](5, 1).double(), colours)(maps), colours(maps).mean(1, keepdim=True))
    torch.testing.assert_close(started(colours, grey)(maps), grey(maps).expand(-1, 3, -1, -1))


def test_other_layers_and_other_numbers_are_not_reshaped():
    grey, colours = (2, 1, 3, 3), (2, 3, 3, 3)
    assert adapted(nn.Conv2d(3, 2, 3), torch.zeros(grey), colours) is not None
    for layer, given, shape in (
        (spectral_norm(nn.Conv2d(3, 2, 3)), grey, colours),  # divided by a norm that would be another
        (nn.Conv2d(3, 3, 3, groups=3), (1, 1, 3, 3), (3, 1, 3, 3)),
        (nn.Linear(3, 2), (2, 1), (2, 3)),
        (nn.Embedding(3, 2), (1, 2), (3, 2)),
        (nn.Conv2d(4, 2, 3), grey, (2, 4, 3, 3)),
        (nn.Conv2d(6, 2, 3), (2, 2, 3, 3), (2, 6, 3, 3)),  # pictures beside others: no shape says which is which
        (nn.Conv2d(3, 3, 3), (1, 1, 3, 3), (3, 3, 3, 3)),
        (nn.Conv2d(2, 2, 3), (2, 2, 1, 3), (2, 2, 3, 3)),  # a size of kernels
    ):
        assert adapted(layer, torch.zeros(given), shape) is None


def family(data, *typed):
    torch.manual_seed(0)
    return build(compose("train", [f"data={data}", *typed]).model).eval()


@pytest.mark.parametrize(("grey", "colours"), [("digits", "shapes"), ("shapes", "digits")])
def test_a_denoiser_of_grey_pictures_denoises_colours_as_each_of_their_channels(grey, colours):
    size = ["model.network.width=16", "data.image_size=16"]
    one, three = family("digits", *size), family("shapes", *size)
    for network in (one.network, three.network):
        for weight in network.parameters():
            nn.init.normal_(weight, std=0.1)
    x, t = torch.randn(2, 1, 16, 16), torch.tensor([3, 500])
    if grey == "digits":
        found = transferred(three, one.state_dict(), adapt_channels=True)
        expected = one.network(x, t, {}).expand(-1, 3, -1, -1)
        torch.testing.assert_close(three.network(x.expand(-1, 3, -1, -1), t, {}), expected, atol=1e-4, rtol=1e-4)
    else:
        found = transferred(one, three.state_dict(), adapt_channels=True)
        expected = three.network(x.expand(-1, 3, -1, -1), t, {}).mean(1, keepdim=True)
        torch.testing.assert_close(one.network(x, t, {}), expected, atol=1e-4, rtol=1e-4)
    assert found.reshaped == ["network.stem.weight", "network.head.weight", "network.head.bias"]
    assert "reshaped for other channels: network.stem, network.head" in found.note()


def test_a_run_of_colours_begins_with_one_of_grey_pictures_when_it_is_asked_to(tmp_path):
    short = ["data.batch_size=8", "training.max_images=8", "training.evaluate_every=8", "metrics=none"]
    typed = ["model=vae", *tiny.COMMON, *short, "data.image_size=16"]
    base = tiny.run([*typed, "data=digits", f"paths.outputs={tmp_path}/grey"])
    further = [*typed, "data=shapes", "initial=run", f"initial.run={base.path}", f"paths.outputs={tmp_path}/colours"]
    (told,) = problems_of("train", further)
    for layer in ("encoder", "decoder"):
        assert f"{layer}." in told.partition(" lets them begin anew")[0]
    assert "(3," in told
    assert "; initial.adapt_channels=true makes those of encoder." in told
    folder = tiny.run([*further, "initial.adapt_channels=true", "model.optimizer.lr=0"])
    begun, now = load_run(base.path).model.eval(), load_run(folder.path).model.eval()
    latent = torch.randn(3, *begun.latent_shape)
    with torch.no_grad():
        torch.testing.assert_close(now.decode(latent), begun.decode(latent).expand(-1, 3, -1, -1))
