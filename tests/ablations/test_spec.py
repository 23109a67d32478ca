"""The file of an ablation: what it may say, and what is said about one that is wrong."""

import copy

import pytest
import yaml

from genexp.ablations.finding import ablation_files
from genexp.ablations.spec import read_ablation, scales_of
from genexp.ablations.variants import variants_of
from genexp.commands.typed_arguments import of_reproduce

CONTENT = {
    "title": "Noise",
    "question": "Does noise help?",
    "paper": {"title": "A paper", "authors": "A, B", "year": 2021, "table": "Table 1"},
    "experiment": "ddim/digits",
    "overrides": ["metrics=none"],
    "variants": {
        "eta": {0: ["sampler.eta=0"], 1: ["sampler.eta=1"]},
        "width": {"small": ["model.network.width=16"], "large": ["model.network.width=32"]},
        "setting": {"a": ["model.optimizer.lr=1e-3"], "b": ["model.optimizer.lr=1e-4"]},
    },
    "search": "setting",
    "evaluate": ["metrics=[fd]"],
    "metrics": ["fd"],
    "reported": [
        {
            "name": "FID",
            "source": "Table 1",
            "protocol": "50,000 samples",
            "values": {"eta=0,width=small": 4.5, "width=large, eta=1": {"value": 3.0, "spread": 0.2}},
        }
    ],
    "claims": [{"claim": "fd[eta=0] < fd[eta=1]", "source": "Table 1"}],
    "scales": {
        "cpu": {"overrides": ["training.max_images=640"], "evaluate": ["num=100"], "seeds": 3, "only": {"eta": [0]}},
        "gpu": {"experiment": "ddim/cifar10", "seeds": [4, 5]},
    },
}


def reported(value):
    return {"name": "FID", "source": "Table 1", "protocol": "x", "values": {"eta=0,width=small": value}}


def write(tmp_path, **changes):
    content = {**copy.deepcopy(CONTENT), **changes}
    path = tmp_path / "noise.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not ...}))
    return path


def test_guides_are_those_that_overrides_name_in_braces(tmp_path):
    axes = {"guide": {"none": [], "worse": ["sampler.guidance.guide.run={worse}", "sampler.spacing={karras: 3}"]}}
    plain = {"variants": axes, "search": None, "reported": [], "claims": []}
    cpu = {"seeds": 3, "guides": {"worse": ["training.max_images=64"]}}
    path = write(tmp_path, **plain, guides={"worse": ["model.network.width=8"]}, scales={"cpu": cpu})
    assert read_ablation(path, "cpu").guides == {"worse": ["model.network.width=8", "training.max_images=64"]}
    with pytest.raises(ValueError, match=r"guide in braces.*worse"):
        read_ablation(write(tmp_path, **plain, scales={"cpu": {"seeds": 3}}), "cpu")
    with pytest.raises(ValueError, match=r"guide that overrides name in braces.*other"):
        read_ablation(write(tmp_path, **plain, guides={"worse": [], "other": []}, scales={"cpu": {"seeds": 3}}), "cpu")


def test_guides_may_name_guides_but_not_in_a_circle_and_no_others_may(tmp_path):
    axes = {"model": {"base": [], "tuned": ["initial.run={tuned}", "model.width=${data.size}", "name=${seed}"]}}
    plain = {"variants": axes, "search": None, "reported": [], "claims": [], "scales": {"cpu": {"seeds": 3}}}
    tuned = {"tuned": ["initial.run={base}"], "base": ["training.max_images=64"]}
    assert read_ablation(write(tmp_path, **plain, guides=tuned), "cpu").guides == tuned
    circle = tuned | {"base": ["model.codec.run={other}"], "other": ["initial.run={tuned}"]}
    with pytest.raises(
        ValueError, match=r"guides must not need each other in a circle, got base -> other -> tuned -> base"
    ):
        read_ablation(write(tmp_path, **plain, guides=circle), "cpu")
    with pytest.raises(ValueError, match=r"got tuned -> tuned$"):
        read_ablation(write(tmp_path, **plain, guides={"tuned": ["initial.run={tuned}"]}), "cpu")
    with pytest.raises(ValueError, match=r"guide in braces must be one of base, tuned, got bas; did you mean base\?"):
        read_ablation(write(tmp_path, **plain, guides=tuned | {"tuned": ["initial.run={bas}"]}), "cpu")
    for key in ("overrides", "evaluate"):
        with pytest.raises(
            ValueError, match=rf"{key} must name no guide in braces, which variants .* got a=\{{base\}}"
        ):
            read_ablation(write(tmp_path, **plain, guides=tuned, **{key: ["a={base}"]}), "cpu")


