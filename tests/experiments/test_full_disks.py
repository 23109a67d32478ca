"""Everything that writes, on a disk that is full in that moment: one line that names the file, nothing good lost."""

import contextlib
import os
import resource
import shutil
import subprocess

import pytest

import damage
import tiny
from genexp.callbacks.checkpoint import Checkpoints, load_checkpoint
from genexp.runs.run_folder import RunFolder
from genexp.tracking import journal as loggers

RECIPE = [
    *(each for each in tiny.overrides_for("vae") if not each.startswith("callbacks.sample_grid")),
    "callbacks.sample_grid.num=2",
]
FULL = ("no space left on device", "file too large")


class Disk:
    """A disk that can be filled: a small tmpfs where one can be mounted, else a limit on the size of files."""

    def __init__(self, path):
        self.path, self.ballast = path, path / "ballast"
        mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(path)]
        self.mounted = bool(shutil.which("mount")) and subprocess.run(mount, capture_output=True).returncode == 0
        self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self, by_limit=False):
        if by_limit or not self.mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, self.limits[1]))
            return
        with open(self.ballast, "ab", buffering=0) as file, contextlib.suppress(OSError):
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def empty(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)
        self.ballast.unlink(missing_ok=True)

    def close(self):
        self.empty()
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    found = Disk(place)
    yield found
    found.close()


@pytest.fixture
def filled_before(disk, monkeypatch):
    """A function by which the disk is full from the n-th call of a method on."""

    def at(owner, name, call, by_limit):
        original, calls = getattr(owner, name), []

        def full(*arguments, **options):
            calls.append(name)
            if len(calls) == call:
                disk.fill(by_limit)
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, full)

    return at


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("trained")
    tiny.run([*RECIPE, f"paths.outputs={outputs}"])
    return tiny.newest(outputs).path


def line(arguments, capsys):
    """The one line of a command that fails."""
    status, said = damage.answer(arguments, capsys)
    command = f"genexp {arguments[0]}: "
    (found,) = [each for each in said.splitlines() if each.startswith(command)]
    assert status == 1
    assert said.rstrip().endswith(found)
    assert "Traceback" not in said
    assert found.endswith(FULL)
    return found


@pytest.mark.parametrize(
    ("owner", "name", "call", "by_limit", "file"),
    [
        (Checkpoints, "_write", 3, False, "checkpoints/last.ckpt"),
        (loggers.Journal, "log_metrics", 3, True, "metrics.jsonl"),  # the file's last page has room on a full disk
        (loggers, "save_png", 4, False, "samples/"),
        (RunFolder, "write_metrics", 1, False, "metrics.json"),
    ],
)
def test_a_training_ends_in_one_line_and_goes_on_once_there_is_room(
    owner, name, call, by_limit, file, disk, filled_before, capsys, monkeypatch
):
    filled_before(owner, name, call, by_limit)
    where = disk.path / "run"
    said = line(["train", *RECIPE, f"paths.outputs={disk.path}", f"run_dir={where}"], capsys)
    assert f"{where / file}" in said
    disk.empty()
    monkeypatch.undo()
    folder = RunFolder(where)
    assert load_checkpoint(folder.last)["counters"]["images_seen"] > 0
    assert not folder.is_running
    for key in ("WANDB_MODE", "GENEXP_CACHE"):
        monkeypatch.setenv(key, os.environ[key])
    assert damage.answer(["train", f"resume={where}"], capsys)[0] == 0
    assert folder.record["state"] == "finished"
    assert not list(where.rglob("*.partial"))


def test_a_run_that_cannot_begin_leaves_nothing(disk, capsys):
    disk.fill()
    where = disk.path / "runs" / "run"
    assert f"{disk.path}" in line(["train", *RECIPE, f"paths.outputs={disk.path}", f"run_dir={where}"], capsys)
    assert not list(disk.path.rglob("run.json"))


def test_caches_on_a_full_disk_end_nothing(disk, tmp_path, capsys, monkeypatch):
    (disk.path / "cache").mkdir()
    disk.fill()
    monkeypatch.setenv("GENEXP_CACHE", str(disk.path / "cache"))
    if not disk.mounted:
        pytest.skip("a limit on the size of files holds for all disks")
    outputs = tmp_path / "outputs"
    status, _ = damage.answer(["train", *RECIPE, f"paths.outputs={outputs}"], capsys)
    assert status == 0
    assert tiny.newest(outputs).record["state"] == "finished"
    assert not [each for each in (disk.path / "cache").rglob("*") if each.is_file() and each.stat().st_size]


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["sample", "run={run}", "num=2", "out={disk}/drawn"], "drawn"),
        (["evaluate", "run={run}", "num=8", "out={disk}/measured", "wandb=false", "metrics=[kid]"], "measured"),
        (["compare", "runs={run}", "out={disk}/compared"], "compared"),
    ],
)
def test_results_that_cannot_be_written_are_told_with_their_file(arguments, file, trained, disk, tmp_path, capsys):
    run = damage.copied(trained, tmp_path / "run")
    (disk.path / file).mkdir()
    disk.fill()
    said = line([each.format(run=run, disk=disk.path) for each in arguments], capsys)
    assert f"{disk.path / file}" in said


@pytest.mark.parametrize(
    ("logger", "place", "record"),
    [
        ("wandb", "directory", "wandb"),
        ("tensorboard", "save_dir", "tensorboard"),
        ("csv", "save_dir", "csv"),
    ],
)
def test_a_run_goes_on_without_a_logger_whose_files_cannot_be_written(
    logger, place, record, disk, filled_before, tmp_path, capfd
):
    if not disk.mounted:
        pytest.skip("a limit on the size of files holds for all disks")
    filled_before(loggers.Journal, "log_metrics", 3, False)
    where = tmp_path / "run"
    own = [f"logger={logger}", f"logger.{logger}.{place}={disk.path}"]
    status, said = damage.answer(["train", *RECIPE, *own, f"run_dir={where}"], capfd)
    (lost,) = [each for each in said.splitlines() if each.startswith("not kept")]
    assert f"not kept    {disk.path}/{record}" in lost
    assert "Traceback" not in said
    assert status == 0
    folder = RunFolder(where)
    assert folder.record["state"] == "finished"
    assert folder.history()[-1]["images_seen"] == 320


def test_a_record_of_wandb_that_ends_early_is_told_and_takes_the_place_of_no_other(
    disk, filled_before, tmp_path, capfd, monkeypatch
):
    """Without pictures W&B alone writes, in a process of its own, which says nothing."""
    if not disk.mounted:
        pytest.skip("a limit on the size of files holds for all disks")
    monkeypatch.setattr("genexp.tracking.wandb_files.PATIENCE", 0.5)
    few = ["callbacks.evaluate=null", "callbacks.sample_grid=null", "training.monitor=null"]
    own = ["logger=wandb", f"logger.wandb.directory={disk.path}", f"run_dir={tmp_path / 'run'}"]
    typed = [each for each in RECIPE if not each.startswith("callbacks.")]
    assert damage.answer(["train", *typed, *few, *own], capfd)[0] == 0
    (earlier,) = disk.path.glob("wandb/offline-run-*")
    filled_before(loggers.Journal, "log_metrics", 2, False)
    status, said = damage.answer(["train", f"resume={tmp_path / 'run'}", "training.max_images=640"], capfd)
    assert status == 0
    assert f"not kept    {disk.path}/wandb (WandbRun): its file ends before the run; what follows is in" in said
    assert earlier.is_dir()
