"""The one record of a value: `evaluations.jsonl`, of training and of `genexp evaluate`."""

import json

import pytest
from stored_runs import FD, PROTOCOL, write_run

from genexp.runs.evaluations import (
    EVALUATE,
    EVALUATIONS,
    TRAINING,
    keep_evaluations,
    newest_of_training,
    read_evaluations,
    rewind_evaluations,
)
from genexp.runs.measurements import measurements
from genexp.runs.run_folder import DamagedRun, RunFolder
from genexp.runs.stored import read_run

NEW = "sharpness/features@01234567"


@pytest.fixture
def folder(tmp_path):
    return RunFolder(write_run(tmp_path, "a", {FD: 3.0, NEW: 0.5}, state="interrupted"))


def keep(folder, value, source=TRAINING, images_seen=1000, **more):
    record = {"value": value, "better": "higher", "error": 0.1, "protocol": PROTOCOL | more}
    keep_evaluations(folder, {NEW: record}, source, {"images_seen": images_seen})


def values(folder):
    return [(row["source"], row["images_seen"], row["value"]) for row in read_evaluations(folder)]


def test_what_is_measured_again_in_the_same_way_counts_once_and_in_another_way_beside_it(folder):
    for value in (1.0, 2.0):
        keep(folder, value)
    keep(folder, 3.0, EVALUATE)
    keep(folder, 4.0, EVALUATE, seed=1)
    assert values(folder) == [(TRAINING, 1000, 2.0), (EVALUATE, 1000, 3.0), (EVALUATE, 1000, 4.0)]
    assert newest_of_training(read_evaluations(folder))[NEW]["value"] == 2.0


def test_a_metric_that_no_table_knows_has_its_direction_and_protocol_while_the_run_goes_on(folder):
    keep(folder, 0.5)
    (found,) = [each for each in measurements(read_run(folder.path)) if each.key == NEW]
    assert (found.better, found.error, found.protocol, found.source) == ("higher", 0.1, PROTOCOL, TRAINING)


def test_a_rewound_run_forgets_its_own_values_beyond_the_checkpoint_alone(folder):
    for images_seen in (100, 200, 300):
        keep(folder, float(images_seen), images_seen=images_seen)
    keep(folder, 7.0, EVALUATE, images_seen=300)
    rewind_evaluations(folder, lambda images_seen: images_seen <= 200)
    assert values(folder) == [(TRAINING, 100, 100.0), (TRAINING, 200, 200.0), (EVALUATE, 300, 7.0)]


def test_a_line_that_a_kill_has_torn_is_no_value_and_harms_none_after_it(folder):
    keep(folder, 1.0)
    with open(folder.path / EVALUATIONS, "a") as file:
        file.write('{"key": "fd", "val')
    assert values(folder) == [(TRAINING, 1000, 1.0)]
    keep(folder, 2.0, EVALUATE)
    assert values(folder) == [(TRAINING, 1000, 1.0), (EVALUATE, 1000, 2.0)]


@pytest.mark.parametrize("line", ["[]", "{", '{"key": 3, "value": 1.0}', '{"key": "fd", "value": "text"}', "null"])
def test_any_other_damage_is_told_with_its_line_and_nothing_is_dropped(folder, line):
    keep(folder, 1.0)
    before = (folder.path / EVALUATIONS).read_text()
    (folder.path / EVALUATIONS).write_text(before + line + "\n" + before)
    for read in (read_evaluations, lambda folder: rewind_evaluations(folder, bool)):
        with pytest.raises(DamagedRun, match=r"line 2 of evaluations\.jsonl of the run "):
            read(folder)
    assert json.loads((folder.path / EVALUATIONS).read_text().splitlines()[2])["value"] == 1.0
