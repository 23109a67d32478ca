"""Critics and generators that are told other conditions than classes, by the configuration alone."""

from functools import partial

import pytest
import torch

import tiny
from genexp.conditioning.base import Conditioning
from genexp.conditioning.kinds import Values, Words
from genexp.conditioning.vectors import require_vectors
from genexp.inference.run import load_run
from genexp.networks.autoencoder import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from genexp.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from genexp.networks.embeddings import VectorEmbedding, WordEmbedding, WordTokens
from genexp.networks.joint import JointDiscriminator
from genexp.networks.mlp import MLPDiscriminator, MLPGenerator
from genexp.networks.patch import PatchDiscriminator
from genexp.networks.r3gan import R3GANDiscriminator, R3GANGenerator
from genexp.networks.residual_gan import ResidualDiscriminator, ResidualGenerator
from genexp.networks.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator
from genexp.networks.vgg_critic import VggDiscriminator

WORDS = Words(["a", "b", "c"], 2)
TOLD = {"caption": partial(WordEmbedding, text=WORDS), "look": partial(VectorEmbedding, size=3)}
MIXED = {"num_classes": 4, "told": TOLD}
PROJECTING = {
    "dcgan": lambda: DCGANDiscriminator(16, 1, 4, "spectral", **MIXED),
    "mlp": lambda: MLPDiscriminator((1, 16, 16), 8, 1, **MIXED),
    "patch": lambda: PatchDiscriminator(16, 1, None, 16, 4, **MIXED),
    "r3gan": lambda: R3GANDiscriminator(16, 1, 16, 32, **MIXED),
    "residual": lambda: ResidualDiscriminator(16, 1, 4, [1, 1], 2, **MIXED),
    "stylegan2": lambda: StyleGAN2Discriminator(16, 1, 4, 8, **MIXED),
    "vgg": lambda: VggDiscriminator(16, 1, 4, 2, 8, "none", **MIXED),
}
BESIDE = {
    "dcgan": lambda: DCGANDiscriminator(16, 1, 4, "none", conditioning="concat", **MIXED),
    "mlp": lambda: MLPDiscriminator((1, 16, 16), 8, 1, conditioning="concat", **MIXED),
    "residual": lambda: ResidualDiscriminator(16, 1, 4, [1, 1], 2, conditioning="concat", **MIXED),
    "joint": lambda: JointDiscriminator((1, 15, 16), 16, MLPDiscriminator((1, 15, 16), conditioning="concat", **MIXED)),
    "encoder": lambda: ConvEncoder(1, 16, 6, 8, **MIXED),
    "mlp encoder": lambda: MLPEncoder((1, 16, 16), 6, 8, **MIXED),
}
GENERATORS = {
    "dcgan": lambda: DCGANGenerator(8, 1, 6, 4, **MIXED),
    "mlp": lambda: MLPGenerator((1, 8, 8), 6, 8, 1, **MIXED),
    "r3gan": lambda: R3GANGenerator(8, 1, 6, 16, 32, **MIXED),
    "shared": lambda: ResidualGenerator(8, 1, 6, 4, conditioning="shared", **MIXED),
    "parts": lambda: ResidualGenerator(8, 1, 9, 4, conditioning="shared", skip_latent=True, **MIXED),
    "latent": lambda: ResidualGenerator(8, 1, 6, 4, conditioning="latent", **MIXED),
    "stylegan2": lambda: StyleGAN2Generator(8, 1, 6, 6, 4, 8, depth=1, **MIXED),
    "decoder": lambda: ConvDecoder(1, 8, 6, 8, **MIXED),
    "mlp decoder": lambda: MLPDecoder((1, 8, 8), 6, 8, **MIXED),
}


def made(build):
    """The network with all its weights away from zero, and a condition of each kind."""
    torch.manual_seed(0)
    network = build().double().eval()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    label, caption = torch.tensor([0, 3, 1]), torch.tensor([[1, 2], [3, 0], [2, 2]])
    return network, {"label": label, "caption": caption, "look": torch.randn(3, 3, dtype=torch.float64)}


def others(condition):
    """The condition with one of its parts exchanged between samples, for each of them."""
    return [{**condition, name: rows.roll(1, 0)} for name, rows in condition.items()]


@pytest.mark.parametrize("name", PROJECTING)
def test_every_condition_is_projected_onto_the_features_and_scores_differ_by_nothing_else(name):
    network, condition = made(PROJECTING[name])
    image = torch.randn(3, 1, 16, 16, dtype=torch.float64)
    assert network.reads == tuple(condition)
    score, features = network.judged(image, condition)
    makers = {"label": network.embedding, **network.told}
    for part, told in zip(condition, others(condition), strict=True):
        change = ((makers[part](told[part]) - makers[part](condition[part])) * features).sum(1)
        assert change.abs().min() > 1e-6
        found = network.judged(image, told)
        torch.testing.assert_close(
            (found.score - score).flatten(1).mean(1) if score.ndim > 1 else found.score - score, change
        )
        assert torch.equal(found.features, features)


