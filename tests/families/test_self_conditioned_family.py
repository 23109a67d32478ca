import pytest
import torch

import tiny
from genexp.conditioning.estimate import ESTIMATE
from genexp.networks.told import ToldNetwork

OVERRIDES = [
    *tiny.overrides_for("diffusion"),
    "model/self_conditioning=estimate",
    "model.network.width=8",
    "training.max_images=64",
    "training.evaluate_every=64",
    "metrics=none",
]


@pytest.mark.slow
def test_a_training_shows_half_of_the_samples_their_estimates_and_micro_batches_change_nothing(tmp_path, monkeypatch):
    told, seen = [], ToldNetwork.seen

    def watched(self, x_t, condition):
        told.append((self.training and torch.is_grad_enabled(), condition[ESTIMATE].flatten(1).any(1)))
        return seen(self, x_t, condition)

    monkeypatch.setattr(ToldNetwork, "seen", watched)
    whole = tiny.run([*OVERRIDES, f"paths.outputs={tmp_path / 'whole'}"])
    trained = torch.cat([readers for learns, readers in told if learns])
    assert len(trained) == 64
    assert 16 < trained.sum() < 48
    parted = tiny.run([*OVERRIDES, f"paths.outputs={tmp_path / 'parted'}", "training.accumulate=2"])
    ours, theirs = (tiny.checkpoint(each)["state_dict"] for each in (whole, parted))
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4)
