"""What surrounds the queue: the environment of jobs, progress from journals, the table, refusals, the command line."""

import io
import json
import sys

import pytest

from genexp.commands.typed_arguments import overrides_of
from genexp.pool.display import Display, Line, chosen, table
from genexp.pool.environment import with_threads
from genexp.pool.job_progress import Progress, read_progress
from genexp.pool.record import SweepFolder
from genexp.ranks import without_ranks
from genexp.runs.run_folder import RunFolder


def test_rank_variables_are_left_out_and_nothing_else():
    names = (
        "LOCAL_RANK RANK WORLD_SIZE NODE_RANK MASTER_ADDR MASTER_PORT GENEXP_RUN_DIR TORCHELASTIC_RUN_ID "
        "SLURM_NTASKS SLURM_NTASKS_PER_NODE SLURM_PROCID SLURM_LOCALID"
    )
    ranks = dict.fromkeys(names.split(), "1")
    kept = dict.fromkeys(["HOME", "GENEXP_OUTPUTS", "SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES", "WANDB_MODE"], "1")
    assert without_ranks(ranks | kept) == kept
    assert with_threads({"A": "b"}, 3)["OMP_NUM_THREADS"] == "3"


def test_progress_is_read_from_the_end_of_a_journal(tmp_path):
    assert read_progress(tmp_path) == Progress()
    rows = [
        {"images_seen": 100, "seconds": 1.0, "train/loss": 2.0},
        {"images_seen": 300, "seconds": 2.0, "train/loss": 1.0},
        {"images_seen": 300, "seconds": 2.5, "fd/digits@0a": 30.0, "fd_floor": 1.0},
        {"images_seen": 500, "seconds": 4.0, "train/loss": 0.5, "train/learning_rate": 0.1},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"images_seen": 6')
    progress = read_progress(tmp_path)
    assert (progress.images_seen, progress.metric, progress.value) == (500, "train/loss", 0.5)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/best.json").write_text('{"metric": "fd/digits@0a", "value": 29.0, "images_seen": 300}')
    assert (read_progress(tmp_path).metric, read_progress(tmp_path).value) == ("fd/digits", 30.0)
    assert progress.images_per_second == pytest.approx(200 / 1.5)
    assert progress.seconds_left(700) == pytest.approx(1.5)
    assert Progress().seconds_left(700) is None


def line(number, state, seen=0.0):
    return Line(f"{number} seed={number}", state, 1000, Progress(seen, 50.0 if seen else None, "fd", 12.345))


def test_the_table_shows_each_job_with_its_speed_and_time_left():
    from rich.console import Console

    console = Console(width=120, file=io.StringIO())
    console.print(table([line(0, "finished", 1000), line(1, "running", 500), line(2, "waiting")]))
    lines = [" ".join(each.split()) for each in console.file.getvalue().splitlines() if "seed" in each]
    assert lines[:2] == ["0 seed=0 finished 1,000 / 1,000 fd 12.35", "1 seed=1 running 500 / 1,000 50 fd 12.35 10 s"]
    assert lines[2].startswith("2 seed=2 waiting")


def test_a_long_table_keeps_what_runs_or_failed():
    lines = [line(i, "finished") for i in range(50)] + [line(50, "failed"), line(51, "running"), line(52, "waiting")]
    names = [each.name.split()[0] for each in chosen(lines, 5)]
    assert names == ["48", "49", "50", "51", "52"]


def test_without_a_terminal_there_are_plain_lines(capsys):
    with Display(lambda: [line(0, "finished", 1000), line(1, "running", 500)], plain_every=0) as display:
        display.say("started")
        display.tick()
    assert capsys.readouterr().err == "started\n1 seed=1  running  500 / 1,000  50  fd 12.35  10 s\n"


@pytest.fixture
def sweep(tmp_path):
    SweepFolder(tmp_path, ["-m", "model=vae", "seed=0,1", "hydra.launcher.slots=2"]).release()
    return tmp_path


def test_a_sweep_is_continued_with_the_recorded_command_or_the_typed_one(sweep):
    ends = [f"hydra.sweep.dir={sweep}", "hydra.launcher.resume=true"]
    recorded = ["-m", "model=vae", "seed=0,1", "hydra.launcher.slots=2"]
    assert overrides_of("train", [f"sweep.resume={sweep}"]) == [*recorded, *ends]
    assert overrides_of("train", ["-m", f"sweep.resume={sweep}"]) == [*recorded, *ends]
    typed = ["-m", "model=gan", "seed=0,1,2"]
    assert overrides_of("train", [*typed, f"sweep.resume={sweep}"]) == [*typed, *ends]
    more = overrides_of("train", [f"sweep.resume={sweep}", "hydra.launcher.slots=1"])
    assert more == [*recorded, "hydra.launcher.slots=1", *ends]


def test_a_folder_without_a_sweep_cannot_be_continued(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"sweep\.resume must name .* sweep, got .* \(no sweep\.json"):
        overrides_of("train", [f"sweep.resume={tmp_path}"])


@pytest.fixture
def in_a_sweep(monkeypatch):
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from genexp.config.compose import compose

    def enter(launcher):
        config = compose("train", [f"hydra/launcher={launcher}"], with_hydra=True)
        config.hydra.mode = RunMode.MULTIRUN
        monkeypatch.setattr(HydraConfig.instance(), "cfg", config)

    return enter


@pytest.mark.parametrize(
    ("strategy", "devices"),
    [("ddp_fork_find_unused_parameters_true", 2), ("ddp_find_unused_parameters_true", 1), ("auto", 2), ("fsdp", -1)],
)
def test_several_processes_a_run_are_refused_where_one_process_runs_all_jobs(in_a_sweep, strategy, devices):
    from genexp.config.strategy import require_safe_strategy

    require_safe_strategy(strategy, devices)  # a single run
    in_a_sweep("basic")
    require_safe_strategy("auto", 1)
    with pytest.raises(ValueError, match="must use launcher=pool or launcher=slurm, got BasicLauncher with strategy="):
        require_safe_strategy(strategy, devices)


@pytest.mark.parametrize(
    ("override", "message"),
    [("run_dir=here", "run_dir must be null in a sweep, got here"), ("resume=auto", "resume must be null in a sweep")],
)
def test_jobs_keep_to_their_own_folders(override, message, monkeypatch, tmp_path, capsys):
    from genexp.__main__ import main

    monkeypatch.setattr(sys, "argv", ["genexp", "train", "-m", "model=vae", "seed=0,1", override])
    with pytest.raises(SystemExit):
        main(sys.argv[1:])
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("sweep.json"))


def test_a_damaged_record_is_named(sweep):
    (sweep / "sweep.json").write_text('{"id": "x", "jo')
    with pytest.raises(ValueError, match=r"sweep.json of the sweep .* cannot be read"):
        SweepFolder(sweep, resume=True)
    assert not list(RunFolder(sweep).history())
