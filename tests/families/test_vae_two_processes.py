"""Two processes equal one at double batch with bounds that are of a whole batch."""

from functools import partial

import lightning
import pytest
import torch

from games import digits_like, fit
from genexp.families.vae import VAE
from genexp.latents.bounds import Elbo
from genexp.latents.decomposed import TotalCorrelation
from genexp.latents.discrepancy import InverseMultiquadratic, MaximumMeanDiscrepancy
from genexp.losses.reconstruction import Gaussian
from genexp.networks.autoencoder import MLPDecoder, MLPEncoder

pytestmark = [pytest.mark.xdist_group("distributed"), pytest.mark.slow]
BOUNDS = {
    "free_bits": lambda: Elbo(0.05, "batch"),
    "beta_tc": lambda: TotalCorrelation(3.0, sampling="stratified", images=100),
    "mmd": lambda: MaximumMeanDiscrepancy(InverseMultiquadratic(), kl=0.5),
}


class Shared(VAE):
    """Has its rank's rows of every batch and of all that is drawn for the whole of it."""

    def rows(self, batch):
        return {name: each.chunk(self.trainer.world_size)[self.global_rank] for name, each in batch.items()}

    def _drawn(self, batch):
        torch.manual_seed(self.batches)
        return self.rows(super()._drawn(batch))


class Kept(lightning.Callback):
    """Writes what a rank ended with."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, trainer, model):
        torch.save(model.state_dict(), self.folder / f"{trainer.world_size}_{trainer.global_rank}.pt")


def model(bound):
    torch.manual_seed(0)
    sizes = {"shape": (1, 8, 8), "latent_size": 3, "width": 16}
    optimizer = partial(torch.optim.SGD, lr=1e-3)
    return Shared(MLPEncoder(**sizes), MLPDecoder(**sizes), Gaussian(0.5), 3, optimizer, bound=BOUNDS[bound]())


@pytest.mark.parametrize("bound", BOUNDS)
def test_two_processes_equal_one_at_double_batch(bound, tmp_path):
    batches = digits_like(4, 8, labels=True)
    fit(model(bound), batches, callbacks=[Kept(tmp_path)])
    two = {"devices": 2, "strategy": "ddp_fork", "use_distributed_sampler": False}
    fit(model(bound), batches, callbacks=[Kept(tmp_path)], **two)
    one, first, second = (torch.load(tmp_path / f"{which}.pt", weights_only=True) for which in ("1_0", "2_0", "2_1"))
    start = model(bound).state_dict()
    assert not one["encoder.stem.weight"].equal(start["encoder.stem.weight"])
    for key, value in one.items():
        torch.testing.assert_close(first[key], value, atol=1e-5, rtol=1e-4, msg=lambda told, key=key: f"{key}: {told}")
        assert first[key].equal(second[key]), key
