"""How far an ablation has come: what counts is what its file asks for, not what was once measured."""

import dataclasses

import pytest
from noise_ablation import NOISE

import damage
from genexp.ablations.measurement_sweep import MeasurementFolder
from genexp.ablations.plan import make_plan
from genexp.ablations.status import status_of
from genexp.pool.record import SweepFolder
from genexp.runs.run_folder import RunFolder

SMALL = dataclasses.replace(NOISE, axes={axis: NOISE.axes[axis] for axis in ("eta", "width")})
NOW = make_plan(SMALL, [])
BEFORE = make_plan(dataclasses.replace(SMALL, evaluate=["metrics=[fd]", "num=50"]), [])


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "it's a folder, with=signs"


def train(folder, plan):
    """Leave a finished run for every training of a plan; returns their folders."""
    runs = SweepFolder(folder / "runs", resume=None)
    jobs = {each: runs.job_for(each.overrides) for each in plan.trainings}
    for job in jobs.values():
        job.seconds = 2.0
        RunFolder.claim(runs.path / job.folder, {"state": "finished"}).write_metrics(
            {"images_seen": 1, "values": {"fd": 1.0}}
        )
    runs.save()
    runs.release()
    return {each: (runs.path / job.folder).resolve() for each, job in jobs.items()}


def measure(folder, plan, runs, only=None):
    """Leave the values of every drawing of a plan, or of the first few."""
    measurements = MeasurementFolder(folder / "measurements", resume=None)
    for drawing in plan.drawings[:only]:
        job = measurements.job_for(drawing.overrides(plan.ablation, runs))
        job.seconds = 1.0
        place = measurements.path / job.folder / "images"
        place.mkdir(parents=True)
        (place / "metrics.json").write_text('{"values": {"fd": {"value": 1.0}}}')
    measurements.save()
    measurements.release()


def test_measurements_that_the_file_no_longer_asks_for_do_not_count(folder):
    runs = train(folder, NOW)
    assert status_of(NOW, folder).measurements == (0, 8)
    measure(folder, BEFORE, runs)
    assert status_of(BEFORE, folder).measurements == (8, 8)
    assert status_of(NOW, folder).measurements == (0, 8)
    measure(folder, NOW, runs, only=3)
    assert status_of(NOW, folder).measurements == (3, 8)
    assert status_of(NOW, folder).seconds == 4 * 2.0 + 3 * 1.0
    assert status_of(BEFORE, folder).measurements == (8, 8)


def test_trainings_count_once_and_only_those_that_are_asked_for(folder):
    train(folder, NOW)
    other = make_plan(dataclasses.replace(SMALL, seeds=[0, 3]), [])
    assert status_of(other, folder).trainings == (2, 4)
    assert status_of(NOW, folder).trainings == (4, 4)


def test_what_a_killed_command_has_not_recorded_counts_all_the_same(folder):
    runs = train(folder, NOW)
    measure(folder, NOW, runs)
    assert {job.state for job in SweepFolder(folder / "runs", resume=True).jobs} == {"waiting"}
    status = status_of(NOW, folder)
    assert (status.trainings, status.measurements) == ((4, 4), (8, 8))


def test_before_anything_is_begun_nothing_is_done(folder):
    assert status_of(NOW, folder).cells()[2:4] == ("0 of 4", "0 of 8")


@pytest.mark.parametrize("how", [*damage.ANYWHERE, *damage.shapes()])
def test_a_damaged_file_of_an_ablation_is_named_or_counts_as_not_there(how, folder):
    harm = {**damage.ANYWHERE, **damage.shapes()}[how]
    runs = train(folder, NOW)
    measure(folder, NOW, runs)
    sound = {path: path.read_bytes() for path in folder.rglob("*.json")}
    claims = folder / "claims.json"
    sound[claims] = b"{}"
    for path, content in sound.items():
        if not path.exists():
            path.write_bytes(content)
        harm(path)
        if path.name in ("sweep.json", "claims.json"):
            with pytest.raises(ValueError, match=path.name) as raised:
                status_of(NOW, folder)
            assert "\n" not in str(raised.value)
        else:
            status = status_of(NOW, folder)
            lacking = (status.trainings[0] < 4) or (status.measurements[0] < 8)
            assert lacking, path
        path.rmdir() if path.is_dir() else path.unlink()
        if path != claims:
            path.write_bytes(content)
