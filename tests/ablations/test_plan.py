"""What an ablation needs: models shared by all variants that differ in drawing alone."""

import dataclasses
from pathlib import Path

import pytest
from noise_ablation import NOISE

from genexp.ablations.plan import make_plan
from genexp.ablations.running import require_composable
from genexp.pool.record import Job

RUNS = Path("/runs")


def test_variants_that_draw_differently_share_one_training_a_seed():
    plan = make_plan(NOISE, ["logger=none"])
    assert len(plan.variants) == 8
    assert len(plan.drawings) == 16
    assert [each.title for each in plan.trainings] == [
        "width=16 seed=0",
        "width=32 seed=0",
        "width=16 seed=7",
        "width=32 seed=7",
    ]
    for drawing in plan.drawings:
        width = dict(drawing.variant.labels)["width"]
        assert f"model.network.width={width}" in drawing.training.overrides
        assert {"logger=none", f"seed={drawing.training.seed}"} <= set(drawing.training.overrides)
        assert not any(each.startswith(("sampler", "weights")) for each in drawing.training.overrides)


def test_a_drawing_has_the_seed_of_its_model_and_its_own_sampler():
    plan = make_plan(NOISE, [])
    drawing = plan.drawings[-1]
    given = drawing.overrides(NOISE, {drawing.training: Path("/runs/a b")})
    assert given[0] == "run='/runs/a b'"
    assert {"seed=7", "sampler.eta=1", "weights=raw", "num=100", "checkpoint=last"} <= set(given)


def test_a_drawing_is_measured_by_the_job_of_its_overrides_and_of_its_run():
    plan = make_plan(NOISE, [])
    runs = {each: Path(f"/runs/it's {i:03d}") for i, each in enumerate(plan.trainings)}
    other = dataclasses.replace(NOISE, evaluate=["metrics=[fd]", "num=50"])
    wanted, foreign = plan.drawings[5], plan.drawings[6]
    jobs = [
        Job(0, wanted.overrides(other, runs), "000"),
        Job(1, foreign.overrides(NOISE, {foreign.training: Path("/runs/of another")}), "001"),
        Job(2, wanted.overrides(NOISE, runs)[::-1], "002"),
    ]
    assert plan.measured(jobs, runs) == {wanted: jobs[2]}
    assert plan.measured(jobs, {}) == {}


def test_a_guide_is_trained_once_a_seed_and_stands_in_the_drawings_that_name_it():
    axes = {"guide": {"none": [], "small": ["sampler.guidance.guide.run={worse}"]}}
    guided = dataclasses.replace(NOISE, axes=axes, guides={"worse": ["model.network.width=8"]})
    plan = make_plan(guided, ["training.max_images=9"])
    assert [each.title for each in plan.trainings] == ["seed=0", "worse seed=0", "seed=7", "worse seed=7"]
    model, worse = plan.trainings[2:]
    assert {"experiment=ddim/digits", "model.network.width=8", "seed=7"} <= set(worse.overrides)
    alone, drawn_with = plan.drawings[2:]
    assert (alone.trainings, drawn_with.trainings) == ((model,), (model, worse))
    places = {model: Path("/runs/model"), worse: Path("/runs/it's worse")}
    assert drawn_with.overrides(guided, places)[-1] == "sampler.guidance.guide.run='/runs/it\\'s worse'"
    timed = drawn_with.without_guides  # what stands for its time where no row is drawn alone
    assert (timed.trainings, timed.overrides(guided, places)) == ((model,), alone.overrides(guided, places))
    jobs = [Job(0, drawn_with.overrides(guided, places), "000")]
    assert plan.measured(jobs, places) == {drawn_with: jobs[0]}
    assert plan.measured(jobs, {model: places[model]}) == {}


CHAIN = dataclasses.replace(
    NOISE,
    axes={
        "model": {
            "base": ["training.max_images=640"],
            "tuned": ["initial=run", "initial.run={base}"],
            "twice": ["initial=run", "initial.run={tuned}"],
        }
    },
    guides={"tuned": ["initial=run", "initial.run={base}"], "base": ["training.max_images=640"]},
)


