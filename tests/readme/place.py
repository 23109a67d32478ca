"""A folder in which a reader types: what the pages take for granted is there, and a line is run as it stands."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from test_wandb import flat, history, records

import forking
from genexp.runs.run_folder import RunFolder, runs_under

SHORT = "training.max_images=640 training.evaluate_every=320 training.checkpoint_every=320 callbacks.evaluate.num=64"
WORDS = (
    "experiment=ldm/shapes_captions initial=shipped data.source.train_images=960 data.source.val_images=96 metrics=none"
)
WORDS += " training.max_images=32 training.evaluate_every=32 model.optimizer.lr=1e-6 callbacks.sample_grid.num=2"
QUICK = "num=1 sampler.steps=4 interpolate=0 frames=0"
QUESTION = """title: Where a VAE is drawn from
question: Does the first step matter?
experiment: vae/digits
overrides: [metrics=none, data.limit=100, training.max_images=320, training.evaluate_every=320]
variants:
  lr: {low: [model.optimizer.lr=1e-4], high: [model.optimizer.lr=1e-3]}
evaluate: ["metrics=[fd]", "num=64"]
metrics: [fd]
claims: [{claim: "fd < 1000000", source: anything is}]
scales: {cpu: {seeds: [0]}}
"""
MINE = """from genexp.evaluation.metrics.base import Value
from genexp.evaluation.metrics.frechet import FrechetDistance


class Mine(FrechetDistance):
    values = {"mine": "lower"}

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def compute(self, generated, prepared):
        return {"mine": Value(self.k * super().compute(generated, prepared)["fd"].value)}
"""


@dataclass(frozen=True)
class Done:
    """How a line ended."""

    code: int
    out: str
    err: str


class Place:
    """A working folder, with nothing set but where caches go and that there is no network."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.outputs = folder, folder / "outputs"
        self.pictures("my/images", 40)
        self.pictures("other/images", 50)
        for kind in ("cat", "dog"):
            self.pictures(f"FOLDER/{kind}", 30)
        self.pictures(".", 2)
        os.rename(folder / "0.png", folder / "photo.jpg")
        os.rename(folder / "1.png", folder / "painting.jpg")
        (folder / "my/question.yaml").write_text(QUESTION)
        (folder / "mypackage.py").write_text(MINE)
        (folder / "my/conf/extractor").mkdir(parents=True)
        mine = "_target_: genexp.evaluation.extractors.untrained.RandomFeatures\nchannels: ${data.channels}\nseed: 7\n"
        (folder / "my/conf/extractor/mine.yaml").write_text(mine)

    def pictures(self, name: str, count: int) -> None:
        """Colourful pictures of 32 pixels."""
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        draw = np.random.default_rng(len(name))
        for number in range(count):
            pixels = np.kron(draw.integers(0, 256, (8, 8, 3)), np.ones((4, 4, 1)))
            Image.fromarray(pixels.astype(np.uint8)).save(self.folder / name / f"{number}.png")

    def type(self, line: str, more: str = "", fresh: bool = False) -> Done:
        """Run a line with bash, with its words in angle brackets filled in; `more` is typed after it.

        `genexp` is then forked from a process that has imported everything, unless it shall be a fresh one.
        """
        left_out = {"GENEXP_OUTPUTS", "WANDB_MODE", "WANDB_SILENT"}
        environment = {name: value for name, value in os.environ.items() if name not in left_out}
        found = [str(Path(sys.executable).parent), os.environ["PATH"]]
        environment |= {"PATH": os.pathsep.join(found if fresh else [forking.folder_of_genexp(), *found])}
        environment |= {"GENEXP_DATA": str(self.folder / "data"), "PYTHONPATH": str(self.folder)}
        environment |= dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
        typed = f"{self.filled(line.removeprefix('uv run '))} {more}"
        done = subprocess.run(
            ["bash", "-c", typed],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def filled(self, line: str) -> str:
        """A line with real names in the place of what stands for them."""
        for pattern, name in (
            (r"outputs/quickstart/(<run>|20[\w-]+|\.\.\.)", "quickstart"),
            (r"outputs/pixelcnn_digits/<run>", "pixelcnn"),
            (r"outputs/ldm_shapes_captions/<run>", "words"),
            (r"<run folder>|<run>", "quickstart"),
        ):
            line = re.sub(pattern, lambda _, name=name: self.run(name), line)
        if "outputs/multirun" in line:
            self.sweep()
        if "<folder>" in line:
            line = line.replace("<folder>", self.sweep())
        if "marked/" in line and not (self.folder / "marked").is_dir():
            done = self.type(
                'genexp sample run=outputs/ldm_shapes_captions/<run> watermark="a secret" out=marked', QUICK
            )
            assert done.code == 0, done.err
        if "<checkpoint>" in line:
            line = line.replace("<checkpoint>", f"{self.run('quickstart')}/checkpoints/last.ckpt")
        if "<name>" in line and not (self.outputs / "ablations/question").is_dir():
            done = self.type("genexp reproduce ablation=my/question.yaml", "calibrate=false")
            assert done.code == 0, done.err
        return line.replace("<question>", "gan_stability").replace("<name>", "question")

    def run(self, name: str) -> str:
        """A run for lines that want one: `quickstart`, `pixelcnn` or `words`; trained when first asked for."""
        if not list(self.outputs.glob(f"my_{name}/*/run.json")):
            choice = {"quickstart": "", "pixelcnn": " experiment=pixelcnn/digits", "words": f" {WORDS}"}[name]
            done = self.type(f"genexp train{choice} name=my_{name}", "" if name == "words" else SHORT)
            assert done.code == 0, done.err
        return str(self.newest(f"my_{name}").path.relative_to(self.folder))

    def newest(self, name: str) -> RunFolder:
        """The run of a name that was started last."""
        return next(runs_under(self.outputs / name))

    def sweep(self) -> str:
        """A sweep of two jobs, run now if there is none."""
        if not list(self.outputs.glob("multirun/*/sweep.json")):
            done = self.type("genexp train -m model=vae seed=0,1", SHORT)
            assert done.code == 0, done.err
        return str(min(self.outputs.glob("multirun/*/sweep.json")).parent.relative_to(self.folder))

    def jobs(self) -> list[RunFolder]:
        """The runs of the newest sweep."""
        sweep = max(self.outputs.glob("multirun/*/sweep.json")).parent
        return [RunFolder.open(sweep / job["folder"]) for job in json.loads((sweep / "sweep.json").read_text())["jobs"]]


def require_whole_wandb_run(folder: RunFolder, pictures: bool = True) -> None:
    """A finished run's offline W&B run has its id, every evaluation and picture, and one end."""
    assert folder.record["state"] == "finished"
    found = records(folder)
    assert {record["run"]["run_id"] for record in found if record["type"] == "run"} == {folder.record["id"]}
    rows = [flat(item) for item in history(found)]
    assert max(float(row["images_seen"]) for row in rows) == folder.metrics["images_seen"]
    logged = set().union(*rows)
    assert {key for row in folder.history() for key in row} - {"seconds"} <= logged
    assert [record["type"] for record in found].count("exit") >= 1
    if pictures:
        assert list(folder.path.glob("wandb/offline-run-*/files/media/images/**/*.png"))
