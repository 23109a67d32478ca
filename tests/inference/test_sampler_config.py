"""A sampler in a file's name: short where nothing is special, and never the name of another sampler."""

import itertools
import re
from contextlib import nullcontext

import pytest
from omegaconf import OmegaConf

from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.config.keys import as_typed, in_place_of_earlier, of_the_own
from genexp.config.trial import refused
from genexp.inference.sampler_config import checked_sampler, sampler_label, sampler_node, varied

GUIDED = {"_target_": "genexp.sampling.guidance.ClassifierFree", "negative": {"caption": "a cross"}}
PER_CONDITION = {"_target_": "genexp.sampling.per_condition.PerCondition", "negative": {"caption": "a cross"}}
INTERVAL = {"_target_": "genexp.sampling.guidance.Interval"}


def label(target="ddim.DDIM", **settings):
    return sampler_label(OmegaConf.create({"_target_": f"genexp.sampling.{target}", **settings}))


def guided(scale):
    kind = {"_target_": "genexp.sampling.guidance.Unguided"}
    return kind if scale is None else {"_target_": "genexp.sampling.guidance.ClassifierFree", "scale": scale}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["sampler=ddim"], "ddim25"),
        (
            ["sampler=ddim", "sampler.eta=0.5", "sampler/guidance=classifier_free", "sampler.guidance.scale=3"],
            "ddim25_eta0.5_guidance-classifierfree_scale3",
        ),
        (["sampler=ddim", "sampler/guidance=interval"], "ddim25_guidance-interval"),
        (["sampler=ddim", "sampler.steps=null"], "ddim"),
        (["sampler=ddpm", "sampler.steps=100", "sampler.variance=fixed_large"], "ddpm100_variance-fixed_large"),
        (["sampler=ddpm"], "ddpm"),
        (["sampler=latent"], "latent"),
        (["sampler=latent_mixture"], "latentmixture"),
        (["sampler=latent_gaussian"], "latentmixture_components1"),
        (["sampler=latent_statistics", "sampler.statistics=batch"], "latentbystatistics_statistics-batch"),
        (["sampler=latent_style"], "latentbystyle"),
        (["sampler=mapping"], "mapping"),
    ],
)
def test_what_is_special_is_told(overrides, expected):
    assert sampler_label(compose("sample", ["run=none", *overrides]).sampler) == expected


def test_the_same_sampler_has_one_label_however_it_is_written():
    assert label() == label(steps=50) == label(steps=50, eta=0, guidance=guided(None), clip=True) == "ddim50"
    assert label(eta=1) == label(eta=1.0)
    assert label(eta=0.5, clip=False) == label(clip=False, eta=0.5) == "ddim50_clip-false_eta0.5"


def test_different_samplers_have_different_labels():
    choices = {
        "steps": [5, 50, None],
        "eta": [0.0, 0.1, 0.1 + 1e-9, 1],
        "spacing": ["trailing", "leading", "none", None, [999, 500], [999, 501], "a word - that / is no file name"],
        "guidance": [guided(scale) for scale in (None, 3, 30, 1e-9)],
    }
    settings = [dict(zip(choices, each, strict=True)) for each in itertools.product(*choices.values())]
    found = [label(**each) for each in settings]
    assert len(set(found)) == len(found)
    assert all(len(each) < 120 and not set(each) - set("abcdefghijklmnopqrstuvwxyz0123456789._-") for each in found)


def test_many_long_settings_still_fit_a_file_name():
    found = [
        label(eta=0.123456789 + i, guidance=guided(1 / 3), **{f"word{j}": "x" * 24 for j in range(12)}) for i in (0, 1)
    ]
    assert len(set(found)) == 2
    assert all(len(each) < 120 for each in found)


def test_a_class_of_another_package_is_told_from_ours(monkeypatch):
    monkeypatch.setenv("GENEXP_TRUST", "collections.")
    ours, other = label("latent.Latent"), sampler_label(OmegaConf.create({"_target_": "collections.UserDict"}))
    assert ours == "latent"
    assert other.startswith("userdict_")
    with pytest.raises(ValueError, match=r"sampler\._target_ must begin with one of .*, got 'os.system'"):
        sampler_label(OmegaConf.create({"_target_": "os.system"}))


def test_values_alone_change_the_own_sampler_and_a_class_replaces_it():
    own = {"_target_": "genexp.sampling.ddim.DDIM", "steps": 25, "eta": 0.0, "guidance": guided(2.0)}
    trained = OmegaConf.create({"sampler": own})
    assert sampler_node(trained, None) == trained.sampler
    assert sampler_node(trained, OmegaConf.create({"eta": 1.0})) == {**trained.sampler, "eta": 1.0}
    assert sampler_node(trained, OmegaConf.create({"_target_": "genexp.sampling.ddpm.DDPM"})).get("steps") is None
    changed = sampler_node(trained, OmegaConf.create({"guidance": {"scale": 3.0}}))
    assert changed == {**own, "guidance": guided(3.0)}
    replaced = sampler_node(trained, OmegaConf.create({"steps": 10, "guidance": guided(None)}))
    assert replaced == {**own, "steps": 10, "guidance": guided(None)}


def test_what_is_typed_below_the_sampler_of_a_run_changes_it():
    typed = ["num=3", "sampler/guidance=classifier_free", "sampler.guidance.scale=2"]
    given = compose("sample", ["run=none", *of_the_own(typed)]).sampler
    assert given == {"guidance": {**guided(2), "rescale": None, "negative": None}}
    chosen = compose("sample", ["run=none", *of_the_own(["sampler=heun", *typed])]).sampler
    assert (chosen["_target_"], chosen.guidance) == ("genexp.sampling.heun.Heun", given["guidance"])


