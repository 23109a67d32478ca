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
    ],
)
def test_a_switch_is_refused_at_its_own_key(typed, problem):
    with pytest.raises(InvalidConfig, match=problem):
        require_valid(compose("train", [*typed.split(), "trainer=cpu"]))
