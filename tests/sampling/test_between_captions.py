"""Pictures between captions and with the attention of another: ends, shares and equal captions are plain drawings."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import tiny
from genexp.conditioning.base import Conditioning
from genexp.conditioning.kinds import Words
from genexp.conditioning.tokenised import Tokenised
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.prediction import Sample
from genexp.diffusion.schedules import Cosine
from genexp.diffusion.weighting import UniformEpsilon
from genexp.inference.run import load_run
from genexp.inference.trained import TrainedDenoiser
from genexp.networks.cross_attention import CrossAttention, lending_maps
from genexp.networks.dit import DiT
from genexp.networks.mm_dit import MMDiT
from genexp.networks.text_encoder import TextEncoder
from genexp.networks.tokens import Tokens, attention_to
from genexp.networks.unet import UNet
from genexp.sampling.between import between, tells_it_alone
from genexp.sampling.conditions import Given
from genexp.sampling.ddim import DDIM
from genexp.sampling.dpm_solver import DPMSolver2M
from genexp.sampling.draw import draw
from genexp.sampling.editing import Inverted, Originals
from genexp.sampling.guidance import Autoguidance, ClassifierFree, Interval
from genexp.sampling.refining import Refined
from genexp.sampling.swapped import Swapped
from genexp.sampling.visualisation import Pictures
from genexp.tensors import IndexedNoise
from hub_folders import tokenizer

TEXT = Words(["red", "blue", "circle", "square", "a"], length=6, left_out=0.1)
KINDS = {
    "unet": (UNet, {"width": 8, "multipliers": [1, 2], "blocks": 1, "attention": [8, 4], "groups": 4}),
    "dit": (DiT, {"patch_size": 2, "width": 16, "depth": 2, "heads": 2}),
    "mm_dit": (MMDiT, {"patch_size": 2, "width": 16, "depth": 2, "heads": 2}),
}
GUIDED = DDIM(4, guidance=ClassifierFree(2.0), clip=False)


def model_of(name):
    torch.manual_seed(0)
    kind, sizes = KINDS[name]
    attended = {"caption": lambda features: TextEncoder(features, TEXT, width=16, heads=2)}
    network = kind(channels=1, image_size=8, attended=attended, **sizes).eval().requires_grad_(False)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)  # also of what starts at zero
    for module in network.modules():
        if isinstance(module, CrossAttention):
            nn.init.normal_(module.query.weight)  # maps that look somewhere
            nn.init.normal_(module.keys_values.weight)
            nn.init.normal_(module.project_out.weight)
    parts = (network, Cosine(), Sample(), UniformEpsilon(), (1, 8, 8))
    return NetworkDenoiser(*parts, Conditioning({"caption": TEXT}))


def captions(*texts):
    return Given({"caption": torch.cat([TEXT.read(text) for text in texts])})


def drawn(model, sampler, count, *texts):
    return draw(model, sampler, range(count), 0, captions(*texts))["image"]


@pytest.mark.parametrize("name", KINDS)
def test_pictures_between_captions_begin_and_end_with_those_of_the_captions(name):
    model, texts = model_of(name), ("a red circle", "a blue square a square")
    found = Pictures(model, GUIDED, 0, captions(*texts)).between_texts("caption", 2, 4).samples.unflatten(0, (2, 4))
    of_first, of_second = (drawn(model, GUIDED, 4, text)[::2] for text in texts)
    torch.testing.assert_close(found[:, 0], of_first, rtol=0, atol=1e-5)  # of other batches, so but for rounding
    torch.testing.assert_close(found[:, 3], of_second, rtol=0, atol=1e-5)
    steps = found.diff(dim=1).flatten(2).norm(dim=2)
    assert (steps > 1e-3).all()  # every picture is another
    assert not torch.allclose(of_first, of_second, atol=1e-3)


def test_tokens_between_two_texts_are_theirs_at_the_ends_and_on_the_line_between():
    generator = torch.Generator().manual_seed(0)
    counted = torch.tensor([[True, True, False], [True, True, True]])
    one, other = (
        Tokens(torch.randn(3, 3, 4, generator=generator) * there[None, :, None], there.expand(3, 3), torch.randn(3, 4))
        for there in counted
    )
    found = between(one, other, torch.tensor([0.0, 0.25, 1.0]))
    for row, end in ((0, one), (2, other)):
        assert torch.equal(found.rows[row], end.rows[row])
        assert torch.equal(found.pooled[row], end.pooled[row])
        assert torch.equal(found.counted[row], end.counted[row])
    torch.testing.assert_close(found.rows[1, :2], 0.75 * one.rows[1, :2] + 0.25 * other.rows[1, :2])
    assert torch.equal(found.rows[1, 2], other.rows[1, 2])
    assert found.counted[1].all()


def test_a_lent_map_is_that_of_the_sample_before_over_ones_own_words():
    torch.manual_seed(0)
    attention, image = CrossAttention(8, 6, 2), torch.randn(4, 5, 8)
    counted = torch.tensor([[True, True, False]] * 4)
    texts = Tokens(torch.randn(4, 3, 6), counted, torch.zeros(4, 6))
    plain = attention(image, texts)
    with lending_maps([attention]):
        lent = attention(image, texts)
    assert torch.equal(attention(image, texts), plain)
    assert torch.equal(lent[::2], plain[::2])
    keys, values = attention.keys_values(texts.rows).chunk(2, 2)
    q = attention.query(image)
    expected = attention.project_out(attention_to(q[::2], keys[::2], values[1::2], counted[::2], 2))
    torch.testing.assert_close(lent[1::2], expected)
    assert not torch.allclose(lent[1::2], plain[1::2], atol=1e-3)


@pytest.mark.parametrize("name", ["unet", "dit"])
@pytest.mark.parametrize("sampler", [GUIDED, DPMSolver2M(4, clip=False)], ids=["guided", "two steps remembered"])
def test_no_share_and_the_same_caption_are_plain_drawings_and_another_is_neither(name, sampler):
    model, source = model_of(name), {"caption": "a red circle"}
    plain, of_source = (drawn(model, sampler, 3, text) for text in ("a blue circle", "a red circle"))
    assert torch.equal(drawn(model, Swapped(source, 0.0)(sampler), 3, "a blue circle"), plain)
    for share in (0.5, 1.0):
        same = drawn(model, Swapped(source, share)(sampler), 3, "a red circle")
        torch.testing.assert_close(same, of_source, rtol=0, atol=1e-5)
    other = drawn(model, Swapped(source, 1.0)(sampler), 3, "a blue circle")
    assert (other - plain).abs().max() > 1e-3
    assert (other - of_source).abs().max() > 1e-3


@pytest.mark.parametrize("others", [Autoguidance, partial(Refined, switch_at=0.5)], ids=["guide", "refiner"])
def test_maps_are_swapped_in_every_network_that_is_asked(others):
    """A guide or refiner that is a copy of the model changes nothing."""
    model, swapped = model_of("unet"), Swapped({"caption": "a red circle"}, 1.0)
    alone = drawn(model, swapped(DDIM(4, clip=False)), 2, "a blue circle")
    beside = drawn(model, swapped(DDIM(4, clip=False, guidance=others(model_of("unet")))), 2, "a blue circle")
    torch.testing.assert_close(beside, alone, rtol=0, atol=1e-5)
    assert (drawn(model, DDIM(4, clip=False), 2, "a blue circle") - alone).abs().max() > 1e-3


def test_what_cannot_be_swapped_is_refused():
    with pytest.raises(ValueError, match=r"share must lie in \[0, 1\], got 1.5"):
        Swapped({"caption": "a"}, 1.5)
    with pytest.raises(ValueError, match="source must say what lays the picture out"):
        Swapped({})
    with pytest.raises(ValueError, match="sampler must add no fresh noise"):
        Swapped({"caption": "a"})(DDIM(4, eta=1.0))
    with pytest.raises(ValueError, match="what the model attends to by cross-attention, nothing, got caption"):
        Swapped({"caption": "a"})(DDIM(4)).require(model_of("mm_dit"))
    with pytest.raises(ValueError, match="attends to by cross-attention, caption, got label"):
        Swapped({"label": 1})(DDIM(4)).require(model_of("unet"))
    with pytest.raises(ValueError, match=r"source must say what the model is told: caption .*green"):
        Swapped({"caption": "a green circle"})(DDIM(4)).require(model_of("unet"))
    with pytest.raises(ValueError, match=r"edit\.source\.caption must have as many words as caption, 1, got 2"):
        drawn(model_of("unet"), Swapped({"caption": "red circle"})(DDIM(4)), 1, "red")


def test_texts_of_other_numbers_of_tokens_are_refused_whatever_fills_them_up(tmp_path):
    tokenizer(tmp_path / "tokens")
    kind = Tokenised(str(tmp_path / "tokens"))
    model = SimpleNamespace(conditioning=Conditioning({"caption": kind}))
    swapping = Swapped({"caption": "red"})(DDIM(4))
    told = swapping._paired(model, {"caption": kind.read(["dot a", "red"])[1:]}, IndexedNoise(0, [0]))["caption"]
    assert torch.equal(told, kind.read(["red", "red"]))
    with pytest.raises(ValueError, match=r"edit\.source\.caption must have as many tokens as caption, 6, got 3"):
        swapping._paired(model, {"caption": kind.read("red on at c")}, IndexedNoise(0, [0]))


def inverted_as(*texts):
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)) - 0.5
    return Inverted({"caption": list(texts)})(DDIM(4, clip=False), Originals(images))


def swapped_as(*texts):
    return Swapped({"caption": list(texts)}, 1.0)(DDIM(4, clip=False))


@pytest.mark.parametrize("edited", [inverted_as, swapped_as])
@pytest.mark.parametrize("name", ["unet", "dit"])
def test_of_several_sources_every_sample_has_its_own_whatever_the_batch(name, edited):
    model, several = model_of(name), edited("a red circle", "a blue square")
    told = captions("a blue circle", "a red square")
    whole = draw(model, several, range(4), 0, told)["image"]
    for indices in ([0, 1], [2], [1, 2, 3]):
        torch.testing.assert_close(draw(model, several, indices, 0, told)["image"], whole[indices])
    torch.testing.assert_close(draw(model, edited("a blue square"), [1], 0, told)["image"], whole[[1]])


def test_texts_lie_between_others_only_for_a_model_that_is_asked_alone():
    model = model_of("unet")
    alone = (GUIDED, DDIM(4), DDIM(4, guidance=Interval(inside=ClassifierFree(2.0))))
    others = (Autoguidance(model), Refined(model), Interval(inside=Autoguidance(model)))
    assert all(tells_it_alone(sampler) for sampler in alone)
    assert not any(tells_it_alone(DDIM(4, guidance=guidance)) for guidance in others)


@pytest.mark.slow  # a short training
def test_maps_are_swapped_in_the_denoiser_of_another_run(tmp_path):
    """As a configuration names a guide: by its run."""
    small = [
        "data.batch_size=16",
        "data.limit=64",
        "training.max_images=16",
        "model.network.width=8",
        "data.image_size=16",
    ]
    run = tiny.run(["experiment=captions/attended", *small, *tiny.COMMON, f"paths.outputs={tmp_path}"]).path
    model, guide = load_run(run).model.source(), TrainedDenoiser(str(run))
    swapped, heard = Swapped({"caption": "a large red circle"}, 1.0)(DDIM(2, guidance=Autoguidance(guide))), set()
    for name, network in (("model", model.network), ("guide", guide.inner.network)):
        for module in network.modules():
            if isinstance(module, CrossAttention):
                module.register_forward_hook(lambda module, *_, name=name: heard.add((name, module.lends)))
    draw(model, swapped, range(1), 0, Given(model.conditioning.read({"caption": "a large blue square"})))
    assert heard == {("model", True), ("guide", True)}