def test_a_negative_is_typed_by_its_name_in_every_command():
    typed = "sampler.guidance.negative.caption=a blue cross"
    for inside, part in (("", ["sampler/guidance=classifier_free"]), (".inside", ["sampler/guidance=interval"])):
        key = typed.replace(".negative", f"{inside}.negative")
        for name, given in (("train", in_place_of_earlier([*part, key])), ("sample", of_the_own([*part, key]))):
            before = ["run=none"] if name == "sample" else ["sampler=heun"]
            made = compose(name, [*before, *given]).sampler.guidance
            assert (made.inside if inside else made).negative == {"caption": "a blue cross"}
        chosen = compose("sample", ["run=none", *of_the_own(["sampler=heun", *part, key])]).sampler.guidance
        assert (chosen.inside if inside else chosen).negative == {"caption": "a blue cross"}
        assert as_typed(in_place_of_earlier([key])[0]) == key


@pytest.mark.parametrize(
    ("guidance", "share"),
    [
        ({**GUIDED, "scale": 1}, False),
        ({**GUIDED, "scale": 2}, True),
        ({**GUIDED, "scale": 0}, True),
        ({**PER_CONDITION, "scales": {"caption": 1, "label": 1.0}}, False),
        ({**PER_CONDITION, "scales": {"caption": 1, "label": 2}}, True),
        ({**INTERVAL, "scale": None, "inside": {**GUIDED, "scale": 1}}, False),
        ({**INTERVAL, "scale": 1, "inside": {**GUIDED, "scale": 2}}, False),
        ({**INTERVAL, "scale": 3, "inside": {**GUIDED, "scale": 1}}, True),
    ],
)
def test_a_negative_without_a_share_is_refused_where_it_is_typed(guidance, share):
    trained = OmegaConf.create({"sampler": {"_target_": "genexp.sampling.ddim.DDIM", "guidance": guidance}})
    given = OmegaConf.create({"steps": 5})
    with nullcontext() if share else pytest.raises(ValueError, match=r"^sampler\.guidance\..*caption has no share in"):
        checked_sampler(trained, given, "sample")


UNGUIDED = {"_target_": "genexp.sampling.guidance.Unguided"}
SHIPPED = {"_target_": "genexp.inference.shipped_judge.ShippedJudge", "asset": "shapes_clip"}
INSIDE = r"must be 1 for a student that has its teacher's guidance inside \(model\.goal\.guidance\.scale=2\.0\)"


@pytest.mark.parametrize(
    ("guidance", "wrong"),
    [
        ({**GUIDED, "negative": None, "scale": 3}, "sampler.guidance.scale"),
        ({**GUIDED, "negative": None, "scale": 1}, None),
        ({**GUIDED, "negative": None, "scale": 0}, None),
        ({**PER_CONDITION, "negative": None, "scales": {"caption": 1, "label": 2}}, "sampler.guidance.scales"),
        ({**INTERVAL, "scale": None, "inside": {**GUIDED, "scale": 3}}, "sampler.guidance.inside.scale"),
        ({**INTERVAL, "scale": 3, "inside": {**GUIDED, "scale": 1}}, "sampler.guidance.scale"),
        ({"_target_": "genexp.sampling.clip_guidance.ClipGuidance", "judge": SHIPPED, "scale": 3}, None),
        (UNGUIDED, None),
    ],
)
def test_guidance_over_a_student_that_has_it_inside_is_refused_by_both_keys(guidance, wrong):
    sampler = {"_target_": "genexp.sampling.consistency.ConsistencySampler", "steps": 4, "guidance": UNGUIDED}
    folded = {"goal": {"guidance": {"_target_": GUIDED["_target_"], "scale": 2.0}}}
    given = OmegaConf.create({"guidance": guidance})
    with nullcontext() if wrong is None else pytest.raises(ValueError, match=rf"^{wrong}: {INSIDE}, got [23]$"):
        checked_sampler(OmegaConf.create({"sampler": sampler, "model": folded}), given, "sample")
    for inside in (UNGUIDED, {"_target_": GUIDED["_target_"], "scale": 1.0}, None):
        checked_sampler(
            OmegaConf.create({"sampler": sampler, "model": {"goal": {"guidance": inside}}}), given, "sample"
        )
    checked_sampler(OmegaConf.create({"sampler": {**sampler, "guidance": guidance}, "model": folded}), None, "sample")


def test_a_sheet_and_a_training_of_such_a_student_are_refused_too():
    trained = compose("train", ["experiment=lcm/digits", "model.goal.teacher.run=somewhere"])
    with pytest.raises(ValueError, match=rf"^sheet, scale 3: sampler\.guidance\.scale: {INSIDE}, got 3"):
        varied(trained, trained.sampler, OmegaConf.create({"guidance": {"scale": [1, 3]}}))
    (problem,) = problems_of("train", ["experiment=lcm/digits", "sampler.guidance.scale=3"])
    assert re.match(rf"sampler\.guidance\.scale: {INSIDE}, got 3", problem)
    assert problems_of("train", ["experiment=lcm/digits"]) == []


def test_what_is_refused_of_a_part_within_is_told_at_its_key():
    node = {"clip": True, "guidance": {"scale": 2, "negative": {"caption": "a zebra"}}}
    problem = refused(ValueError("negative.caption must consist of words, got 'zebra'"), "sampler", node)
    assert str(problem) == "sampler.guidance.negative.caption: must consist of words, got 'zebra'"
    for said in ("scale must be 1, got 2", "negative.label must be none, got 2", "clip.a must be b"):
        assert str(refused(ValueError(said), "sampler", node)) == f"sampler: {said}"