def test_a_scale_adds_to_what_all_scales_share(tmp_path):
    cpu, gpu = (read_ablation(write(tmp_path), scale) for scale in ("cpu", "gpu"))
    assert (cpu.experiment, gpu.experiment) == ("ddim/digits", "ddim/cifar10")
    assert cpu.overrides == ["metrics=none", "training.max_images=640"]
    assert gpu.overrides == ["metrics=none"]
    assert cpu.evaluate == ["metrics=[fd]", "num=100"]
    assert gpu.evaluate == ["metrics=[fd]"]
    assert (cpu.seeds, gpu.seeds) == ([0, 1, 2], [4, 5])
    assert list(cpu.axes["eta"]) == ["0"]
    assert list(gpu.axes["eta"]) == ["0", "1"]
    assert cpu.claims[0].left.where == (("eta", "0"),)


def test_a_scale_has_a_name_and_remarks_of_its_own(tmp_path):
    scales = {"cpu": {"seeds": 3}, "mnist": {"seeds": 3, "remarks": "Of other data."}}
    path = write(tmp_path, scales=scales, remarks="Of two widths.")
    assert scales_of(path) == ["cpu", "mnist"]
    said = {scale: read_ablation(path, scale).remarks for scale in scales}
    assert said == {"cpu": "Of two widths.", "mnist": "Of two widths. Of other data."}


def test_reported_numbers_belong_to_rows_without_the_search(tmp_path):
    reported = read_ablation(write(tmp_path), "gpu").reported[0]
    small, large = (("eta", "0"), ("width", "small")), (("eta", "1"), ("width", "large"))
    assert reported.values == {small: 4.5, large: 3.0}
    assert reported.spreads == {large: 0.2}


def test_reported_numbers_stand_in_the_order_of_the_file_whatever_a_scale_leaves_out(tmp_path):
    axes = {"eta": {"0": [], "0.2": [], "1": []}}
    values = {"eta=1": 41.1, "eta=0.2": 14.0, "eta=0": 13.4}
    reported = [{"name": "FID", "source": "Table 1", "protocol": "x", "values": values}]
    more = {"variants": axes, "search": None, "reported": reported, "claims": []}
    more["scales"] = {"cpu": {"seeds": 3, "only": {"eta": ["0", "1"]}}}
    read = read_ablation(write(tmp_path, **more), "cpu").reported[0]
    assert list(read.values.values()) == [13.4, 14.0, 41.1]


def test_a_scale_adds_overrides_to_single_values(tmp_path):
    scales = copy.deepcopy(CONTENT["scales"])
    scales["cpu"]["variants"] = {"eta": {0: ["sampler.steps=7"], 1: ["sampler.steps=9"]}}
    cpu, gpu = (read_ablation(write(tmp_path, scales=scales), scale) for scale in ("cpu", "gpu"))
    assert cpu.axes["eta"] == {"0": ["sampler.eta=0", "sampler.steps=7"]}
    assert gpu.axes["eta"] == {"0": ["sampler.eta=0"], "1": ["sampler.eta=1"]}


