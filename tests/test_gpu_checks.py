"""What `benchmarks/gpu.py` does on a card holds on a CPU: checks find what is wrong, figures say what they are."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import gpu
import gpu_checks
import gpu_speed


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


def test_figures_that_fail_or_come_too_late_are_told(monkeypatch, capsys):
    def broken():
        raise RuntimeError("out of memory")

    monkeypatch.setattr(gpu, "speeds", lambda *_: iter([("one", lambda: "7 images/s"), ("other", broken)]))
    assert gpu.figures("cpu", True, end=float("inf")) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert "7 images/s" in first
    assert "failed: RuntimeError: out of memory" in second
    assert gpu.figures("cpu", True, end=0) == 2
    assert capsys.readouterr().out.count("was not reached in time") == 2


def test_a_pace_leaves_out_what_warms_up(monkeypatch):
    seen, clock = [], iter((10.0, 16.0))
    monkeypatch.setattr(gpu_speed, "finished", lambda device: next(clock))
    assert gpu_speed.pace(seen.append, "cpu", warm_up=2, batches=3) == 2.0
    assert seen == [0, 1, 2, 3, 4]


def test_operations_of_a_network_are_counted_with_its_backward_pass():
    tiny = [*gpu_speed.CASES["UNet of CIFAR-10"][0], *gpu_speed.TINY["UNet of CIFAR-10"]]
    first = 2 * 9 * 3 * 32 * 32**2  # of the first convolution
    assert gpu_speed.operations(tiny) > 100 * first
    assert gpu_speed.operations([*tiny, "model.network.width=64"]) > 3 * gpu_speed.operations(tiny)
