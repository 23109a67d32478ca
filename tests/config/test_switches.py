"""A switch of `training` that does not go with the model is refused at its own key."""

import pytest

from genexp.config.compose import compose
from genexp.config.problems import InvalidConfig
from genexp.config.validation import require_valid


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        (
            "model=vae model.free_bits=1 model.free_bits_over=batch training.accumulate=2",
            "training.accumulate: must be 1",
        ),
        ("experiment=unrolled/ring8 training.compile=true", "training.compile: must be false with model.unrolled"),
        ("training.compile=true training.recompute=true", "training.recompute: must be false with compile=true"),
        ("trainer=fsdp model=gan", "trainer.strategy: must be ddp for GAN, whose networks take turns"),
        ("trainer=fsdp experiment=realnvp/digits", "trainer.strategy: must be ddp for Likelihood, which has no layers"),
        ("trainer=fsdp trainer.precision=16-mixed", "trainer.precision: must be one of 32-true, bf16-mixed, bf16-true"),
        ("trainer=fsdp training.compile=true", "training.compile: must be false with trainer.strategy=fsdp"),
        ("trainer=fsdp model.optimizer.fused=true", "trainer.strategy: must be ddp with fused=true of the optimizer"),
    ],
)
def test_a_switch_is_refused_at_its_own_key(typed, problem):
    with pytest.raises(InvalidConfig, match=problem):
        require_valid(compose("train", ["trainer=cpu", *typed.split()]))