def test_a_training_comes_behind_those_of_its_seed_that_it_names_each_once():
    plan = make_plan(CHAIN, [])
    assert [each.title for each in plan.trainings] == [
        *(f"model={name} seed={seed}" for seed in (0, 7) for name in ("base", "tuned", "twice")),
    ]
    base, tuned, twice = plan.trainings[3:]
    assert (base.guides, tuned.guides, twice.guides) == ((), (("base", base),), (("tuned", tuned),))
    assert plan.waves() == [plan.trainings[i::3] for i in range(3)]
    assert twice.command({tuned: Path("/runs/it's 1")})[2:4] == ["initial=run", "initial.run='/runs/it\\'s 1'"]
    with pytest.raises(KeyError):
        tuned.command({})


def test_a_training_is_done_only_with_the_run_that_it_began_with():
    plan = make_plan(CHAIN, [])
    base, tuned = plan.trainings[:2]
    begun = [Job(4, list(base.overrides), "004"), Job(5, tuned.command({base: RUNS / "004"}), "005")]
    assert plan.trained(begun, RUNS) == {base: begun[0], tuned: begun[1]}
    assert plan.trained(begun[1:], RUNS) == {}
    begun[0].folder = "004_attempt2"  # another model
    assert plan.trained(begun, RUNS) == {base: begun[0]}


def test_a_training_that_names_another_is_composed_and_checked_before_that_is_there(tmp_path):
    plan = make_plan(CHAIN, [])
    require_composable(plan, plan.trainings, {})
    with pytest.raises(ValueError, match=r"^noise: initial\.run: .*nowhere"):
        require_composable(plan, plan.trainings[1:2], {plan.trainings[0]: tmp_path / "nowhere"})
    wrong = CHAIN.axes["model"] | {"tuned": ["initial=run", "initial.runs={base}"]}
    with pytest.raises(ValueError, match=r"^noise: initial\.runs: .*did you mean"):
        require_composable(plan := make_plan(dataclasses.replace(CHAIN, axes={"model": wrong}), []), plan.trainings, {})


def test_a_training_is_found_by_its_overrides_in_any_order():
    plan = make_plan(NOISE, [])
    jobs = [Job(0, ["seed=0"], "000"), *(Job(1, list(reversed(plan.trainings[3].overrides)), "001") for _ in "ab")]
    assert plan.trained(jobs, RUNS) == {plan.trainings[3]: jobs[1]}


def test_without_drawing_every_override_acts_in_training():
    plan = make_plan(dataclasses.replace(NOISE, evaluate=None), [])
    assert len(plan.trainings) == 16
    assert "sampler.eta=0" in plan.trainings[0].overrides


def test_a_later_override_replaces_an_earlier_one_of_the_same_key():
    axes = {"data": {"shapes": ["data=shapes"]}, "length": {"more": ["training.max_images=9", "++metrics=fd"]}}
    changed = dataclasses.replace(NOISE, axes=axes, overrides=["data=digits", "metrics=none", "training.max_images=5"])
    typical = make_plan(changed, ["training.max_images=2"]).trainings[0].typical
    assert typical == ("experiment=ddim/digits", "data=shapes", "++metrics=fd", "training.max_images=2")


@pytest.mark.parametrize(("before", "now"), [([], ["logger=none"]), (["logger=none"], []), (["notes=a"], ["notes=b"])])
def test_a_model_that_another_logger_kept_is_trained(before, now):
    begun, asked = make_plan(NOISE, before), make_plan(NOISE, now)
    jobs = [Job(number, list(each.overrides), f"{number:03d}") for number, each in enumerate(begun.trainings)]
    assert [asked.trained(jobs, RUNS)[each].number for each in asked.trainings] == list(range(4))
    other = make_plan(NOISE, [*now, "model.network.groups=4"])
    assert other.trained(jobs, RUNS) == {}


def test_a_drawing_that_the_sampler_does_not_know_is_refused_before_anything_is_trained():
    axes = NOISE.axes | {"eta": {"0": ["sampler.eta=0"], "1": ["sampler.etaa=1"]}}
    with pytest.raises(ValueError, match=r"^noise: sampler\.etaa: .*did you mean eta\?.* in eta=1,"):
        require_composable(make_plan(dataclasses.replace(NOISE, axes=axes), []), [], {})
    require_composable(make_plan(NOISE, []), [], {})
