"""Rows, columns and the best of a comparison, on run folders whose values are known."""

import importlib
import math
import pkgutil

import pytest
from stored_runs import FD, PROTOCOL, evaluation, write_run

from genexp.reports.columns import MixedProtocols
from genexp.reports.comparison import compare_runs
from genexp.reports.exports import as_csv, as_latex, as_markdown
from genexp.reports.formatting import brief_texts, row_names, short_names, text_table
from genexp.reports.selection import without_debug_and_failed
from genexp.runs.directions import METRICS, direction
from genexp.runs.find import find_run_folders
from genexp.runs.markup import digest_text
from genexp.runs.run_folder import RunFolder
from genexp.runs.stored import LEFT_OUT, read_run, read_runs


def compared(folder, **options):
    runs, damaged = read_runs(find_run_folders([str(folder)]))
    return compare_runs(runs, damaged, **options)


def keys(comparison):
    return [each.key for each in comparison.settings]


def test_seeds_become_mean_standard_deviation_and_count(tmp_path):
    for seed, value in enumerate((1.0, 2.0, 6.0)):
        write_run(tmp_path, f"a{seed}", {FD: value}, seed=seed)
    write_run(tmp_path, "b", {FD: 5.0}, model__width=32)
    comparison = compared(tmp_path)
    first, second = comparison.rows
    assert (first.cells[0].mean, first.cells[0].n) == (3.0, 3)
    assert first.cells[0].std == pytest.approx(math.sqrt(7))
    assert (second.cells[0].mean, second.cells[0].std, second.cells[0].n) == (5.0, None, 1)
    assert keys(comparison) == ["model.width"]
    assert len(compared(tmp_path, by=[]).rows) == 4


def test_keys_that_only_place_or_name_a_run_do_not_separate_it(tmp_path):
    write_run(tmp_path, "a", {FD: 1.0}, seed=0, threads=1, name="one")
    write_run(tmp_path, "b", {FD: 2.0}, seed=1, threads=2, name="other")
    comparison = compared(tmp_path)
    assert len(comparison.rows) == 1
    assert comparison.settings == []


def test_what_the_identity_of_a_run_leaves_out_is_left_out_here_too():
    from genexp.config.keys import VOLATILE

    assert set(VOLATILE) <= set(LEFT_OUT)


def test_a_key_follows_the_typed_one_that_it_changes_with(tmp_path):
    write_run(tmp_path, "a", {FD: 1.0}, training__max_images=1000, typed=("training.max_images",))
    write_run(tmp_path, "b", {FD: 2.0}, training__max_images=2000)
    comparison = compared(tmp_path)
    assert [(each.key, each.followers) for each in comparison.settings] == [
        ("training.max_images", ["callbacks.stop.images"])
    ]


def test_two_typed_keys_keep_their_columns_though_they_change_together(tmp_path):
    typed = ("model.width", "model.lr")
    write_run(tmp_path, "a", {FD: 1.0}, model__width=16, model__lr=0.1, typed=typed)
    write_run(tmp_path, "b", {FD: 2.0}, model__width=32, model__lr=0.2, typed=typed)
    assert keys(compared(tmp_path)) == ["model.lr", "model.width"]


def test_settings_below_a_chosen_group_follow_its_choice(tmp_path):
    for name, choice, size in (("a", "digits", 8), ("b", "shapes", 32), ("c", "faces", 32)):
        write_run(tmp_path, name, {FD: 1.0}, choices={"data": choice}, data__size=size)
    (found,) = compared(tmp_path).settings
    assert (found.key, found.followers) == ("data", ["data.size"])


def test_one_and_one_point_zero_are_one_setting(tmp_path):
    write_run(tmp_path, "a", {FD: 1.0}, model__lr=1, seed=0)
    write_run(tmp_path, "b", {FD: 1.0}, model__lr=1.0, seed=1)
    assert len(compared(tmp_path).rows) == 1


