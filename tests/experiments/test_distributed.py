"""Two processes on the CPU (gloo): every family trains, the ranks agree, evaluation does not depend on their number."""

from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

import tiny
from genexp.callbacks.checkpoint import Checkpoints
from genexp.families.base import Family
from genexp.training.assemble import strategy_for

pytestmark = pytest.mark.xdist_group("distributed")  # two processes a test: one test at a time
TWO = ["trainer=ddp_cpu", "trainer.precision=32-true", "trainer.limit_val_batches=1"]


@pytest.fixture
def ranks(tmp_path, monkeypatch):
    """What every rank saw: its final weights and the noise of its first batch."""
    original_end, original_start = Checkpoints.on_train_end, Family.on_train_batch_start

    def on_train_end(self, trainer, pl_module):
        original_end(self, trainer, pl_module)
        torch.save(pl_module.state_dict(), tmp_path / f"weights_{trainer.global_rank}.pt")

    def on_train_batch_start(self, batch, batch_index):
        original_start(self, batch, batch_index)
        if self.batches == 0:
            state = torch.get_rng_state()
            index = batch.get("index", torch.zeros(0))
            torch.save({"noise": torch.randn(8), "index": index}, tmp_path / f"first_{self.global_rank}.pt")
            torch.set_rng_state(state)

    monkeypatch.setattr(Checkpoints, "on_train_end", on_train_end)
    monkeypatch.setattr(Family, "on_train_batch_start", on_train_batch_start)
    return lambda what: [torch.load(tmp_path / f"{what}_{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_ranks_end_with_identical_weights_and_drew_different_noise(family, ranks):
    batch = ["data.batch_size=2"] if family == "style" else []
    folder = tiny.run([*tiny.overrides_for(family), *TWO, *batch])
    first, second = ranks("weights")
    assert tiny.differences(first, second) == []
    start = ranks("first")
    assert not torch.equal(start[0]["noise"], start[1]["noise"])
    if family != "style":
        assert not set(start[0]["index"].tolist()) & set(start[1]["index"].tolist())
    counters = tiny.checkpoint(folder)["counters"]
    assert counters["images_seen"] == (8 if family == "style" else 320)
    assert folder.record["state"] == "finished"


def test_an_evaluation_gives_the_same_value_for_any_world_size(tmp_path):
    """The first evaluation of an untrained model: same weights, same sample indices, different numbers of processes."""
    values = []
    for trainer, outputs in (([], "one"), (TWO, "two")):
        overrides = [
            *tiny.overrides_for("vae"),
            *trainer,
            f"paths.outputs={tmp_path / outputs}",
            "model.optimizer.lr=0.0",
            "callbacks.evaluate.num=50",
            "callbacks.averaging=null",
        ]
        folder = tiny.run(overrides)
        values.append(next(v for row in folder.history() for k, v in row.items() if k.startswith("fd/")))
    assert values[0] == pytest.approx(values[1], rel=1e-10)


@pytest.mark.parametrize(
    ("strategy", "devices", "used"),
    [
        ("ddp", 2, "ddp_find_unused_parameters_true"),
        ("ddp_fork", 2, "ddp_fork_find_unused_parameters_true"),
        ("auto", 2, "ddp_find_unused_parameters_true"),
        ("auto", 1, "auto"),
        ("fsdp", 2, "fsdp"),
    ],
)
def test_parameters_without_a_gradient_are_expected_where_networks_take_turns(strategy, devices, used):
    node = OmegaConf.create({"strategy": strategy, "devices": devices})
    assert strategy_for(SimpleNamespace(updates={"critic": 0, "generator": 0}), node) == used
    assert strategy_for(SimpleNamespace(updates={"network": 0}), node) == strategy


def test_spawned_ranks_are_refused_with_the_strategy_to_use():
    with pytest.raises(ValueError, match="strategy: must be ddp or ddp_fork, got ddp_spawn"):
        tiny.run([*tiny.overrides_for("vae"), "trainer.strategy=ddp_spawn", "trainer.devices=2"])


def test_a_batch_that_ranks_cannot_share_is_refused(tmp_path):
    with pytest.raises(Exception, match="batch_size must be a multiple of the 2 ranks"):
        tiny.run([*tiny.overrides_for("vae"), *TWO, "data.batch_size=33"])
