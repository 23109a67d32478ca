"""The notebooks run from top to bottom as a reader would run them, and ship with what they showed."""

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from test_wandb import history, records

import forking
from genexp.inference.run import load_run
from genexp.runs.run_folder import RunFolder

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PICTURE_BYTES = 100_000


@pytest.fixture
def execute(tmp_path, monkeypatch):
    """Run a notebook in a kernel of its own; all that it writes goes below the returned folder of runs."""
    path = [str(Path(sys.executable).parent), os.environ["PATH"]]
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))

    def run(name, shorter=()):
        folders = [forking.folder_of_genexp(), *path] if shorter else path  # in full length as a reader types it
        monkeypatch.setenv("PATH", os.pathsep.join(folders))
        book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
        for cell in book.cells:
            for long, short in shorter:
                cell.source = cell.source.replace(long, short)
        NotebookClient(
            book, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
        ).execute()
        return tmp_path / "outputs", Shown(book)

    before = sorted(FOLDER.iterdir())
    yield run
    assert sorted(FOLDER.iterdir()) == before, "a notebook wrote beside itself"


def require_whole_wandb_runs(paths):
    """The runs of a notebook are kept by the logger that users get, each in a W&B run of its own."""
    for path in paths:
        folder = RunFolder.open(path)
        found = records(folder)
        assert history(found)
        assert [record["type"] for record in found].count("exit") == 1
        assert {record["run"]["run_id"] for record in found if record["type"] == "run"} == {folder.record["id"]}
        assert list(path.glob("wandb/offline-run-*/files/media/images/**/*.png"))


class Shown:
    """What an executed notebook shows."""

    def __init__(self, book):
        outputs = [each for cell in book.cells if cell.cell_type == "code" for each in cell.outputs]
        self.text = "".join(each.get("text", "") + each.get("data", {}).get("text/plain", "") for each in outputs)
        self.html = "".join(each.get("data", {}).get("text/html", "") for each in outputs)
        self.markdown = "".join(each.get("data", {}).get("text/markdown", "") for each in outputs)
        self.pictures = sum("image/png" in each.get("data", {}) for each in outputs)


def only(folder):
    (found,) = folder.iterdir()
    return found


@pytest.mark.slow
def test_a_first_run(execute):
    outputs, shown = execute("01_first_run")
    run = load_run(only(outputs / "first_run"))
    assert run.folder.record["state"] == "finished"
    key = run.metrics["best"]["metric"]
    assert f"<td>{key}</td><td>{run.metrics['values'][key]:.4g}</td>" in shown.html
    assert run.metrics["protocols"][key]["extractor_digest"] in shown.text
    assert "(40, 1, 8, 8) from -" in shown.text
    assert shown.pictures == 2
    require_whole_wandb_runs([run.folder.path])


@pytest.mark.slow
def test_runs_are_compared(execute):
    outputs, shown = execute("02_compare_runs", [("=8_000", "=1_280"), ("=4_000", "=640"), ("num=300", "num=60")])
    sweep = only(outputs / "multirun")
    assert [load_run(path).folder.record["state"] for path in sorted(sweep.glob("[0-9]*"))] == ["finished"] * 6
    rows = json.loads((sweep / "compare/compare.json").read_text())["rows"]
    assert len(rows) == 2
    for row in rows:
        size = row["settings"]["model.latent_size"]
        ((key, cell),) = [(name, each) for name, each in row["values"].items() if name.startswith("fd/")]
        assert f"{size:>2} latent units: {key} {cell['mean']:.2f} ± {cell['std']:.2f}" in shown.text
    assert (sweep / "compare/compare.html").is_file()
    require_whole_wandb_runs(sorted(sweep.glob("[0-9]*")))
    assert shown.pictures == 1


@pytest.mark.slow
def test_an_ablation(execute):
    outputs, shown = execute("03_ablation", [("=10_000", "=1_280")])
    folder = outputs / "ablations/latent_density/cpu"
    for part, count in (("runs", 3), ("measurements", 9)):
        jobs = json.loads((folder / part / "sweep.json").read_text())["jobs"]
        assert [job["state"] for job in jobs] == ["finished"] * count
    require_whole_wandb_runs(sorted(folder.glob("runs/[0-9]*")))
    assert shown.markdown == (folder / "table.md").read_text()
    for each in json.loads((folder / "claims.json").read_text())["claims"]:
        assert each["verdict"] in ("holds", "fails", "undecided")
        assert f"{each['verdict']:<10} {each['claim']}" in shown.text