def test_a_repeated_seed_counts_once_and_is_said(tmp_path):
    write_run(tmp_path, "a-old", {FD: 1.0})
    write_run(tmp_path, "b-new", {FD: 3.0})
    comparison = compared(tmp_path)
    (row,) = comparison.rows
    assert (row.cells[0].mean, row.cells[0].n) == (3.0, 1)
    assert comparison.notes == ["1 finished run repeats a seed of another; the newest counts"]


def test_the_best_row_follows_the_direction_of_each_value(tmp_path):
    more = {"precision/features@01234567": 0.5, FD: 1.0, "authenticity/features@01234567": 0.9}
    less = {"precision/features@01234567": 0.4, FD: 3.0, "authenticity/features@01234567": 0.6}
    floor = {"authenticity_floor/features@01234567": 0.5}
    write_run(tmp_path, "a", more | floor, model__width=1)
    write_run(tmp_path, "b", less | floor, model__width=2)
    comparison = compared(tmp_path, metrics=["fd", "precision", "authenticity"], sort="model.width")
    assert [sorted(row.best) for row in comparison.rows] == [[0, 1], [2]]
    assert [each.better for each in comparison.columns] == ["lower", "higher", "reference"]
    assert comparison.columns[2].floors == (0.5, 0.5)


def test_directions_of_earlier_runs_agree_with_the_metrics_themselves():
    import genexp.evaluation.metrics as package

    declared = {"fid": "lower"}
    for module in pkgutil.iter_modules(package.__path__):
        for found in vars(importlib.import_module(f"{package.__name__}.{module.name}")).values():
            if isinstance(found, type) and isinstance(vars(found).get("values"), dict):
                declared |= found.values
    assert METRICS.items() <= declared.items()


def test_the_direction_of_a_monitored_term_is_that_of_the_configuration():
    assert direction("val/score", None, {"val/score": "max"}) == "higher"
    assert direction("val/loss", None, {}) == "lower"
    assert direction("val/unheard_of", None, {}) is None


def test_unfinished_runs_stand_apart_with_their_state_and_are_never_best(tmp_path):
    write_run(tmp_path, "a", {"val/loss": 3.0}, seed=0)
    write_run(tmp_path, "b", {"val/loss": 5.0}, seed=1, model__width=32)
    write_run(tmp_path, "c", {"val/loss": 1.0, FD: 0.5}, seed=1, state="interrupted")
    comparison = compared(tmp_path, metrics=["val/loss"])
    headers, rows, _ = text_table(comparison)
    assert [row[headers.index("state")] for row in rows] == ["finished", "finished", "interrupted"]
    assert [bool(row.best) for row in comparison.rows] == [True, False, False]
    assert comparison.rows[2].cells[0].mean == 1.0


def test_a_value_without_a_protocol_stays_out_of_a_column_that_has_one(tmp_path):
    write_run(tmp_path, "a", {FD: 3.0})
    write_run(tmp_path, "b", {FD: 1.0}, state="running", seed=1)
    comparison = compared(tmp_path)
    assert [len(row.cells) for row in comparison.rows] == [1, 0]
    assert "left out without a recorded protocol: 1 " in comparison.notes[0]


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("run.json", "{", "run.json cannot be read"),
        ("run.json", "[]", "run.json must be as genexp writes it: it must be an object, got []"),
        ("config.yaml", "a: [", "config.yaml cannot be read"),
        ("config.yaml", "only text", "it must be an object, got 'only text'"),
        ("config.yaml", None, "config.yaml cannot be read"),
        ("run.json", None, "run.json cannot be read"),
        ("metrics.json", '{"values"', "metrics.json cannot be read"),
        ("run.json", '{"choices": ["a"]}', "run.json must be as genexp writes it: choices: it must be an object"),
        ("metrics.json", '{"images_seen": 1, "values": [1]}', "values: it must be an object, got [1]"),
        ("metrics.json", '{"images_seen": 1, "protocols": {"fd": 3}}', "protocols.fd: it must be an object, got 3"),
        ("metrics.json", '{"images_seen": 1, "evaluations": [{"value": 1.0}]}', "evaluations.0.key: it is missing"),
        (
            "metrics.jsonl",
            'x\n{"images_seen": 1}\n',
            "in every line but a torn last one, and no line twice, got another in line 1 of 2",
        ),
    ],
)
def test_a_damaged_run_is_listed_and_the_others_compared(tmp_path, file, content, reason):
    write_run(tmp_path, "good", {FD: 1.0})
    broken = write_run(tmp_path, "broken", {FD: 2.0})
    (broken / file).unlink()
    if content is not None:
        (broken / file).write_text(content)
    comparison = compared(tmp_path)
    (damaged,) = comparison.damaged
    assert damaged.path == broken.resolve()
    assert reason in damaged.reason
    assert len(comparison.rows) == 1


