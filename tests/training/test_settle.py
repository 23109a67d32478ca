"""What `auto` is settled to before a run is claimed."""

import pytest

from genexp.config.compose import compose
from genexp.training.settle import settled


@pytest.mark.parametrize(
    ("amx", "typed", "expected"),
    [
        (True, [], "32-true"),
        (True, ["model.network.width=64"], "bf16-mixed"),
        (True, ["trainer.precision=bf16-mixed"], "bf16-mixed"),
        (True, ["model.network.width=64", "trainer.precision=32-true"], "32-true"),
        (False, ["model.network.width=64"], "32-true"),
    ],
)
def test_auto_is_bf16_on_a_cpu_with_amx_for_models_that_gain_by_it(amx, typed, expected, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("genexp.hardware.cpu_features", lambda: {"amx_bf16": amx})
    assert settled(compose("train", ["experiment=quickstart", *typed]))["trainer"]["precision"] == expected