@pytest.mark.slow
def test_a_part_of_ones_own(execute):
    outputs, shown = execute("04_add_your_own_part", [("=20_000", "=2_560"), ("=10_000", "=1_280")])
    run = load_run(only(outputs / "my_part"))
    assert run.folder.record["state"] == "finished"
    assert dict(run.config.model.critic.objective) == {"_target_": "my_parts.SoftHinge", "margin": 0.5}
    assert "(my_parts.SoftHinge, SoftHinge(pairing=Plain(), margin=0.5))" in shown.text
    require_whole_wandb_runs([run.folder.path])
    with pytest.raises(ValueError, match="set GENEXP_TRUST"):  # the permission was the notebook's alone
        _ = run.model
    assert shown.pictures == 1


@pytest.mark.slow
def test_samplers_side_by_side(execute):
    outputs, shown = execute("05_samplers_side_by_side", [("=32_000", "=1_280"), ("num=400", "num=40")])
    run = load_run(only(outputs / "samplers"))
    assert run.folder.record["state"] == "finished"
    orders = {name: float(order) for name, order in re.findall(r"([\w-]+) +order (\d\.\d\d)\n", shown.text)}
    known = {"DDIM": 1, "2M": 2, "Heun": 2, "DPM-Solver-3": 3}
    assert orders == {name: pytest.approx(order, abs=0.15) for name, order in known.items()}
    distances = {
        name: [float(value) for value in re.findall(r"evaluations ([\d.]+)", rest)]
        for name, rest in re.findall(r"\b(DDIM|2M|Heun|DDPM) (.* evaluations .*)", shown.text)
    }
    assert {len(values) for values in distances.values()} == {4}
    assert len(distances) == 4
    require_whole_wandb_runs([run.folder.path])
    assert shown.pictures == 3


@pytest.mark.slow
def test_a_gan_is_composed(execute):
    shorter = [("=80_000", "=6_400"), ("=48_000", "=1_280"), ("=6_000", "=640"), ("num=500", "num=40")]
    outputs, shown = execute("06_compose_a_gan", shorter)
    ends = {name: float(value) for name, value in re.findall(r"(.+?) +ends (\d\.\d\d) from", shown.text)}
    assert ends["no penalty"] > 0.9
    assert ends["gradient penalty"] > 0.1
    assert ends["R1"] < 0.01
    runs = {name: load_run(only(outputs / name)) for name in ("plain", "composed", "digits")}
    assert set(runs["composed"].config.model.critic.penalties) == {"r1", "r2"}
    for name in ("plain", "composed"):
        (modes,) = (v for key, v in runs[name].metrics["values"].items() if key.startswith("modes/"))
        assert re.search(rf"{name} +{modes:.0f} of 8 modes", shown.text)
    assert any(key.startswith("recognised/") for key in runs["digits"].metrics["values"])
    require_whole_wandb_runs([run.folder.path for run in runs.values()])
    assert shown.pictures == 3


@pytest.mark.slow
def test_densities_are_held_against_one_and_against_each_other(execute):
    shorter = [("=96_000", "=12_800"), ("=19_200", "=640"), ("num=1000", "num=40")]
    outputs, shown = execute("07_densities", shorter)
    assert float(re.search(r"sum over the grid: (\d\.\d+)", shown.text)[1]) == pytest.approx(1, abs=0.02)
    kinds = dict(re.findall(r"(Gated PixelCNN|RealNVP|VAE) +[\d.]+ bits a pixel \((\w+)\)", shown.text))
    assert kinds == {"Gated PixelCNN": "exact", "RealNVP": "bound", "VAE": "bound"}
    bounds = [float(value) for value in re.findall(r"importance_bits_per_dim +([\d.]+) bits", shown.text)]
    assert len(bounds) == 3
    assert bounds[0] > bounds[1] > bounds[2]
    trained_only = ("moons", "pixels", "flow")  # W&B's run of the fourth is opened again by its evaluations
    require_whole_wandb_runs([only(outputs / name) for name in trained_only])
    assert shown.pictures == 2


