"""Names of earlier versions: recorded ones are read as today's, typed ones are told."""

import pytest

import tiny
from genexp.commands.validate import problems_of
from genexp.config.renamed import MOVED, moved, renamed, renamed_override, todays
from genexp.config.targets import locate, require_allowed


def test_a_recorded_key_is_read_under_its_name_of_today_and_no_other_changes():
    plain = {"model": {"latent_size": 3, "likelihood": {"std": 0.5}}, "likelihood": 1, "data": {"likelihood": 2}}
    expected = {"model": {"latent_size": 3, "reconstruction": {"std": 0.5}}, "likelihood": 1, "data": {"likelihood": 2}}
    assert renamed(plain) == expected
    assert renamed({"model": None}) == {"model": None}
    plain = {"model": {"accumulate": 2, "compile": False}, "training": {"log_every": 1}}
    moved = {"model": {}, "training": {"log_every": 1, "accumulate": 2, "compile": False}}
    assert renamed(plain) == moved
    encoder = {"_target_": "genexp.networks.vgg.VGG", "last": "relu3_2"}
    assert renamed({"model": {"vgg": encoder}}) == {"model": {"features": encoder}}


def test_a_switch_of_a_run_that_is_typed_under_a_model_is_told():
    assert problems_of("train", ["model=vae", "model.accumulate=4"]) == [
        "model.accumulate: is called training.accumulate now"
    ]
    assert renamed_override("model.accumulate=4") == "training.accumulate=4"


def test_the_encoder_of_a_style_is_typed_under_its_name_of_today():
    assert problems_of("train", ["model=style", "model/vgg=cifar_vgg"]) == ["model/vgg: is called model/features now"]
    assert renamed_override("model/vgg=cifar_vgg") == "model/features=cifar_vgg"
    assert renamed_override("model.vgg.weights=random") == "model.features.weights=random"


@pytest.mark.parametrize(
    "typed",
    [
        "model/NAME=gaussian",
        "model.NAME.std=1",
        "+model.NAME.std=1",
        "~model.NAME.binarise",
        "model/NAME@model.x=bernoulli",
    ],
)
def test_a_recorded_override_is_read_as_it_would_be_typed_today(typed):
    today = typed.replace("NAME", "reconstruction")
    assert renamed_override(typed.replace("NAME", "likelihood")) == today
    assert renamed_override(today) == today


def test_a_model_of_the_name_is_none_of_them():
    assert renamed_override("model=likelihood") == "model=likelihood"
    assert renamed_override("model.likelihoods=1") == "model.likelihoods=1"


@pytest.mark.parametrize("typed", ["model/NAME=gaussian", "model.NAME.std=0.5", "~model.NAME.clip"])
def test_an_earlier_name_that_is_typed_is_told(typed):
    (told,) = problems_of("train", [*tiny.overrides_for("vae"), typed.replace("NAME", "likelihood")])
    key = typed.replace("NAME", "likelihood").lstrip("~").split("=")[0]
    assert told == f"{key}: is called {key.replace('likelihood', 'reconstruction')} now"


def test_a_number_for_guidance_is_read_as_the_part_that_does_the_same():
    kind = "genexp.sampling.guidance."
    sampler = {"_target_": "genexp.sampling.ddim.DDIM", "steps": 5}
    plain = {
        "sampler": sampler | {"guidance": 2.0},
        "callbacks": {"evaluate": {"sampler": sampler | {"guidance": 1.0}}},
    }
    assert renamed(plain) == {
        "sampler": sampler | {"guidance": {"_target_": f"{kind}ClassifierFree", "scale": 2.0}},
        "callbacks": {"evaluate": {"sampler": sampler | {"guidance": {"_target_": f"{kind}Unguided"}}}},
    }
    assert renamed(renamed(plain)) == renamed(plain)


@pytest.mark.parametrize(
    ("typed", "today"),
    [
        ("sampler.guidance=1.0", ["sampler/guidance=none"]),
        ("++sampler.guidance=2.5", ["sampler/guidance=classifier_free", "sampler.guidance.scale=2.5"]),
        ("sampler.guidance.scale=3", ["sampler.guidance.scale=3"]),
        ("model/likelihood=gaussian", ["model/reconstruction=gaussian"]),
    ],
)
def test_a_recorded_override_of_guidance_is_read_as_those_that_say_the_same(typed, today):
    assert todays(typed) == today
    assert [again for each in today for again in todays(each)] == today


@pytest.mark.parametrize(
    ("earlier", "today"),
    [
        ("genexp.runs.loggers.Csv", "genexp.tracking.journal.Csv"),
        ("genexp.sampling.density.LatentMixture", "genexp.sampling.latent_mixture.LatentMixture"),
        ("genexp.evaluation.extractors.Pixels", "genexp.evaluation.extractors.untrained.Pixels"),
        ("genexp.evaluation.inception.InceptionFeatures", f"{MOVED['genexp.evaluation.inception']}.InceptionFeatures"),
    ],
)
def test_a_class_that_has_moved_is_read_where_it_is_now(earlier, today):
    plain = renamed({"sampler": {"_target_": earlier, "components": 3}})
    assert plain == {"sampler": {"_target_": today, "components": 3}} == renamed(plain)
    with pytest.raises(ValueError, match=f"where it is now, {today}, got"):
        require_allowed(earlier, "sampler")
    assert locate(today).__name__ == earlier.rpartition(".")[2]


@pytest.mark.parametrize("today", sorted(set(MOVED.values())))
def test_what_has_moved_is_there_and_is_no_earlier_name_itself(today):
    assert locate(today)
    assert moved(today) is None
