"""Every file of a run, every damage, every command: one line that names the file, or success where it is not needed."""

import json
import re
import shutil
from types import SimpleNamespace

import pytest

import damage
import tiny
from genexp.__main__ import main
from genexp.runs.records import DamagedRun, require_readable
from genexp.runs.run_folder import RunFolder, newest_unfinished
from genexp.training.closing import close_run

RECORDS = {
    "run.json": damage.shapes()
    | {
        "no id": damage.of_json(lambda record: record.pop("id") and None),
        "a number for an id": damage.of_json(lambda record: record.update(id=3)),
        "a text for choices": damage.of_json(lambda record: record.update(choices="x")),
        "an unknown state": damage.of_json(lambda record: record.update(state=float("nan"))),
        "a huge count": damage.of_json(lambda record: record.update(resumed=10**400)),
        "a key twice": damage.of_text(damage.repeat_a_key),
    },
    "config.yaml": damage.shapes()
    | {
        "no model": damage.of_yaml(lambda config: config.pop("model") and None),
        "a text for a model": damage.of_yaml(lambda config: config.update(model="text")),
        "no class of a model": damage.of_yaml(lambda config: config["model"].pop("_target_") and None),
        "no sampler": damage.of_yaml(lambda config: config.pop("sampler") and None),
        "a text for a seed": damage.of_yaml(lambda config: config.update(seed="abc")),
        "NaN for a seed": damage.of_yaml(lambda config: config.update(seed=float("nan"))),
        "no precision": damage.of_yaml(lambda config: config["trainer"].pop("precision") and None),
        "a list of paths": damage.of_yaml(lambda config: config.update(paths=["outputs"])),
        "a huge number of threads": damage.of_yaml(lambda config: config.update(threads=10**400)),
        "a key twice": damage.of_text(lambda text: text + "\nmodel: {}\n"),
    },
    "overrides.yaml": damage.shapes()
    | {
        "a mapping": damage.of_text(lambda _: "a: b\n"),
        "numbers": damage.of_text(lambda _: "- 3\n- .nan\n"),
        "one line less": damage.of_text(lambda text: text.partition("\n")[2]),
    },
    "metrics.jsonl": {
        "a list in a line": damage.of_text(lambda text: "[]\n" + text),
        "a number in a line": damage.of_text(lambda text: "3\n" + text),
        "no images_seen": damage.of_text(lambda text: '{"seconds": 1.0}\n' + text),
        "a text for images_seen": damage.of_text(lambda text: '{"images_seen": "3"}\n' + text),
        "a text for a value": damage.of_text(lambda text: '{"images_seen": 0, "fd": "text"}\n' + text),
        "NaN for images_seen": damage.of_text(lambda text: '{"images_seen": NaN}\n' + text),
        "a huge images_seen": damage.of_text(lambda text: f'{{"images_seen": {10**400}}}\n' + text),
        "a line cut": damage.of_text(lambda text: text.partition("\n")[0][:20] + "\n" + text),
        "a line twice": damage.of_text(lambda text: text.partition("\n")[0] + "\n" + text),
        "a key twice": damage.of_text(lambda text: '{"images_seen": 0, "images_seen": 1}\n' + text),
    },
    "metrics.json": damage.shapes()
    | {
        "a list of values": damage.of_json(lambda metrics: metrics.update(values=[])),
        "a text for a value": damage.of_json(lambda metrics: metrics.update(values={"fd": "text"})),
        "NaN for images_seen": damage.of_json(lambda metrics: metrics.update(images_seen=float("nan"))),
        "a huge images_seen": damage.of_json(lambda metrics: metrics.update(images_seen=10**400)),
        "a number for a protocol": damage.of_json(lambda metrics: metrics.update(protocols={"fd": 3})),
        "an evaluation without a key": damage.of_json(lambda metrics: metrics.update(evaluations=[{"value": 1.0}])),
        "a best without a value": damage.of_json(lambda metrics: metrics["best"].pop("value") and None),
        "a key twice": damage.of_text(damage.repeat_a_key),
    },
    "checkpoints/best.json": damage.shapes()
    | {
        "no metric": damage.of_json(lambda best: best.pop("metric") and None),
        "a text for a value": damage.of_json(lambda best: best.update(value="text")),
        "NaN for a value": damage.of_json(lambda best: best.update(value=float("nan"))),
        "a huge images_seen": damage.of_json(lambda best: best.update(images_seen=10**400)),
        "a key twice": damage.of_text(damage.repeat_a_key),
    },
}
CHECKPOINT = {
    "a list at the top": damage.of_archive(lambda checkpoint: [1]),
    "no counters": damage.of_archive(lambda checkpoint: checkpoint.pop("counters") and None),
    "no weights": damage.of_archive(lambda checkpoint: checkpoint.pop("state_dict") and None),
    "a text for counters": damage.of_archive(lambda checkpoint: checkpoint.update(counters="text")),
    "no images_seen": damage.of_archive(lambda checkpoint: checkpoint["counters"].pop("images_seen") and None),
    "NaN for images_seen": damage.of_archive(lambda c: c["counters"].update(images_seen=float("nan"))),
    "a tensor missing": damage.of_archive(lambda c: c["state_dict"].popitem() and None),
    "a tensor of another shape": damage.of_archive(
        lambda c: c["state_dict"].update({next(iter(c["state_dict"])): next(iter(c["state_dict"].values()))[:1]})
    ),
    "a number for a tensor": damage.of_archive(lambda c: c["state_dict"].update({next(iter(c["state_dict"])): 3})),
    "one bit": damage.flip_a_bit,
}
FILES = RECORDS | {"checkpoints/last.ckpt": CHECKPOINT, "checkpoints/best.ckpt": CHECKPOINT}
UNREAD = {"evaluations/other/metrics.json", "samples/other/sample.json"}
SOUND = {  # what is no damage after all: an empty journal, and a torn last line, are of a kill
    ("metrics.jsonl", damage.EMPTY),
    ("metrics.jsonl", damage.CUT),
    *(("train", "checkpoints/best.ckpt", how) for how in CHECKPOINT if "tensor" in how),
    ("compare", "run.json", "no id"),  # the folder's name stands in for it
}
OPENED = {"run.json", "config.yaml", "overrides.yaml", "metrics.json"}
NEEDED = {
    "sample": {*OPENED, "checkpoints/best.ckpt"},
    "evaluate": {*OPENED, "checkpoints/best.ckpt"},
    "compare": {*OPENED, "metrics.jsonl"},
    "train": {*RECORDS, "checkpoints/last.ckpt", "checkpoints/best.ckpt"},
}
TRAINED = [
    *(each for each in tiny.overrides_for("vae") if not each.startswith("callbacks.sample_grid")),
    "callbacks.sample_grid=null",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run that was typed as a user types it."""
    outputs = tmp_path_factory.mktemp("trained")
    main(["train", *TRAINED, f"paths.outputs={outputs}"])
    return tiny.newest(outputs).path


@pytest.fixture
def broken(trained, tmp_path):
    """A function that copies the run and damages a file of the copy."""

    def break_it(name, harm):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        run = damage.copied(trained, tmp_path / "run")
        for each in UNREAD:
            (run / each).parent.mkdir(parents=True)
            (run / each).write_text('{"values": {}}')
        harm(run / name)
        return run

    return break_it


def cells(name):
    return {**damage.ANYWHERE, **FILES.get(name, damage.shapes())}


def arguments(command, run, tmp_path):
    return {
        "sample": ["sample", f"run={run}", "num=2", "interpolate=0", "frames=0", f"out={tmp_path / 'drawn'}"],
        "evaluate": ["evaluate", f"run={run}", "num=4", "grid=0", "pictures=0", "wandb=false", "metrics=[kid]"],
        "compare": ["compare", f"runs={run}", f"out={tmp_path / 'compared'}", "page=false"],
        "train": ["train", f"resume={run}", "training.max_images=384", f"paths.outputs={tmp_path / 'outputs'}"],
    }[command]


EVERY = [(command, name) for command in NEEDED for name in [*FILES, *sorted(UNREAD)]]
FEW = (damage.EMPTY, "a list at the top", "one bit", "a line twice")
"""Damages with which every command meets every file by default; the rest of the table is slow."""


@pytest.mark.parametrize(("command", "name"), EVERY)
def test_a_damaged_file_is_told_in_one_line_or_not_needed(command, name, broken, tmp_path, capsys):
    chosen = {how: harm for how, harm in cells(name).items() if how in FEW}
    wrong = answers(command, name, chosen, broken, tmp_path, capsys)
    assert not wrong, json.dumps(wrong, indent=1)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "name"), EVERY)
def test_every_other_damage_is_told_alike(command, name, broken, tmp_path, capsys):
    chosen = {how: harm for how, harm in cells(name).items() if how not in FEW}
    wrong = answers(command, name, chosen, broken, tmp_path, capsys)
    assert not wrong, json.dumps(wrong, indent=1)


def answers(command, name, chosen, broken, tmp_path, capsys):
    """What is wrong with a command's answers to damages of one file, by damage."""
    wrong = {}
    for how, harm in chosen.items():
        run = broken(name, harm)
        before = damage.fingerprint(run)
        sound = (name, how) in SOUND or (command, name, how) in SOUND
        sound = sound and (command, name) != ("train", "metrics.jsonl")  # what lies behind a checkpoint must be there
        refused = name in NEEDED[command] and not sound
        try:
            status, said = damage.answer(arguments(command, run, tmp_path), capsys)
        except Exception as error:
            wrong[how] = [f"traceback of {type(error).__name__}: {' '.join(str(error).split())[:200]}"]
            continue
        changed = refused and damage.fingerprint(run) != before
        found = damage.faults(status, said, [name.rpartition("/")[2], str(run / name)], refused, changed, command)
        wrong |= {how: found} if found else {}
    return wrong


def test_every_reader_refuses_every_damage(broken):
    """All damages of all records, without a command around them; the commands above call the same readers."""
    for name in RECORDS:
        for how, harm in cells(name).items():
            run = broken(name, harm)
            if (name, how) in SOUND:
                require_readable(run)
                continue
            with pytest.raises(DamagedRun, match=re.escape(name.rpartition("/")[2])) as raised:
                require_readable(run)
            assert "\n" not in str(raised.value), (name, how)


def test_commands_that_read_no_run_pass_by_a_damaged_one(broken, tmp_path, capsys, monkeypatch):
    run = broken("run.json", damage.ANYWHERE[damage.EMPTY])
    for name in FILES:
        damage.ANYWHERE[damage.EMPTY](run / name)
    monkeypatch.chdir(run)
    before = damage.fingerprint(run)
    for command in (["info"], ["validate", "model=vae"]):
        assert damage.answer(command, capsys)[0] == 0
    assert damage.fingerprint(run) == before


@pytest.mark.parametrize("how", [how for how in damage.ANYWHERE if "link" not in how])  # such a name is no run
def test_resume_auto_passes_over_a_damaged_run_and_says_so(how, tmp_path, capsys):
    run = tmp_path / "runs" / "run"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"id": "a", "name": "x", "config_digest": "d", "state": "running"}')
    damage.ANYWHERE[how](run / "run.json")
    assert newest_unfinished(tmp_path, lambda folder: True) is None
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"passed over run.json of the run {run}")


def test_a_comparison_names_the_damaged_run_among_others(broken, trained, tmp_path, capsys):
    run = broken("config.yaml", damage.ANYWHERE[damage.CUT])
    shutil.copytree(trained, tmp_path / "sound")
    typed = ["compare", f"runs=[{run},{tmp_path / 'sound'}]", f"out={tmp_path / 'compared'}", "page=false"]
    capsys.readouterr()
    assert main(typed) in (None, 0)
    shown = capsys.readouterr()
    assert "config.yaml" in " ".join((shown.out + shown.err).split())


@pytest.mark.parametrize("how", [*damage.ANYWHERE, *damage.shapes()])
@pytest.mark.parametrize("name", ["metrics.json", "checkpoints/best.json"])
def test_a_run_that_is_closed_tells_what_was_damaged_meanwhile(name, how, broken):
    run = broken(name, cells(name)[how])
    experiment = SimpleNamespace(model=SimpleNamespace(images_seen=1, batches=1, steps={}), callbacks={}, loggers={})
    with pytest.raises(DamagedRun, match=re.escape(name.rpartition("/")[2])) as raised:
        close_run(RunFolder(run), experiment, 1.0)
    assert "\n" not in str(raised.value)
