"""Every test runs offline, on one thread, with outputs and caches in a temporary folder."""

import os

os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
os.environ["GENEXP_NO_SYSTEM_STATS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    """One cache folder for the whole session: decoded images and reference statistics are made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_folders(tmp_path, shared_cache, monkeypatch):
    """Outputs and data of a test go to its own folder, never to the checkout or the home folder."""
    monkeypatch.setenv("GENEXP_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("GENEXP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GENEXP_CACHE", str(shared_cache))
