"""Parts of diffusion that do not go together are refused with what does, and what goes together is let pass."""

import re
from functools import partial

import pytest
import torch
from torch import nn

from genexp.config.compose import conf_dir
from genexp.config.targets import locate
from genexp.diffusion.continuous import RectifiedFlow
from genexp.diffusion.coupling import OptimalTransport
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.exploding import NoiseLevel
from genexp.diffusion.fitting import NAMED, require_leading_back, require_same_spread
from genexp.diffusion.objective import Bound, Hybrid
from genexp.diffusion.prediction import Bounded, Consistent, Epsilon, Preconditioned, Velocity
from genexp.diffusion.rescaled import ZeroTerminalSNR
from genexp.diffusion.schedules import Linear
from genexp.diffusion.weighting import UniformEpsilon, UniformPreconditioned
from genexp.evaluation.metrics.flow_likelihood import OF_REAL_TIMES
from genexp.families.diffusion import Diffusion
from genexp.files.yaml_records import read_yaml


def shipped(group):
    """The classes of a group's choices by their names."""
    files = (conf_dir() / "model" / group).glob("*.yaml")
    return {file.stem: locate(read_yaml(file)["_target_"]) for file in files}


def test_what_is_told_to_type_are_the_names_of_the_parts():
    of_goals = {"consistent": Consistent, "bounded": Bounded}
    assert {name: type(each) for name, each in NAMED.items()} | of_goals == shipped("prediction")
    assert set(OF_REAL_TIMES) == {name for name, each in shipped("schedule").items() if not each.discrete}


def test_the_predictions_that_are_told_to_go_with_a_schedule_do():
    for schedule in (RectifiedFlow(), ZeroTerminalSNR(Linear(50))):
        with pytest.raises(ValueError, match="these fit this schedule: model/prediction=sample, ") as error:
            require_leading_back(Epsilon(), schedule)
        for name, prediction in NAMED.items():
            if name in re.split("[ ,=]+", str(error.value)):
                require_leading_back(prediction, schedule)
            else:
                with pytest.raises(ValueError, match="must lead back"):
                    require_leading_back(prediction, schedule)


def test_noise_levels_of_their_own_go_with_all_but_the_velocity():
    for name, prediction in NAMED.items():
        if name != "velocity":
            require_leading_back(prediction, NoiseLevel())
    with pytest.raises(ValueError, match=r"model/prediction=epsilon, sample, flow, edm$"):
        require_leading_back(Velocity(), NoiseLevel())


def test_a_weighting_that_is_even_in_the_error_of_a_network_is_of_that_network():
    """w(SNR) c_out^2 is 1 at every time where both have one spread, and of any other prediction it is a weighting."""
    snr, noise = torch.logspace(-3, 3, 20, dtype=torch.float64), torch.logspace(1.5, -1.5, 20, dtype=torch.float64)
    prediction = Preconditioned(0.3)
    even = UniformPreconditioned(0.3)(snr) * prediction.scale(torch.ones_like(noise), noise).square()
    torch.testing.assert_close(even, torch.ones_like(even))
    require_same_spread(prediction, UniformPreconditioned(0.3))
    require_same_spread(Epsilon(), UniformPreconditioned(0.7))
    with pytest.raises(ValueError, match=r"weighting must have the data_std of the prediction, 0\.3, got 0\.5: "):
        NetworkDenoiser(nn.Identity(), NoiseLevel(), prediction, UniformPreconditioned(), (1,))


def test_a_bound_takes_noise_that_does_not_look_at_the_image():
    parts = (nn.Linear(2, 2), Linear(50), Epsilon(), UniformEpsilon(), partial(torch.optim.SGD, lr=0.1), (2,))
    for objective in (Bound(), Hybrid()):
        Diffusion(*parts, objective=objective)
        with pytest.raises(ValueError, match=r"coupling must be independent with \w+, .*, got OptimalTransport"):
            Diffusion(*parts, objective=objective, coupling=OptimalTransport())