def test_a_claim_says_whose_it_is_and_how_to_read_it(tmp_path):
    claims = [{"claim": "fd < 1", "source": "Table 1"}, {"claim": "fd < 2", "note": "Read\n  so.", "ours": True}]
    theirs, ours = read_ablation(write(tmp_path, claims=claims), "cpu").claims
    assert (theirs.source, theirs.note, theirs.ours) == ("Table 1", "", False)
    assert (ours.note, ours.ours) == ("Read so.", True)
    own = read_ablation(write(tmp_path, claims=claims, paper=None, reported=None), "cpu").claims
    assert [each.ours for each in own] == [True, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paper": CONTENT["paper"] | {"year": "n.d."}}, "paper.year must be a whole number, got 'n.d.'"),
        ({"reported": [reported("about 3")]}, r"reported\.values\.eta=0,width=small must be a number, got 'about 3'"),
        ({"reported": [reported(None)]}, "must be a number, got None"),
        ({"reported": [reported({"spread": 3})]}, "must be a number, got None"),
        ({"reported": [reported({"value": 1, "spread": "x"})]}, "the spread of reported.* must be a number, got 'x'"),
        ({"scales": {"cpu": {"seeds": [True, 0]}}}, r"seeds must be a list of numbers from 0 or how many, got \[True"),
        ({"claims": [{"claim": "fd < 1", "ours": "yes"}]}, "ours of a claim must be true or false, got 'yes'"),
        ({"titel": "x"}, "key must be one of .* got titel; did you mean title"),
        ({"title": ...}, "title must be given"),
        ({"variants": {"eta": {}}}, r"variants\.eta must have at least one value"),
        ({"variants": {"eta": {"a=b": []}}}, "names of variants must be of letters"),
        ({"variants": {"eta": {"a": "sampler.eta=0"}}, "claims": None, "reported": None}, "must be a list"),
        ({"metrics": ["fd", "val/kl"]}, "metrics of a search must have a best direction, got val/kl"),
        ({"search": "lr"}, "search must be null or an axis"),
        ({"claims": [{"claim": "fd[eta=2] < fd[eta=1]"}]}, "2"),
        ({"claims": [{"claims": "fd[eta=0] < fd[eta=1]"}]}, "key of a claim must be one of claim, source"),
        ({"reported": [{"name": "F", "values": {"eta=0": 1.0}}]}, "must name all axes"),
        ({"scales": {"cpu": {"seeds": [0, 0]}}}, "seeds must differ"),
        ({"scales": {"cpu": {"seeds": []}}}, "seeds must be a list of numbers"),
        ({"scales": {"cpu": {"seeds": 2, "only": {"eta": ["7"]}}}}, r"only\.eta must be among 0, 1"),
        ({"scales": {"cpu": {"seeds": 2, "variants": {"eta": {"7": []}}}}}, "value of eta must be one of 0, 1, got 7"),
        ({"scales": {"cpu": {"seeds": 2, "variants": {"etta": {}}}}}, "variants must be one of .*; did you mean eta"),
        ({"scales": {"gpu": {"seeds": 2}}}, "scale must be one of gpu, got cpu"),
        ({"scales": {"cpu": {"seeds": 2}, "a/b": {"seeds": 2}}}, "names of scales must be of letters, .* got 'a/b'"),
        ({"scales": {"cpu": {"seed": 2}}}, "key of scales.cpu must be one of .* did you mean seeds"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path, changes, message):
    with pytest.raises(ValueError, match=rf"noise\.yaml: .*{message}"):
        read_ablation(write(tmp_path, **changes), "cpu")


def test_a_file_that_is_no_yaml_is_refused(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("title: [")
    with pytest.raises(ValueError, match="must be readable YAML"):
        read_ablation(path, "cpu")
    path.write_bytes(b"title: \xff\xfe")
    with pytest.raises(ValueError, match=r"must be readable YAML, got .*broken\.yaml: .* can't decode"):
        read_ablation(path, "cpu")


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = write(tmp_path)
    path.write_text(path.read_text().replace("  width:", "  eta: {2: []}\n  width:"))
    with pytest.raises(ValueError, match=r"must be readable YAML, got .*noise\.yaml: .* found duplicate key eta"):
        read_ablation(path, "cpu")


def test_variants_with_the_same_overrides_are_refused(tmp_path):
    axes = CONTENT["variants"] | {"width": {"small": ["model.network.width=16"], "large": ["model.network.width=16"]}}
    with pytest.raises(ValueError, match="same overrides for eta=0,setting=a,width=large and"):
        variants_of(read_ablation(write(tmp_path, variants=axes), "gpu"))


def test_names_patterns_and_paths_lead_to_files(tmp_path):
    for name in ("gan_a", "gan_b", "vae"):
        (tmp_path / f"{name}.yaml").write_text("")
    assert [path.stem for path in ablation_files("glob(gan_*)", tmp_path)] == ["gan_a", "gan_b"]
    assert ablation_files("vae", tmp_path) == [tmp_path / "vae.yaml"]
    assert ablation_files(str(tmp_path / "vae.yaml")) == [tmp_path / "vae.yaml"]
    with pytest.raises(FileNotFoundError, match="did you mean gan_a"):
        ablation_files("gan_aa", tmp_path)
    with pytest.raises(FileNotFoundError, match="glob"):
        ablation_files("glob(x*)", tmp_path)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--status", "status=true"),
        ("ablation=glob(gan_*)", "ablations='glob(gan_*)'"),
        ("ablation=my/file.yaml", "ablations=my/file.yaml"),
        ("train=[logger=none, model.betas=[0.5,0.9]]", "train=['logger=none','model.betas=[0.5,0.9]']"),
        ("train=['a=1',\"b=2\"]", "train=['a=1',\"b=2\"]"),
        ("scale=cpu", "scale=cpu"),
    ],
)
def test_what_is_typed_reaches_hydra_as_it_is_meant(typed, meant):
    assert of_reproduce(typed) == meant
