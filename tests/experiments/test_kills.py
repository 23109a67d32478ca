"""A run that dies inside a window and is resumed is the run that never stopped: weights, lines, best, pictures."""

import json

import pytest
from test_wandb import flat, history, records

import genexp
import tiny
from dying import INTERRUPTED, KILLED, TERMINATED, dies
from genexp.runs.evaluations import read_evaluations

# batches of 32: an evaluation at 64, 128, 192; a checkpoint on the same batches and between them; a line every 96
LENGTH = [
    "data.batch_size=32",
    "training.max_images=192",
    "training.evaluate_every=64",
    "training.checkpoint_every=32",
    "training.log_every=96",
    "data.limit=100",
]
CLASSIFIER = ["model=classifier", "model.network.widths=[8,8]"]
ADAIN = [
    "model=adain",
    "data.image_size=32",
    "training.max_images=6",
    "training.evaluate_every=2",
    "training.checkpoint_every=1",
    "training.log_every=3",
    "data.batch_size=1",
]
STYLE = ["model=style", *ADAIN[1:]]
FAMILIES = {
    "diffusion": ["model=diffusion", *tiny.SMALL["diffusion"], *LENGTH],
    "gan": ["model=gan", *tiny.SMALL["gan"], *LENGTH],
    "vae": ["model=vae", *LENGTH],
    "style": STYLE,
    "adain": ADAIN,
    "classifier": [*CLASSIFIER, *LENGTH],
}
STATE = ("state_dict", "averaged", "optimizer_states", "counters", "ImageData", "callbacks", "log_terms")
QUICK = [
    ("evaluation begun", 1),
    ("evaluation begun", 3),
    ("evaluation written", 2),
    ("after last.ckpt", 2),
    ("before last.ckpt", 2),
    ("after last.ckpt", 3),
    ("after best.ckpt", 1),
]
EVALUATION = [(f"evaluation {what}", number) for what in ("begun", "written") for number in (1, 2, 3)]
EVERY = EVALUATION + [
    (f"{side} {name}", number)
    for name, times in (("last.ckpt", 8), ("best.ckpt", 1), ("best.json", 1))
    for side in ("before", "after")
    for number in range(1, times + 1)
]


def overrides_for(family, outputs):
    common = [each for each in tiny.COMMON if family != "classifier" or not each.startswith("callbacks.")]
    return [*FAMILIES[family][:1], *common, *FAMILIES[family][1:], f"paths.outputs={outputs}"]


def rows(folder):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in folder.history()]


def files(folder, pattern):
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in folder.path.rglob(pattern)}