def test_a_torn_last_line_of_the_log_is_no_damage(tmp_path):
    folder = write_run(tmp_path, "a", {FD: 1.0})
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"images_seen": 20')
    comparison = compared(tmp_path)
    assert not comparison.damaged
    assert len(comparison.runs[0].history) == 1


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [("n_generated", 9, "9"), ("resize", "pil_clean", "pil_clean"), ("reference_digest", "0" * 64, "00000000")],
)
def test_two_protocols_in_one_column_are_refused_with_the_field(tmp_path, field, value, told):
    write_run(tmp_path, "a", {FD: 1.0})
    write_run(tmp_path, "b", {FD: 2.0}, model__width=32, protocol=PROTOCOL | {field: value})
    with pytest.raises(MixedProtocols, match=rf"{field} is .* for study/a and .* for study/b; protocols=split"):
        compared(tmp_path, split=False)
    comparison = compared(tmp_path)
    assert comparison.notes == [
        f"{FD}: measured in 2 ways, a column each, not to be compared: "
        f"{field}={digest_text(PROTOCOL[field])} (1 run); {field}={told} (1 run)"
    ]
    assert len(comparison.columns) == 2
    assert comparison.columns[1].name == f"{FD} [{field}={told}]"
    assert [len(row.cells) for row in comparison.rows] == [1, 1]


def test_noise_seed_weights_and_sampler_may_differ(tmp_path):
    changes = {"seed": 3, "weights": "raw", "sampler": "DDPM(steps=1000)"}
    write_run(tmp_path, "a", {FD: 1.0})
    write_run(tmp_path, "b", {FD: 2.0}, model__width=32, protocol=PROTOCOL | changes)
    assert len(compared(tmp_path).columns) == 1


def test_several_samplers_of_one_run_are_several_rows(tmp_path):
    measured = (evaluation(3.0), evaluation(2.0, sampler="DDIM(steps=50)"))
    write_run(tmp_path, "a", {FD: 9.0}, evaluations=measured)
    comparison = compared(tmp_path)
    assert [row.cells[0].mean for row in comparison.rows] == [2.0, 3.0]
    assert keys(comparison) == ["evaluation.sampler"]
    assert comparison.columns[0].column.source == "evaluate"


def test_a_value_of_the_model_stands_in_the_row_of_its_run(tmp_path):
    """No image is drawn for a likelihood: it has no sampler, and must not make a row of its own."""
    model = {"key": "bits/images@1", "value": 1.5, "better": "lower", "source": "evaluate"}
    drawn = evaluation(2.0)
    for name, weights in (("a", "averaged"), ("b", "raw")):
        own = {"protocol": drawn["protocol"] | {"metric": "bits", "sampler": "none", "weights": weights}}
        write_run(tmp_path, name, {FD: 1.0}, model__width=ord(name), evaluations=(drawn, model | own))
    rows = compared(tmp_path, metrics=["fd", "bits"], source="evaluate").rows
    cells = sorted((row.runs, sorted(row.cells)) for row in rows)
    assert cells == [([0], [0, 1]), ([1], [0]), ([1], [1])], "the likelihood of b is of other weights than its images"


def test_names_are_whole_in_files_and_cut_on_a_screen(tmp_path):
    for name in ("a", "b"):
        write_run(tmp_path, name, {FD: 1.0}, model__text=name * 100)
    comparison = compared(tmp_path)
    assert row_names(comparison).rows == [f"text={name * 100}" for name in "ab"]
    assert all(f"text={name * 100}" in text(comparison) for name in "ab" for text in (as_markdown, as_csv, as_latex))
    assert row_names(comparison, 48).rows == [f"text={name * 47}…" for name in "ab"]


