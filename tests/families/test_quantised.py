"""The quantised autoencoder: its bound, its steps in parts and over processes, and what it refuses."""

import math
from functools import partial

import lightning
import pytest
import torch

from games import digits_like
from genexp.densities.autoregressive import AutoregressiveCategorical
from genexp.densities.token_density import TokenDensity
from genexp.families.likelihood import Likelihood
from genexp.families.quantised import QuantisedAutoencoder
from genexp.latents.codebook import Codebook
from genexp.latents.quantised import FiniteScalar
from genexp.losses.reconstruction import Bernoulli, Gaussian
from genexp.networks.feature_maps import MapDecoder, MapEncoder
from genexp.networks.pixelcnn import PixelCNN
from genexp.sampling.ancestral import Ancestral
from genexp.sampling.completion import Completed
from genexp.sampling.editing import Originals
from genexp.tensors import IndexedNoise

SGD = partial(torch.optim.SGD, lr=1e-4)
BATCHES, SIZE = 4, 8


class Data(lightning.LightningDataModule):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def drawn_size(self, split):
        return sum(len(batch["image"]) for batch in self.batches)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(self.batches, batch_size=None)


def small(quantiser=None, **settings):
    torch.manual_seed(0)
    sizes = {"channels": 1, "image_size": 8, "halvings": 1, "width": 8, "depth": 1}
    quantiser = quantiser or Codebook(6, 3, decay=0.8, restart=0.3)
    parts = {"reconstruction": Gaussian(0.5), "optimizer": SGD} | settings
    return QuantisedAutoencoder(MapEncoder(**sizes), MapDecoder(**sizes), quantiser, **parts)


def trained(model, batches, **options):
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(model, datamodule=Data(batches))
    return model


def observed(model, count=5):
    image = digits_like(1, count)[0]["image"]
    return model.observe({"image": image}, IndexedNoise(0, range(count)))


@pytest.mark.parametrize("quantiser", [None, FiniteScalar([3, 3])], ids=["vq", "fsq"])
def test_the_bound_is_one_summand_of_the_sum_over_all_codes(quantiser):
    """With two places only, p(x) under equal codes can be summed."""
    torch.manual_seed(0)
    sizes = {"channels": 1, "image_size": 2, "halvings": 1, "width": 4, "depth": 0}
    model = QuantisedAutoencoder(
        MapEncoder(**sizes), MapDecoder(**sizes), quantiser or Codebook(6, 3), Gaussian(0.5), SGD
    ).eval()
    batch = {"image": torch.rand(4, 1, 2, 2) * 2 - 1}
    every = torch.arange(model.codes).reshape(-1, 1, 1, 1).expand(-1, 4, 1, 1)
    each = torch.stack([model.log_likelihood_of(batch, code) for code in every]) - math.log(model.codes)
    bound = model.log_prob(batch)
    assert (bound <= each.logsumexp(0)).all()
    code = model.tokens(batch["image"])
    torch.testing.assert_close(bound, each.gather(0, code.reshape(1, 4))[0])
    distortion, rate = model.code_lengths(batch)
    torch.testing.assert_close(-distortion - rate[:, 0], bound)
    assert model.exact is False


def test_codes_become_the_images_that_come_back():
    model = small().eval()
    batch = observed(model)
    code = model.tokens(batch["image"])
    assert code.shape == (5, *model.code_shape) == (5, 4, 4)
    assert torch.equal(model.from_tokens(code), model.reconstruct(batch))
    raw = model.decoder(model.quantiser(model.encoder(batch["image"])).embedded)
    assert torch.equal(model.reconstruction.mean(raw), model.from_tokens(code))


def test_latents_are_codes_by_their_quantiles():
    model = small().eval()
    code = torch.arange(6).repeat(3)[:16].reshape(1, 4, 4)
    latent = torch.special.ndtri((code.double() + 0.5) / 6)
    assert torch.equal(model.decode(latent), model.from_tokens(code))
    drawn = (torch.special.ndtr(torch.randn(50_000).double()) * 6).long().bincount(minlength=6)
    assert (drawn - 50_000 / 6).abs().max() < 400


def test_a_step_in_parts_is_the_step_of_the_whole_batch():
    whole, parts = (trained(small().arrange(accumulate=n), digits_like(BATCHES, SIZE)) for n in (1, 4))
    start = small().state_dict()
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[key], value, atol=1e-5, rtol=1e-4)
    assert not torch.equal(whole.state_dict()["quantiser.vectors"], start["quantiser.vectors"])


def test_terms_tell_use_and_commitment():
    model = small()
    trained(model, digits_like(1, SIZE))
    terms = model.terms.flush()
    assert set(terms) == {
        f"train/{name}" for name in ("loss", "elbo", "reconstruction", "commitment", "perplexity", "codes_used")
    }
    loss = terms["train/reconstruction"] + 0.25 * terms["train/commitment"]
    assert terms["train/loss"] == pytest.approx(loss, rel=1e-5)
    assert terms["train/elbo"] == pytest.approx(-terms["train/reconstruction"] - 16 * math.log(6), rel=1e-5)
    assert 1 <= terms["train/perplexity"] <= terms["train/codes_used"] <= 6