def require_equal(straight, resumed):
    """Everything that a run leaves is what it leaves where it was never stopped, but for the times."""
    assert rows(resumed) == rows(straight)
    assert read_evaluations(resumed) == read_evaluations(straight)
    for name in ("last", "best"):
        expected, got = (run.checkpoints / f"{name}.ckpt" for run in (straight, resumed))
        assert expected.is_file() == got.is_file()
        if expected.is_file():
            expected, got = tiny.checkpoint(straight, name), tiny.checkpoint(resumed, name)
            for part in STATE:
                assert tiny.differences(expected.get(part), got.get(part), f"{name}.{part}") == []
    assert files(resumed, "best.json") == files(straight, "best.json")
    assert files(resumed, "*.png") == files(straight, "*.png")
    assert files(resumed, "*.partial") == {}
    kept = {name: value for name, value in resumed.metrics.items() if name not in ("seconds", "images_per_second")}
    assert kept == {name: straight.metrics[name] for name in kept}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The run of a family that is never stopped, trained once."""
    made = {}

    def of(family):
        if family not in made:
            made[family] = tiny.run(overrides_for(family, tmp_path_factory.mktemp(family)))
        return made[family]

    return of


def killed_and_resumed(family, outputs, moment, number, how=KILLED):
    overrides = overrides_for(family, outputs)
    dies(overrides, moment, number, how)
    died = tiny.newest(outputs)
    resumed = tiny.run([*overrides, "resume=auto"])
    assert resumed.path == died.path
    return resumed


@pytest.mark.parametrize("family", ["diffusion", "gan"])  # the others with all windows, which are slow
def test_a_kill_in_an_evaluation_that_a_checkpoint_owes_loses_nothing(family, straight, tmp_path):
    require_equal(straight(family), killed_and_resumed(family, tmp_path, "evaluation begun", 2))


@pytest.mark.parametrize(("moment", "number"), QUICK)
def test_a_kill_in_any_window_loses_nothing(moment, number, straight, tmp_path):
    require_equal(straight("vae"), killed_and_resumed("vae", tmp_path, moment, number))


@pytest.mark.parametrize(("moment", "number"), [("evaluation begun", 2), ("after last.ckpt", 2)])
def test_an_interrupt_loses_nothing(moment, number, straight, tmp_path):
    require_equal(straight("vae"), killed_and_resumed("vae", tmp_path, moment, number, INTERRUPTED))


def test_a_run_that_is_asked_to_end_within_an_evaluation_loses_nothing(straight, tmp_path):
    """The second evaluation takes 5 steps for the grid, then 5 for what is measured."""
    require_equal(straight("diffusion"), killed_and_resumed("diffusion", tmp_path, "sampler step", 10 + 8, TERMINATED))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "moment", "number"),
    [
        (family, moment, number)
        for family in FAMILIES
        for moment, number in EVERY
        if family != "style" or "best" not in moment  # one picture that is optimised has no best
    ],
)
def test_a_kill_in_any_window_of_any_family_loses_nothing(family, moment, number, straight, tmp_path):
    require_equal(straight(family), killed_and_resumed(family, tmp_path, moment, number))


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "number"), EVALUATION)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_interrupt_of_any_evaluation_of_any_family_loses_nothing(family, moment, number, straight, tmp_path):
    require_equal(straight(family), killed_and_resumed(family, tmp_path, moment, number, INTERRUPTED))


def test_a_best_that_a_kill_kept_from_its_name_is_found_and_said(straight, tmp_path, capsys):
    dies(overrides_for("vae", tmp_path), "after last.ckpt", 3)  # the first two: the interval, and before the evaluation
    died = tiny.newest(tmp_path)
    assert not (died.checkpoints / "best.ckpt").exists()
    run = genexp.load_run(died.path)
    expected = tiny.checkpoint(died)["callbacks"]["Checkpoints"]["best"]
    assert expected["images_seen"] == 64
    assert run.checkpoint == died.last
    assert run.model.images_seen == 64
    assert "a kill kept it from becoming best.ckpt" in capsys.readouterr().err
    dies([*overrides_for("vae", tmp_path), "resume=auto"], "batch", 1)
    assert tiny.checkpoint(died, "best")["counters"]["images_seen"] == 64
    assert json.loads((died.checkpoints / "best.json").read_text()) == expected


def test_a_best_of_another_course_is_kept_under_a_name_of_its_own(tmp_path, capfd):
    """An older checkpoint is continued: what was the best since is none of the run any more."""
    overrides = overrides_for("vae", tmp_path)
    dies(overrides, "after best.json", 1)
    folder = tiny.newest(tmp_path)
    early = folder.checkpoints / "early.ckpt"
    early.write_bytes(folder.last.read_bytes())
    tiny.run([*overrides, "resume=auto"])
    later = tiny.checkpoint(folder, "best")["counters"]["images_seen"]
    assert later > 64, "the test needs a run whose best comes later"
    dies([*overrides, f"resume={early}"], "batch", 1)
    assert tiny.checkpoint(folder, f"best_at_{later}")["counters"]["images_seen"] == later
    assert "best.ckpt is of another course of the run" in capfd.readouterr().err


def test_nothing_half_written_stays_in_a_run(tmp_path):
    """What a kill leaves goes when the run is resumed, and whatever else is there when it ends."""
    overrides = overrides_for("vae", tmp_path)
    dies(overrides, "before samples_0000000064.png")
    folder = tiny.newest(tmp_path)
    names = ("run.json", "config.yaml", "overrides.yaml", "metrics.jsonl", "metrics.json")
    left = [folder.path / f".{name}.{number}.partial" for name in names for number in (1, 2)]
    for path in left:
        path.write_text("half")
    assert list(folder.samples.glob(".*.partial"))
    dies([*overrides, "resume=auto"], "batch", 1)
    assert files(folder, "*.partial") == {}
    left[0].write_text("half")
    tiny.run([*overrides, "resume=auto"])
    assert files(folder, "*.partial") == {}


def wandb_rows(folder):
    """Every row of every file that is to be uploaded; pictures by the digest of their file."""
    rows = []
    for row in map(flat, history(records(folder))):
        kept = {name: value for name, value in row.items() if not name.startswith("_") and not name.endswith(".path")}
        rows.append(sorted(kept.items()))
    return sorted(rows)


@pytest.mark.parametrize(
    ("moment", "number", "how"),
    [
        ("evaluation begun", 2, KILLED),
        pytest.param("batch", 5, INTERRUPTED, marks=pytest.mark.slow),
        pytest.param("before last.ckpt", 1, KILLED, marks=pytest.mark.slow),
    ],
)
def test_the_wandb_run_of_a_killed_run_has_every_row_once(moment, number, how, tmp_path):
    overrides = [each for each in overrides_for("vae", tmp_path / "straight") if each != "logger=none"]
    never_stopped = tiny.run(overrides)
    overrides[-1] = f"paths.outputs={tmp_path / 'killed'}"
    dies(overrides, moment, number, how)
    resumed = tiny.run([*overrides, "resume=auto"])
    assert wandb_rows(resumed) == wandb_rows(never_stopped)
    assert any("pictures" in name for row in wandb_rows(resumed) for name, _ in row)
    assert len(list(resumed.path.glob("wandb/offline-run-*"))) == 1