@pytest.mark.parametrize("name", BESIDE)
def test_every_condition_is_seen_beside_a_sample(name):
    network, condition = made(BESIDE[name])
    image = (
        torch.randn(3, 256, dtype=torch.float64) if name == "joint" else torch.randn(3, 1, 16, 16, dtype=torch.float64)
    )
    assert network.reads == tuple(condition)
    told = network(image, condition)
    for other in others(condition):
        assert (network(image, other) - told).reshape(3, -1).abs().amax(1).min() > 1e-6


@pytest.mark.parametrize("name", GENERATORS)
def test_every_condition_changes_what_a_generator_makes(name):
    network, condition = made(GENERATORS[name])
    latent = torch.randn(3, 6 if "decoder" in name else network.latent_shape[0], dtype=torch.float64)
    assert network.reads == tuple(condition)
    image = network(latent, condition)
    for other in others(condition):
        assert (network(latent, other) - image).flatten(1).abs().amax(1).min() > 1e-6


def test_layers_that_make_vectors_are_under_the_norm_of_the_weights():
    network = DCGANDiscriminator(8, 1, 4, "spectral", told=TOLD)
    for layer in (network.told["caption"].table, network.told["look"].first, network.told["look"].second):
        layer.train()
        for _ in range(50):
            weight = layer.weight
        assert float(torch.linalg.matrix_norm(weight.detach(), 2)) == pytest.approx(1, abs=1e-3)


def test_what_cannot_be_told_is_refused_with_both_keys():
    with pytest.raises(ValueError, match="pack must be 1 for a network with told of caption, look, got 2"):
        MLPDiscriminator((2,), pack=2, told=TOLD)
    with pytest.raises(ValueError, match="conditioning must be latent with told of caption, look, got 'norm'"):
        DCGANGenerator(8, 1, conditioning="norm", told=TOLD)
    with pytest.raises(
        ValueError, match="conditioning must be shared or latent with told of caption, look, got 'norm'"
    ):
        ResidualGenerator(8, 1, told=TOLD)
    with pytest.raises(ValueError, match=r"image.conditioning must be concat .* got projection"):
        JointDiscriminator((2,), 1, MLPDiscriminator((2,), told=TOLD))
    told, text = Conditioning({"caption": WORDS}), {"caption": partial(WordTokens, text=WORDS)}
    rule = r"critic.told.caption must make one vector of .*caption, Words, got WordTokens of shape \[2, 2, 8\]"
    with pytest.raises(ValueError, match=rule):
        require_vectors(MLPDiscriminator((2,), 8, told=text), "critic", told)
    look, wrong = Conditioning({"look": Values((4,))}), {"look": TOLD["look"]}
    with pytest.raises(
        ValueError,
        match=r"generator.told.look must make one vector of .*look, Values, got VectorEmbedding, which cannot read it",
    ):
        require_vectors(MLPGenerator((2,), told=wrong), "generator", look)


VECTOR = (
    '{caption:{_target_:genexp.networks.embeddings.WordEmbedding,_partial_:true,text:"${model.conditions.caption}"}}'
)
CAPTIONS = ["data=shapes", "data.image_size=16", "data.num_classes=null", "data.source.captions=true"]
CAPTIONS += ["+model.conditions.caption={_target_:genexp.data.shapes.ShapeCaptions}"]
CAPTIONS += [f"+model.generator.told={VECTOR}", f"+model.critic.discriminator.told={VECTOR}"]


def test_a_gan_of_captions_learns_from_its_configuration_alone(tmp_path):
    folder = tiny.run([*tiny.overrides_for("gan"), *CAPTIONS, f"paths.outputs={tmp_path}"])
    run = load_run(folder.path)
    generator, discriminator = run.model.generator, run.model.critic.discriminator
    assert generator.reads == discriminator.reads == ("caption",)
    kept = tiny.checkpoint(folder)["state_dict"]
    assert any(name.startswith("critic.discriminator.told.caption") for name in kept)
    image, text = torch.randn(2, 3, 16, 16), run.model.conditioning.read({"caption": "a red circle"})["caption"]
    nothing = run.model.conditioning.kinds["caption"].nothing(2, "cpu")
    score, features = discriminator.judged(image, {"caption": text.expand(2, -1)})
    module = discriminator.told["caption"]
    expected = ((module(text) - module(nothing)) * features).sum(1)
    torch.testing.assert_close(score - discriminator(image, {"caption": nothing}), expected)
    first, second = (run.samples(2, seed=0, caption=f"a {colour} circle").flatten(1) for colour in ("red", "blue"))
    assert (first - second).abs().amax(1).min() > 0
