"""Every benchmark runs: its smallest work once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import tiny

ROOT = Path(__file__).parents[1]
FURTHER = {
    "peers": ["--only", "sampling"],
    "startup": ["--against", str(ROOT)],
    "super_resolution": ["speed"],
}
"""What a script is told beside `--quick`."""

FILES = sorted((ROOT / "benchmarks").glob("*.py"))
SCRIPTS = [path.stem for path in FILES if "__main__" in path.read_text()]


def ran(name, *further, folder):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "GENEXP_OUTPUTS": str(folder)}
    command = [sys.executable, "-W", "ignore", str(ROOT / "benchmarks" / f"{name}.py"), "--quick", *further]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", [each for each in SCRIPTS if each != "detection"])
def test_a_benchmark_runs_and_prints_figures(name, tmp_path):
    assert any(character.isdigit() for character in ran(name, *FURTHER.get(name, []), folder=tmp_path))


@pytest.mark.slow
def test_detection_runs_on_two_runs(tmp_path):
    runs = [tiny.run([*tiny.overrides_for(each), f"paths.outputs={tmp_path / each}"]).path for each in ("vae", "gan")]
    assert "rows learned, columns judged" in ran("detection", *map(str, runs), folder=tmp_path)


@pytest.mark.slow
def test_a_run_of_super_resolution_is_measured_and_its_memory_told(tmp_path):
    short = [*tiny.COMMON, "data.batch_size=4", "training.max_images=8", "training.evaluate_every=8", "metrics=none"]
    run = str(tiny.run(["experiment=espcn/photographs", *short, f"paths.outputs={tmp_path / 'run'}"]).path)
    Image.new("L", (40, 30), 9).save(tmp_path / "grey.png")
    assert "restored_psnr_y" in ran("super_resolution", "measure", run, str(tmp_path / "grey.png"), folder=tmp_path)
    told = ran("super_resolution", "memory", run, folder=tmp_path)
    assert [line.split(":")[0] for line in told.splitlines()] == ["40 x 30, tile 16", "40 x 30, tile whole"]


def test_every_benchmark_stands_in_the_list():
    listed = (ROOT / "benchmarks/README.md").read_text()
    assert [name for name in SCRIPTS if f"`{name}.py`" not in listed] == []
