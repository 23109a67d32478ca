"""The checks of `benchmarks/gpu.py` hold on a CPU, and each of them finds what is wrong."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import gpu_checks


@pytest.mark.slow
def test_a_resumed_run_is_held_against_one_that_never_stopped(tmp_path):
    assert gpu_checks.resumes("vae", "cpu", tmp_path / "same") == []
    found = gpu_checks.resumes("vae", "cpu", tmp_path / "other", other=("model.optimizer.lr=0.01",))
    assert found
    assert all("is not the same after a resume" in each for each in found)


@pytest.mark.slow
def test_draws_are_held_against_those_of_another_number(tmp_path):
    assert gpu_checks.draws("vae", "cpu", tmp_path / "same") == []
    assert "samples differ by" in gpu_checks.draws("vae", "cpu", tmp_path / "other", other_seed=1)[0]


def test_weights_are_compared_by_name_and_bit_for_bit():
    one = {"a": torch.ones(2), "b": torch.zeros(1)}
    assert gpu_checks.unlike(one, {"a": torch.ones(2), "b": torch.zeros(1)}) == []
    assert gpu_checks.unlike(one, {"a": torch.ones(2) + 1e-6, "c": torch.zeros(1)}) == ["a", "b", "c"]