def test_noise_seeds_of_one_checkpoint_are_averaged_within_the_run(tmp_path):
    measured = (evaluation(1.0), evaluation(2.0, seed=1), evaluation(50.0, images_seen=10, time="2025-01-01"))
    write_run(tmp_path, "a", {FD: 9.0}, evaluations=measured)
    (row,) = compared(tmp_path).rows
    assert (row.cells[0].mean, row.cells[0].n) == (1.5, 1)


def test_values_of_two_sources_never_share_a_column(tmp_path):
    write_run(tmp_path, "a", {FD: 9.0}, evaluations=(evaluation(1.0, n_generated=7),))
    write_run(tmp_path, "b", {FD: 8.0}, model__width=32)
    comparison = compared(tmp_path)
    assert [row.cells[0].mean for row in comparison.rows] == [8.0, 9.0]
    assert "1 of 2 runs also have values of genexp evaluate" in comparison.notes[0]
    assert [row.cells[0].mean for row in compared(tmp_path, source="evaluate").rows if row.cells] == [1.0]


def test_rows_sort_by_values_and_settings_both_ways(tmp_path):
    for width, value in ((8, 2.0), (16, 1.0), (128, 3.0)):
        write_run(tmp_path, f"w{width}", {FD: value}, model__width=width)

    def order(sort):
        return [row.settings["model.width"] for row in compared(tmp_path, sort=sort).rows]

    assert order(None) == order("fd") == [16, 8, 128]
    assert order("-fd") == [128, 8, 16]
    assert order("model.width") == [8, 16, 128]
    with pytest.raises(ValueError, match=r"sort must be a column .* got nothing"):
        order("nothing")


def test_names_that_no_run_knows_are_refused(tmp_path):
    write_run(tmp_path, "a", {FD: 1.0})
    with pytest.raises(ValueError, match=rf"metrics must name values of these runs \({FD}\), got kid"):
        compared(tmp_path, metrics=["kid"])
    with pytest.raises(ValueError, match=r"settings must be keys of these configurations, got model\.depth"):
        compared(tmp_path, settings=["model.depth"])
    with pytest.raises(ValueError, match="by must be keys of these configurations, got sead"):
        compared(tmp_path, by=["sead"])
    with pytest.raises(FileNotFoundError, match="runs must name folders that exist"):
        find_run_folders([str(tmp_path / "none*")])


def test_runs_are_found_by_folder_and_by_pattern_and_once(tmp_path):
    one, other = write_run(tmp_path, "a1"), write_run(tmp_path, "b1")
    (one / "checkpoints/inner").mkdir()
    write_run(one / "evaluations", "nested")
    for patterns in (
        [tmp_path],
        [f"{tmp_path}/**"],
        [f"{tmp_path}/study/*"],
        [one, other, tmp_path],
        [one / "run.json", other],
    ):
        assert find_run_folders(map(str, patterns)) == [one.resolve(), other.resolve()]
    assert find_run_folders([f"{tmp_path}/**/a*"]) == [one.resolve()]


def test_rows_are_named_by_the_fewest_settings_that_set_them_apart(tmp_path):
    write_run(tmp_path, "a", {FD: 1.0}, model__width=16, model__lr=0.1, typed=("model.width", "model.lr"))
    write_run(tmp_path, "b", {FD: 2.0}, model__width=32, model__lr=0.2)
    assert row_names(compared(tmp_path)).rows == ["lr=0.1", "lr=0.2"]
    assert short_names(["model.lr", "critic.lr", "a.width"]) == {
        "model.lr": "model.lr",
        "critic.lr": "critic.lr",
        "a.width": "width",
    }


def test_the_way_that_most_runs_were_measured_in_comes_first_and_fields_that_follow_are_not_repeated(tmp_path):
    other = PROTOCOL | {"n_generated": 7, "resize": "pil_clean", "reference_digest": "0" * 64}
    write_run(tmp_path, "a", {FD: 1.0}, protocol=other)
    for width in (32, 64):
        write_run(tmp_path, f"b{width}", {FD: 2.0}, model__width=width)
    comparison = compared(tmp_path)
    first, second = (each.name for each in comparison.columns)
    assert (first, second) == (f"{FD} [n_generated=500]", f"{FD} [n_generated=7]")
    assert [row.settings["model.width"] for row in comparison.rows] == [32, 64, 16]


