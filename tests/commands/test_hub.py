"""genexp export push=<user>/<name> and genexp import hub=<user>/<name>, against a server that stands for the hub."""

import json
import re

import pytest
import torch

import tiny
from genexp.commands.beforehand import refused_beforehand
from genexp.commands.export import export
from genexp.commands.import_folder import import_folder
from genexp.commands.typed_arguments import overrides_of
from genexp.config.compose import compose
from genexp.inference.run import load_run
from hub_server import COMMIT, TOKEN, hub_server

SHORT = ["training.max_images=64", "training.evaluate_every=64", "training.checkpoint_every=64", "metrics=none"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    typed = [*tiny.overrides_for("diffusion"), *SHORT, f"paths.outputs={tmp_path_factory.mktemp('runs')}"]
    return tiny.run(typed)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.chdir(tmp_path)
    with hub_server() as (address, found):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield found


def pushed(run, *typed):
    export(compose("export", [f"run={run.path}", "out=ours", "threads=1", *typed]))


def imported(tmp_path, *typed):
    places = [f"paths.outputs={tmp_path}/outputs", f"paths.data={tmp_path}/data"]
    import_folder(compose("import", overrides_of("import", ["train=[data=digits]", *places, *typed])))
    return load_run(next(tmp_path.glob("outputs/*/*/run.json")).parent)


def test_a_run_goes_to_the_hub_and_comes_back_as_a_run_that_draws_the_same(run, hub, tmp_path, capsys):
    (tmp_path / "ours").mkdir()
    pushed(run, "push=ann/digits", "licence=mit")
    assert "/ann/digits\n" in capsys.readouterr().out
    assert hub.private == {"ann/digits": True}
    files = hub.repositories["ann/digits"]
    assert {
        name: content == (tmp_path / "ours" / name).read_bytes() for name, content in files.items()
    } == dict.fromkeys(
        [
            *("README.md", "model_index.json", "scheduler/scheduler_config.json"),
            *("unet/config.json", "unet/diffusion_pytorch_model.safetensors"),
        ],
        True,
    )
    hub.asked.clear()
    files |= {"unet/diffusion_pytorch_model.bin": b"a pickle", "unet/code.py": b"raise SystemExit"}
    again = imported(tmp_path, "hub=ann/digits")
    assert not [each for each in hub.asked if "pickle" in each or ".bin" in each or ".py" in each]
    place = tmp_path / f"data/hub/ann--digits@{COMMIT[:12]}"
    assert again.folder.record["parts"]["imported"]["hub"] == f"ann/digits@{COMMIT[:12]}"
    assert again.folder.record["parts"]["imported"]["folder"] == str(place)
    assert again.folder.record["name"] == "digits"
    network = load_run(run.path).model.network.state_dict()
    for name, weight in again.model.network.state_dict().items():
        torch.testing.assert_close(weight, network[name], rtol=0, atol=0)


def test_a_part_goes_to_a_repository_that_is_there_and_may_be_public(run, hub, tmp_path):
    pushed(run, "format=safetensors", "push=ann/part", "public=true")
    assert hub.private == {"ann/part": False}
    assert set(hub.repositories["ann/part"]) == {"model.safetensors", "README.md"}
    pushed(run, "format=safetensors", "push=ann/part")
    assert hub.private == {"ann/part": False}


REFUSED = {
    "a": (["push=digits"], "push must be the name of a repository of the hub, <user>/<name>, got digits"),
    "b": (["push=ann/../x"], "push must be the name of a repository of the hub, <user>/<name>, got ann/../x"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_names_are_checked_without_the_hub(case, run, hub):
    typed, told = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(told)):
        pushed(run, *typed)
    config = compose("export", [f"run={run.path}", "out=ours", *typed])
    assert refused_beforehand("export", config) == [told]
    assert refused_beforehand("import", compose("import", ["hub=x"])) == [
        "hub must be the name of a repository of the hub, <user>/<name>, got x"
    ]
    assert refused_beforehand("import", compose("import", ["hub=ann/x"])) == []
    assert hub.asked == []


def test_without_a_token_or_the_hub_nothing_is_begun(run, hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(ValueError, match=r"push must name a repository .* may write to, got ann/digits: .*HF_TOKEN"):
        pushed(run, "push=ann/digits")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ValueError, match="push needs a token of the hub, got none: hf auth login, or HF_TOKEN"):
        pushed(run, "push=ann/digits")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match="push=ann/digits: the hub does not answer: "):
        pushed(run, "push=ann/digits")
    with pytest.raises(ConnectionError, match="hub=ann/digits: the hub does not answer: "):
        imported(tmp_path, "hub=ann/digits")
    assert not (tmp_path / "ours").exists()


def test_what_is_not_there_or_not_ours_is_told_in_a_line(run, hub, tmp_path):
    with pytest.raises(ValueError, match=r"may write to, got bob/digits: .*HF_TOKEN"):
        pushed(run, "push=bob/digits", "format=safetensors")
    assert (tmp_path / "ours/model.safetensors").is_file()  # written before it was refused
    with pytest.raises(
        ValueError, match=r"hub must name a repository of the hub that this account may read, got ann/no"
    ):
        imported(tmp_path, "hub=ann/no")
    hub.repositories["ann/other"] = {"model_index.json": json.dumps({"_class_name": "FluxPipeline"}).encode()}
    with pytest.raises(ValueError, match=r"folder must be of .*, got FluxPipeline"):
        imported(tmp_path, "hub=ann/other")
    with pytest.raises(ValueError, match="revision must be one of ann/other on the hub"):
        imported(tmp_path, "hub=ann/other", "revision=v9")
    for typed, told in ((["hub=a/b", "folder=f"], "got f and a/b"), ([], "got neither")):
        with pytest.raises(ValueError, match=f"folder must name a folder that diffusers has saved, or hub .*{told}"):
            imported(tmp_path, *typed)
    with pytest.raises(ValueError, match="revision must be null without hub, got v1"):
        imported(tmp_path, "folder=f", "revision=v1")
