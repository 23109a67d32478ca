"""Two processes equal one at double batch: every part whose value hangs on a batch sees all of it."""

import functools

import lightning
import pytest
import torch

from games import bigan, digits_like, every_part, every_part_of_pairs, fit, joint
from genexp.adversarial.consensus import Consensus
from genexp.adversarial.critic import Critic
from genexp.adversarial.generator_penalties import FeatureMatching, ModeSeeking
from genexp.adversarial.objectives import Hinge, NonSaturating
from genexp.adversarial.pairings import RelativisticAverage
from genexp.adversarial.penalties import DRAGAN, R1
from genexp.adversarial.unrolling import Unrolled
from genexp.families.gan import GAN
from genexp.networks.batch_sight import MinibatchStd
from genexp.networks.dcgan import DCGANDiscriminator, DCGANGenerator

pytestmark = pytest.mark.xdist_group("distributed")  # two processes a test: one test at a time
SGD = functools.partial(torch.optim.SGD, lr=0.01)
BATCHES, SIZE = 4, 8


def plain(penalties, matching=None, **settings):
    torch.manual_seed(0)
    discriminator = DCGANDiscriminator(8, 1, width=4, norm="none", diversity=MinibatchStd(2))
    pairing = RelativisticAverage() if "unrolled" in settings else None
    objective = Hinge(pairing=pairing) if pairing else NonSaturating()
    critic = Critic(discriminator, objective, penalties)
    matching = matching or {"feature_matching": FeatureMatching(0.1)}
    generator = DCGANGenerator(8, 1, 4, width=4, norm="none")
    return GAN(generator, critic, SGD, SGD, generator_penalties=matching, **settings)


def of_pairs(**settings):
    torch.manual_seed(0)
    critic = Critic(joint(), NonSaturating())
    return bigan(critic, generator_optimizer=SGD, critic_optimizer=SGD, **settings)


GAMES = {
    "every part": every_part,
    "every part of pairs": every_part_of_pairs,
    "mode seeking": lambda: plain({"r1": R1()}, matching={"mode_seeking": ModeSeeking(0.1)}),
    "unrolled": lambda: plain({"r1": R1()}, unrolled=Unrolled(2)),
    "consensus": lambda: plain({"r1": R1()}, consensus=Consensus(0.1)),
    "consensus of pairs": lambda: of_pairs(consensus=Consensus(0.1)),
}
QUICK = ("every part",)
"""Games that are tried by default; the others are slow."""


def shared(model):
    """The model with batches that are shared out: a rank has its rows of them and of all that is drawn for them."""

    class Shared(type(model)):
        def rows(self, batch):
            return {name: each.chunk(self.trainer.world_size)[self.global_rank] for name, each in batch.items()}

        def training_step(self, batch, batch_index):
            self.whole = batch
            super().training_step(self.rows(batch), batch_index)

        def _draw(self, batch):
            torch.manual_seed(self.batches + 100 * sum(self.steps.values()))
            return self.rows(super()._draw(self.whole))

    model.__class__ = Shared
    return model


class Kept(lightning.Callback):
    """Writes what a rank ended with."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, trainer, model):
        image = model.rows(model.whole)["image"]
        torch.manual_seed(0)
        noise = DRAGAN(spread=1.0).draw(image, 0)
        torch.manual_seed(0)
        state = {**model.state_dict(), "deviation": (noise / torch.rand_like(image)).median()}
        torch.save(state, self.folder / f"{trainer.world_size}_{trainer.global_rank}.pt")


@pytest.mark.parametrize("name", [pytest.param(g, marks=[] if g in QUICK else [pytest.mark.slow]) for g in GAMES])
def test_two_processes_equal_one_at_double_batch(name, tmp_path):
    batches = digits_like(BATCHES, SIZE, labels=True)
    fit(shared(GAMES[name]()), batches, callbacks=[Kept(tmp_path)])
    two = {"devices": 2, "strategy": "ddp_fork_find_unused_parameters_true", "use_distributed_sampler": False}
    fit(shared(GAMES[name]()), batches, callbacks=[Kept(tmp_path)], **two)
    one, first, second = (torch.load(tmp_path / f"{which}.pt", weights_only=True) for which in ("1_0", "2_0", "2_1"))
    start = GAMES[name]().state_dict()
    assert all(not torch.equal(one[key], start[key]) for key in start if key.startswith("generator.growths"))
    for key, value in one.items():
        torch.testing.assert_close(first[key], value, atol=1e-5, rtol=1e-4, msg=lambda told, key=key: f"{key}: {told}")
        assert torch.equal(first[key], second[key]), key