def test_debug_and_failed_runs_are_left_out_unless_asked_for(tmp_path):
    good = write_run(tmp_path, "good", {FD: 1.0}, choices={"debug": "None"})
    stopped = write_run(tmp_path, "stopped", {FD: 1.0}, state="interrupted")
    debug = write_run(tmp_path, "debug", {FD: 1.0}, choices={"debug": "fast"})
    failed = write_run(tmp_path, "failed", {FD: 1.0}, state="failed")
    both = write_run(tmp_path, "both", {FD: 1.0}, choices={"debug": "fast"}, state="failed")
    runs, _ = read_runs(find_run_folders([str(tmp_path)]))

    def kept(*include, named=()):
        found, said = without_debug_and_failed(runs, include, named)
        return {run.id for run in found}, said

    assert kept() == (
        {good.name, stopped.name},
        "left out: 2 debug runs and 1 failed run; include=[debug,failed] takes them",
    )
    assert kept("debug") == (
        {good.name, stopped.name, debug.name},
        "left out: 2 failed runs; include=[debug,failed] takes them",
    )
    assert kept("debug", "failed") == ({run.id for run in runs}, None)
    assert both.name in kept(named=[both.resolve()])[0]
    assert failed.name not in kept(named=[both.resolve()])[0]
    with pytest.raises(ValueError, match="include must hold some of debug, failed, got all"):
        kept("all")
    runs = [run for run in runs if run.id == "debug"]
    with pytest.raises(ValueError, match=r"not left out, got 1 debug run; include=\[debug\] takes them"):
        kept()


def test_values_come_before_settings_and_a_terminal_gets_six_of_these(tmp_path):
    typed = tuple(f"model.s{n}" for n in range(12))
    for run in range(3):
        settings = {f"model__s{n}": int(run == n % 3) for n in range(12)}
        write_run(tmp_path, f"r{run}", {FD: 1.0 + run}, typed=typed, **settings)
    comparison = compared(tmp_path)
    headers, rows, left = text_table(comparison, most=6)
    assert [row[0] for row in rows] == ["s0=1, s1=0", "s0=0, s1=1", "s0=0, s1=0"]
    assert headers[:4] == ["runs", f"{FD} ↓", "n", "state"]
    assert len(headers[4:]) == 6
    assert {*headers[4:], *left} == set(typed) - {"model.s0", "model.s1"}
    assert text_table(comparison)[2] == []


def test_names_hold_the_ends_of_paths(tmp_path):
    assert brief_texts(["/home/me/birds/train", "/home/me/cats/train", "/data/fish"]) == {
        "/home/me/birds/train": "birds/train",
        "/home/me/cats/train": "cats/train",
        "/data/fish": "fish",
    }
    assert brief_texts(['["/home/me/x.jpg", 3]']) == {'["/home/me/x.jpg", 3]': '["x.jpg", 3]'}
    assert brief_texts(["a/b", "3/4", "https://a.org/b/c", "<data>/images"]) == {
        each: each for each in ("a/b", "3/4", "https://a.org/b/c", "<data>/images")
    }
    for name in ("birds", "cats"):
        write_run(tmp_path, name, {FD: 1.0}, data__root=f"/home/me/pictures/{name}")
    assert row_names(compared(tmp_path)).rows == ["root=birds", "root=cats"]
    write_run(tmp_path, "none", {FD: 1.0})
    assert row_names(compared(tmp_path)).rows[-1] == "study none"


def test_a_run_that_was_killed_is_not_shown_as_running(tmp_path):
    folder = RunFolder(write_run(tmp_path, "a", {FD: 1.0}, state="running"))
    assert read_run(folder.path).state == "interrupted"
    assert folder.hold()
    try:
        assert read_run(folder.path).state == "running"
    finally:
        folder.release()
