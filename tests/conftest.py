"""Every test runs offline, on one thread, with outputs and caches in a temporary folder."""

import atexit
import os
import shutil
import tempfile

_FOLDER = tempfile.mkdtemp(prefix="genexp-tests-")
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)

os.environ["GENEXP_CACHE"] = f"{_FOLDER}/cache"  # decoded images and reference statistics are made once a session
os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"
os.environ["GENEXP_NO_SYSTEM_STATS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Outputs and data of a test go to its own folder, never to the checkout or the home folder."""
    monkeypatch.setenv("GENEXP_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("GENEXP_DATA", str(tmp_path / "data"))
