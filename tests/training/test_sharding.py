"""Two ranks of which each has a part of the weights train what one process trains at double batch."""

import multiprocessing
import os
import shutil
import socket
import subprocess

import lightning
import pytest
import torch

import forking
import tiny
from games import digits_like, fit
from genexp.callbacks.averaging import Averaging
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.inference.run import load_run
from genexp.parameters import local, whole
from genexp.training.sharding import Sharding

pytestmark = pytest.mark.xdist_group("distributed")  # two processes a test: one test at a time


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Shared:
    """Has its rank's rows of every batch and of all that is drawn for the whole of it."""

    def update(self, name, batch, loss):
        world, rank = self.trainer.world_size, self.global_rank
        return super().update(name, {key: each.chunk(world)[rank] for key, each in batch.items()}, loss)

    def on_train_batch_start(self, batch, index):
        torch.manual_seed(self.batches)


SIZES = ["data.image_size=8", "model.optimizer.lr=0.01", "model.optimizer.eps=0.001", "model.clip=0.5"]
MODELS = {
    "vae": ["model=vae"],
    "diffusion": ["model=diffusion", "model.network.width=8", "model.network.dropout=0"],
    "hierarchy": ["experiment=vd_vae/digits"],
    "autoregressive": ["experiment=pixelcnn/digits"],
    "transformer": ["experiment=dit/digits", "model.num_classes=null"],
}
QUICK = ("vae", "diffusion")
"""Models that are tried by default; the others are slow."""


def made(name, *typed):
    """A model whose ranks share every batch."""
    torch.manual_seed(0)
    model = build(compose("train", [*MODELS[name], *SIZES, *typed]).model)
    model.__class__ = type("Shared", (Shared, type(model)), {})
    return model.freeze(["encoder.stem"]) if name == "vae" else model


def held(tensors):
    """How many numbers of some tensors this process has."""
    return sum(each.numel() for each in local(list(tensors)))


class Kept(lightning.Callback):
    """Writes what a rank ended with, and how many numbers of the weights it held."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, trainer, model):
        averaging = next(each for each in trainer.callbacks if isinstance(each, Averaging))
        momenta = [each["exp_avg"] for optimizer in trainer.optimizers for each in optimizer.state.values()]
        ended = {"weights": model.state_dict(), "averaged": averaging.tracked[0].modules}
        ended |= {"numbers": held(model.parameters()), "momenta": held(momenta)}
        torch.save(whole(ended), self.folder / f"{trainer.world_size}_{trainer.global_rank}.pt")


def rank_of_two(rank, port, name, accumulate, folder):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": str(rank)}
    train(name, accumulate, folder, strategy=Sharding(), num_nodes=2, use_distributed_sampler=False)


def train(name, accumulate, folder, **options):
    model = made(name).arrange(accumulate, recompute=name == "diffusion")
    fit(model, digits_like(4, 8), callbacks=[Averaging(20), Kept(folder)], **options)


def ended(tmp_path, name, accumulate):
    """What one process at double batch, and both of two, end with."""
    train(name, accumulate, tmp_path)
    forks = multiprocessing.get_context("fork")
    port = free_port()
    ranks = [forks.Process(target=rank_of_two, args=(rank, port, name, accumulate, tmp_path)) for rank in (0, 1)]
    for each in ranks:
        each.start()
    for each in ranks:
        each.join(120)
    assert [each.exitcode for each in ranks] == [0, 0]
    return (torch.load(tmp_path / f"{which}.pt", weights_only=True) for which in ("1_0", "2_0", "2_1"))


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[] if each in QUICK else pytest.mark.slow) for each in MODELS]
)
def test_two_ranks_equal_one_process_at_double_batch(name, tmp_path):
    one, first, second = ended(tmp_path, name, accumulate=2)
    start = made(name).state_dict()
    assert any(not one["weights"][key].equal(value) for key, value in start.items())
    for kind in ("weights", "averaged"):
        torch.testing.assert_close(first[kind], one[kind], atol=2e-5, rtol=1e-4)
        assert tiny.differences(first[kind], second[kind]) == []
    for what in ("numbers", "momenta"):  # each has about half
        assert max(first[what], second[what]) < 0.6 * one[what]
        assert first[what] + second[what] >= one[what]


@pytest.mark.parametrize(
    ("typed", "precision", "told"),
    [
        ("model=gan", "32-true", "trainer.strategy must be ddp for GAN, whose networks take turns"),
        ("experiment=realnvp/digits", "32-true", "trainer.strategy must be ddp for Likelihood, which has no layers"),
        ("model=vae optimizer@model.optimizer=lbfgs", "32-true", "must be ddp with an optimizer other than Adam"),
        ("model=vae model.optimizer.fused=true", "32-true", "must be ddp with fused=true of the optimizer"),
        ("model=vae", "16-mixed", "trainer.precision must be one of 32-true, bf16-mixed, bf16-true"),
    ],
)
def test_what_cannot_be_sharded_is_refused_by_its_key(typed, precision, told):
    model = build(compose("train", typed.split()).model)
    with pytest.raises(ValueError, match=told):
        model.require_shardable(precision)


@pytest.mark.parametrize("switch", ["compile", "channels_last"])
def test_a_switch_that_moves_weights_is_refused(switch):
    model = build(compose("train", ["model=vae"]).model).arrange(**{switch: True})
    with pytest.raises(ValueError, match=f"training.{switch} must be false with trainer.strategy=fsdp"):
        model.require_shardable("32-true")


def begun(run, *typed, **variables):
    return subprocess.Popen(
        [*forking.genexp(), "train", *typed, f"run_dir={run}"],
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def sharded(run, *typed):
    """Train on two machines of one process each."""
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    of_nodes = ["trainer.strategy=fsdp", "trainer.num_nodes=2"]
    both = [begun(run, *typed, *of_nodes, NODE_RANK=rank, **where) for rank in "01"]
    said = [each.communicate(timeout=300)[1] for each in both]
    assert [each.returncode for each in both] == [0, 0], said


@pytest.mark.slow
@pytest.mark.parametrize("family", ["vae", "diffusion"])
def test_a_sharded_run_is_an_ordinary_one_that_goes_on_in_one_process_and_back(family, tmp_path):
    run, plain = tmp_path / "run", tmp_path / "plain"
    typed = [*tiny.overrides_for(family), "metrics=none", "callbacks/post_hoc=power", "callbacks.post_hoc.every=64"]
    sharded(run, *typed)
    kept = load_run(run)
    assert len(kept.samples(2, seed=1)) == 2
    checkpoint, network = tiny.checkpoint(kept.folder), kept.model.averaged_modules[0]
    tensors = [checkpoint["state_dict"], checkpoint["averaged"]["modules"][network]]
    assert all(type(each) is torch.Tensor for named in tensors for each in named.values())
    shutil.copytree(run, plain)
    one = ["trainer.strategy=auto", "trainer.num_nodes=1"]
    alone = begun(plain, f"resume={plain}", "training.max_images=448", *one)
    said = alone.communicate(timeout=300)[1]
    assert alone.returncode == 0, said
    sharded(run, f"resume={run}", "training.max_images=448")
    first, second = (tiny.checkpoint(load_run(each).folder) for each in (run, plain))
    assert first["counters"] == second["counters"]
    states = [each["optimizer_states"] for each in (first, second)]
    shapes = [[[each["exp_avg"].shape for each in state["state"].values()] for state in ended] for ended in states]
    assert shapes[0] == shapes[1]
