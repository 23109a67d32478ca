"""A sweep that asks for no job says which override gives no value, and what there is."""

import sys

import pytest

from genexp.__main__ import main
from genexp.sweeps.hydra_batches import _require_jobs


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["model=vae", "seed=range(5,1)"], r"got none from seed=range\(5,1\)$"),
        (["seed=0,1", "model=glob(z*)"], r"got none from model=glob\(z\*\) \(there are adain, .*diffusion, gan.*\)$"),
    ],
)
def test_an_empty_sweep_names_its_override(typed, said):
    with pytest.raises(ValueError, match=said):
        _require_jobs([], typed)


def test_a_sweep_with_jobs_passes():
    _require_jobs([["seed=0"]], ["seed=0,1"])


def test_a_sweep_whose_jobs_do_not_compose_leaves_nothing(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "sweeps" / "sweep"
    typed = ["train", "-m", "model=vae", "tranning.max_images=1,2", f"hydra.sweep.dir={folder}"]
    monkeypatch.setattr(sys, "argv", ["genexp", *typed])
    with pytest.raises(SystemExit):
        main(typed)
    assert "tranning: does not exist; did you mean training?" in capsys.readouterr().err
    assert not folder.exists()
