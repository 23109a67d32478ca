"""Networks that read texts word by word: what counts, what is each sample's own, and what is read once."""

import pytest
import torch
from torch import nn

from genexp.conditioning.base import Conditioning
from genexp.conditioning.kinds import Words
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.prediction import Sample
from genexp.diffusion.remembering import Remembered
from genexp.diffusion.schedules import Cosine
from genexp.diffusion.weighting import UniformEpsilon
from genexp.networks.dit import DiT
from genexp.networks.mm_dit import MMDiT
from genexp.networks.text_encoder import TextEncoder
from genexp.networks.unet import UNet
from genexp.sampling.ddim import DDIM
from genexp.sampling.guidance import ClassifierFree
from genexp.tensors import IndexedNoise

TEXT = Words(["red", "blue", "circle", "square"], length=6, left_out=0.1)
KINDS = {
    "unet": (UNet, {"width": 8, "multipliers": [1, 2], "blocks": 1, "attention": [8, 4], "groups": 4}),
    "dit": (DiT, {"patch_size": 2, "width": 16, "depth": 2, "heads": 2}),
    "mm_dit": (MMDiT, {"patch_size": 2, "width": 16, "depth": 2, "heads": 2}),
}


def reading(name, **further):
    torch.manual_seed(0)
    kind, sizes = KINDS[name]
    attended = {"caption": lambda features: TextEncoder(features, TEXT, width=16, heads=2)}
    network = kind(channels=1, image_size=8, attended=attended, **sizes, **further).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)  # also of what starts at zero
    return network


def told(*texts):
    return {"caption": torch.cat([TEXT.read(text) if text else TEXT.nothing(1, "cpu") for text in texts])}


X, T = torch.randn(3, 1, 8, 8), torch.tensor([1, 30, 700])


def test_padding_counts_for_nothing_and_no_words_are_a_learned_token():
    encoder = TextEncoder(12, TEXT).eval()
    short, long = torch.tensor([[1, 3]]), torch.tensor([[1, 3, 0, 0, 0, 0]])
    one, other = encoder(short), encoder(long)
    assert torch.allclose(one.rows, other.rows[:, :2], atol=1e-6)
    assert torch.allclose(one.pooled, other.pooled, atol=1e-6)
    assert other.counted.tolist() == [[True, True, False, False, False, False]]
    assert not other.rows[:, 2:].any()
    nothing = encoder(TEXT.nothing(2, "cpu"))
    assert nothing.counted.sum(1).tolist() == [1, 1]
    assert nothing.rows[:, 0].abs().sum() > 0
    nothing.pooled.sum().backward()
    learned = encoder.table.weight.grad.abs().sum(1) > 0
    assert learned.tolist() == [False] * 5 + [True]  # neither padding nor words


@pytest.mark.parametrize("name", KINDS)
def test_words_and_their_order_change_an_image_and_padding_does_not(name):
    network = reading(name)
    plain = network(X, T, told("red circle", "red circle", "red circle"))
    for other in ("blue circle", "circle red", ""):
        made = network(X, T, told("red circle", "red circle", other))
        assert torch.allclose(made[:2], plain[:2], atol=1e-5)  # every sample reads its own
        assert not torch.allclose(made[2], plain[2], atol=1e-3)
    cut = {"caption": told("red circle", "red circle", "red circle")["caption"][:, :2]}
    assert torch.allclose(network(X, T, cut), plain, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_samples_in_another_order_are_the_same_samples(name):
    network, order = reading(name), torch.tensor([2, 0, 1])
    condition = told("red circle", "blue square", "")
    made = network(X, T, condition)
    again = network(X[order], T[order], {"caption": condition["caption"][order]})
    assert torch.allclose(again, made[order], atol=1e-5)


@pytest.mark.parametrize("name", ["unet", "dit"])
def test_cross_attention_starts_as_if_it_were_not_there(name):
    kind, sizes = KINDS[name]
    network = kind(channels=1, image_size=8, attended={"caption": lambda n: TextEncoder(n, TEXT, 16, heads=2)}, **sizes)
    crossings = [module for module in network.modules() if type(module).__name__ == "CrossAttention"]
    assert crossings
    assert not any(parameter.any() for each in crossings for parameter in each.project_out.parameters())


@pytest.mark.parametrize("name", KINDS)
def test_without_texts_the_state_is_named_as_before(name):
    kind, sizes = KINDS[name]
    names = kind(channels=1, image_size=8, **sizes).state_dict()
    assert not [each for each in names if "crossing" in each or "attended" in each or "control" in each]


def test_patches_of_a_unet_are_pixels_of_a_smaller_one():
    network = reading("unet", patch_size=2)
    assert network.stem.weight.shape[1] == 4
    assert network(X, T, told("red", "", "blue")).shape == X.shape
    with pytest.raises(ValueError, match="image_size must be divisible by 6 for 2 levels of patches of 3, got 8"):
        reading("unet", patch_size=3)


@pytest.mark.parametrize("name", KINDS)
def test_captions_are_read_once_a_drawing_and_say_the_same(name, monkeypatch):
    network = reading(name)
    model = NetworkDenoiser(
        network,
        Cosine(),
        Sample(),
        UniformEpsilon(),
        image_shape=(1, 8, 8),
        conditioning=Conditioning({"caption": TEXT}),
    )
    condition = told("red circle", "blue square", "red")
    calls = []
    encode = network.attended["caption"].forward
    monkeypatch.setattr(network.attended["caption"], "forward", lambda text: calls.append(len(text)) or encode(text))
    noise, sampler = IndexedNoise(0, range(3)), DDIM(steps=4, guidance=ClassifierFree(scale=2.0))
    with torch.no_grad():
        sampler.run(model, sampler.start(model, noise), noise, condition)
        assert calls == [6]  # told and untold together
        seen = model.prepared()
        made = [seen(X, T, condition) for _ in range(3)]
        assert calls == [6, 3]
        assert torch.allclose(made[-1], model(X, T, condition), atol=1e-6)
    assert calls == [6, 3, 3]


def test_what_is_remembered_follows_the_condition():
    network = reading("unet")
    remembered = Remembered(network)
    first = remembered(told("red", "blue", ""))
    assert remembered(told("red", "blue", "")) is first
    other = remembered(told("red", "blue", "circle"))
    assert torch.equal(other.rows, network.encode(told("red", "blue", "circle")).rows)


def test_what_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match=r"heads must divide width=10, got 4"):
        TextEncoder(8, TEXT, width=10)
    with pytest.raises(ValueError, match="must have at least one word, got an empty text"):
        TEXT.read("  ")
    with pytest.raises(ValueError, match="must be a text or a list of texts, got an empty list"):
        TEXT.read([])
    with pytest.raises(ValueError, match="must have at most 6 words, got 7"):
        TEXT.read("red red red red red red red")
    assert TEXT.read(["red circle", "blue"]).tolist() == [[1, 3, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0]]
    assert TEXT.said(torch.tensor([1, 3, 0, 0, 0, 0])) == "red circle"
