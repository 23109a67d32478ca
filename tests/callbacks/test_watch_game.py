"""What is measured and drawn of an adversarial game: norms by hand, the gap, neighbours that are the nearest."""

import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import tiny
from genexp.adversarial.critic import Critic
from genexp.adversarial.objectives import Hinge
from genexp.callbacks.game import WatchGame, norms, some_of
from genexp.data.datamodule import ImageData
from genexp.data.digits import Digits
from genexp.data.toy2d import Toy2d
from genexp.families.gan import GAN
from genexp.figures.samples import Figure, drawn
from genexp.networks.mlp import MLPDiscriminator, MLPGenerator


class Kept:
    """A logger that keeps what it is given."""

    def __init__(self):
        self.pictures, self.values = {}, {}

    def log_picture(self, key, grid, step, caption=""):
        self.pictures[key] = grid

    def log_metrics(self, values, step):
        self.values |= values


def watched(data, shape, **options):
    torch.manual_seed(0)
    critic = Critic(MLPDiscriminator(shape, width=8, depth=1), Hinge())
    model = GAN(MLPGenerator(shape, latent_size=3, width=8, depth=1), critic, torch.optim.SGD, torch.optim.SGD)
    model.critic(torch.randn(2, *shape)).sum().backward()
    logger = Kept()
    trainer = SimpleNamespace(
        sanity_checking=False, is_global_zero=True, datamodule=data, loggers=[logger], callback_metrics={}
    )
    callback = WatchGame(**options)
    callback.on_fit_start(trainer, model)
    callback.on_validation_epoch_end(trainer, model)
    return model, logger


def test_digits_have_scores_and_nearest_neighbours():
    data = ImageData(Digits(), shape=[1, 8, 8], num_classes=10, batch_size=64)
    model, logger = watched(data, (1, 8, 8), num=100, rows=3, neighbours=2)
    assert set(logger.pictures) == {"scores", "nearest"}
    grid = logger.pictures["nearest"]
    assert grid.samples.shape == (9, 1, 8, 8)
    real = torch.cat([batch["image"] for batch in data.training_images()])
    distance = torch.cdist(grid.samples[::3].flatten(1), real.flatten(1)).sort().values[:, :2]
    found = (grid.samples.unflatten(0, (3, 3))[:, 1:] - grid.samples[::3, None]).flatten(2).norm(dim=2)
    torch.testing.assert_close(found, distance)
    train, held_out = (some_of(data, split, 100, torch.device("cpu"))["image"] for split in ("train", "val"))
    assert logger.values["game/gap"] == pytest.approx(
        float(model.critic(train).mean() - model.critic(held_out).mean()), abs=1e-5
    )
    assert {"game/critic/gradient_norm", "game/critic/singular_value", "game/generator/singular_value"} < set(
        logger.values
    )


def test_points_have_level_sets_of_the_critic():
    data = ImageData(Toy2d("ring", train_points=500, val_points=500), shape=[2], num_classes=None, batch_size=64)
    _, logger = watched(data, (2,), num=50)
    assert set(logger.pictures) == {"scores", "level_sets"}
    assert isinstance(logger.pictures["level_sets"], Figure)
    assert drawn(logger.pictures["level_sets"]).float().std() > 10


def test_norms_are_those_of_gradients_and_matrices():
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    network[0].weight.data = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    network[1].weight.data = torch.tensor([[0.5, 0.5]])
    assert norms("critic", network) == {"game/critic/singular_value": pytest.approx(3.0)}
    transposed = nn.ConvTranspose2d(1, 2, 1, bias=False)  # from one channel to two: the matrix (2, 1)
    transposed.weight.data = torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)
    assert norms("generator", transposed) == {"game/generator/singular_value": pytest.approx(5.0)}
    network[0].weight.grad, network[1].weight.grad = torch.full((2, 2), 2.0), torch.full((1, 2), 0.0)
    assert norms("critic", network)["game/critic/gradient_norm"] == pytest.approx(4.0)


def test_other_models_and_counts_are_refused():
    with pytest.raises(TypeError, match=r"callbacks\.game watches a generator and a critic, got Linear"):
        WatchGame().on_fit_start(None, nn.Linear(1, 1))
    with pytest.raises(ValueError, match="neighbours must be at least 1, got 0"):
        WatchGame(neighbours=0)


def test_gradients_of_the_last_steps_are_there_when_a_run_is_evaluated(tmp_path):
    """Lightning drops them before every evaluation of another module."""
    typed = ["experiment=toy/ring8", "callbacks/game=watch", *tiny.COMMON, "metrics=none", "data.batch_size=64"]
    length = ["training.max_images=128", "training.evaluate_every=64", "training.checkpoint_every=64"]
    folder = tiny.run([*typed, *length, f"paths.outputs={tmp_path}"])
    rows = [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]
    for player in ("critic", "generator"):
        found = [row[key] for row in rows for key in row if key == f"game/{player}/gradient_norm"]
        assert len(found) == 2
        assert min(found) > 0


def test_examples_are_from_all_over_a_split():
    rows = {}
    data = SimpleNamespace(drawn_size=lambda _: 1000, examples=lambda split, at: rows.update({split: at}) or {"x": at})
    for split in ("train", "val"):
        some_of(data, split, 100, torch.device("cpu"))
        assert len(rows[split].unique()) == 100
        assert 350 < float(rows[split].float().mean()) < 650
    assert torch.equal(rows["train"], rows["val"])
    assert len(some_of(data, "val", 5000, torch.device("cpu"))["x"]) == 1000