def test_what_does_not_go_together_is_refused_before_training():
    with pytest.raises(
        ValueError, match=r"model.quantiser must have at most 512 codes, .* \(4 x 4\) of the 32 training"
    ):
        trained(small(Codebook(513, 3)), digits_like(BATCHES, SIZE))
    with pytest.raises(ValueError, match="commitment must not be negative, got -1"):
        small(commitment=-1)
    with pytest.raises(ValueError, match="halvings must halve an image of 28 pixels exactly, got 3"):
        MapEncoder(1, 28, halvings=3)
    with pytest.raises(ValueError, match=r"decoder must have the encoder's grid \(4, 4\), got \(2, 2\)"):
        QuantisedAutoencoder(MapEncoder(1, 8), MapDecoder(1, 8, halvings=2), Codebook(4), Gaussian(0.5), SGD)
    with pytest.raises(TypeError, match="encoder must have a grid of features, got Linear"):
        QuantisedAutoencoder(torch.nn.Linear(1, 1), MapDecoder(1, 8), Codebook(4), Gaussian(0.5), SGD)


def of_codes(tokeniser, shape=(1, 4, 4), levels=6):
    torch.manual_seed(1)
    network = PixelCNN(shape, levels, width=4, depth=1)
    torch.nn.init.normal_(network.last.weight)
    return Likelihood(AutoregressiveCategorical(network, shape, levels), SGD, codec=tokeniser)


def test_a_density_of_codes_bounds_the_images_and_draws_them():
    tokeniser = small(reconstruction=Bernoulli("threshold")).eval()
    family = of_codes(tokeniser).eval()
    source, batch = family.source(), observed(tokeniser)
    assert (source.levels, source.exact) == (2, False)
    code = tokeniser.tokens(batch["image"])
    log_softmax = source.of_codes.logits(code[:, None] * 2 / 5 - 1).log_softmax(1)
    codes = log_softmax.gather(1, code[:, None, None])[:, 0].flatten(1).sum(1)
    torch.testing.assert_close(source.log_prob(batch), codes + tokeniser.log_likelihood_of(batch, code))
    trained_on = family._observed({"image": batch["image"]})
    torch.testing.assert_close(source.of_codes.log_prob(trained_on), codes)
    noise = IndexedNoise(3, range(4))
    images = Ancestral().run(source, Ancestral().start(source, noise), noise)
    inner = Ancestral().run(source.of_codes, Ancestral().start(source, IndexedNoise(3, range(4))), noise)
    assert torch.equal(images, tokeniser.from_tokens(((inner[:, 0] + 1) * 2.5).round().long()))
    assert images.shape == (4, 1, 8, 8)
    originals = Originals(images, torch.ones(4, 1, 8, 8, dtype=torch.bool))
    with pytest.raises(TypeError, match="Completed needs pixels that are drawn in order, got TokenDensity"):
        Completed()(Ancestral(), originals).require(source)


def test_a_density_of_other_codes_is_refused():
    tokeniser = small()
    with pytest.raises(
        ValueError, match=r"density.image_shape must be \[1, 4, 4\], the codes of model.codec, got \[1, 8"
    ):
        of_codes(tokeniser, (1, 8, 8))
    with pytest.raises(ValueError, match=r"density.levels must be the 6 codes of model.codec, got 17"):
        of_codes(tokeniser, levels=17)
    with pytest.raises(TypeError, match="Ancestral draws from an Autoregressive, got QuantisedAutoencoder"):
        Ancestral().require(tokeniser)
    assert isinstance(TokenDensity(of_codes(tokeniser).density, tokeniser), TokenDensity)


def shared(model):
    """The model with batches that are shared out: a rank has its rows of them and of all that is drawn for them."""

    class Shared(type(model)):
        def rows(self, batch):
            return {name: each.chunk(self.trainer.world_size)[self.global_rank] for name, each in batch.items()}

        def train_batch(self, batch):
            torch.manual_seed(self.batches)
            key = torch.rand(len(batch["image"]), *self.code_shape)
            self.key = key.chunk(self.trainer.world_size)[self.global_rank]
            return super().train_batch(self.rows(batch))

        def update(self, name, batch, loss):
            batch["key"].copy_(self.key)
            return super().update(name, batch, loss)

    model.__class__ = Shared
    return model


class Kept(lightning.Callback):
    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, trainer, model):
        torch.save(model.state_dict(), self.folder / f"{trainer.world_size}_{trainer.global_rank}.pt")


@pytest.mark.slow
@pytest.mark.xdist_group("distributed")
def test_two_processes_equal_one_at_double_batch(tmp_path):
    batches = digits_like(BATCHES, SIZE)
    trained(shared(small()), batches, callbacks=[Kept(tmp_path)])
    two = {"devices": 2, "strategy": "ddp_fork_find_unused_parameters_true", "use_distributed_sampler": False}
    trained(shared(small()), batches, callbacks=[Kept(tmp_path)], **two)
    one, first, second = (torch.load(tmp_path / f"{which}.pt", weights_only=True) for which in ("1_0", "2_0", "2_1"))
    for key, value in one.items():
        torch.testing.assert_close(first[key], value, atol=1e-5, rtol=1e-4)
        assert torch.equal(first[key], second[key]), key
    assert not torch.equal(one["quantiser.vectors"], small().state_dict()["quantiser.vectors"])