@pytest.mark.slow
def test_photographs_are_painted_and_enlarged(execute):
    outputs, shown = execute("08_paint_and_sharpen", [("=16_000", "=640"), ("steps=40", "steps=2")])
    for name, size in (("gram", 88), ("wasserstein", 88), ("patches", 88), ("texture", 128)):
        assert re.search(rf"{name}[.]png\npixels +128 x {size}\n", shown.text)
    told, plain = map(float, re.search(r"PSNR of Y ([\d.]+) dB \(the picture itself ([\d.]+)\)", shown.text).groups())
    found = {name: float(value) for name, value in re.findall(r"(\w+) +PSNR of Y ([\d.]+) dB, SSIM", shown.text)}
    assert found == {"restored": told, "bicubic": pytest.approx(plain, abs=0.02)}  # the files are of 8 bits
    assert plain == pytest.approx(32.37, abs=0.01)  # of the photograph, whatever is trained
    run = load_run(only(outputs / "sharpener"))
    value = run.metrics["values"]["restored_psnr_y"]
    assert re.search(rf"restored_psnr_y {value:.2f} dB: .* of flower.jpg .*factor=3.* of luma, border of 3", shown.text)
    require_whole_wandb_runs([run.folder.path])
    assert shown.pictures == 2


@pytest.mark.slow
def test_words_to_pictures(execute):
    outputs, shown = execute("09_words_to_pictures", [("num=240", "num=48")])
    run = load_run(only(outputs / "words"))
    assert run.folder.record["state"] == "finished"
    assert "96 of 960 combinations are held out" in shown.text
    told = re.search(r"caption_truth/shape_reader@\w+\s+([\d.]+)", shown.text)
    assert float(told[1]) >= 0.8
    assert shown.pictures == 4


@pytest.mark.slow
def test_a_model_is_shipped(execute):
    outputs, shown = execute("10_ship_a_model", [("sampler.steps=3", "sampler.steps=2")])
    run = load_run(only(outputs / "ship"))
    assert run.folder.record["state"] == "finished"
    assert "caption, noise to image (4, 3, 64, 64)" in shown.text
    assert f"| sha256 of the checkpoint | {run.digest} |" in shown.markdown
    assert f"run           id {run.folder.record['id']}, checkpoint_sha256 {run.digest}" in shown.text
    found = re.findall(r"watermark +(of this key|marked, but not with this key): at most", shown.text)
    assert found == ["of this key", "of this key", "marked, but not with this key"]
    assert float(re.search(r"([\d.]+) dB\n", shown.text)[1]) > 35
    require_whole_wandb_runs([run.folder.path])
    assert shown.pictures == 2


MACHINE = re.compile(
    r"(?<![\w.<])/(?:home|tmp|root|work|Users|private|usr|opt|mnt|var|srv|data)/|[A-Z]:\\\\|[.]venv|site-packages"
)
"""What a path of one machine looks like."""

KINDS = {"image/png", "text/plain", "text/html", "text/markdown"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_committed_notebook_shows_what_its_code_gave_in_little_space_and_without_paths_of_a_machine(path):
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    text = "\0".join(cell.source for cell in code)
    told = "was changed after it was executed: python .ci/notebooks.py"
    assert book.metadata.get("executed") == hashlib.sha256(text.encode()).hexdigest()[:16], f"{path.name} {told}"
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell.outputs) or "03" in path.stem
    assert path.stat().st_size < 20_000 + PICTURE_BYTES
    for output in (each for cell in code for each in cell.outputs):
        assert output.output_type != "error"
        assert set(output.get("data", {})) <= KINDS
        assert len(output.get("data", {}).get("image/png", "")) < PICTURE_BYTES
    assert MACHINE.findall(path.read_text()) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path):
    book = nbformat.read(path, as_version=4)
    prose = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    assert [target for target in re.findall(r"\]\(([^)]+)\)", prose) if not (FOLDER / target).exists()] == []


def test_every_notebook_is_executed():
    text = Path(__file__).read_text()
    assert [path.stem for path in NOTEBOOKS if f'execute("{path.stem}"' not in text] == []
