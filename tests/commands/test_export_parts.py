"""genexp export of one part of a model: files give what the run gives, and say what they are."""

import importlib.util
import json
import re
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
import yaml
from safetensors import safe_open

import tiny
from genexp.commands.export import export
from genexp.config.compose import compose
from genexp.config.keys import of_the_own
from genexp.inference.copies import verdict_on_copies
from genexp.inference.exporting import held, onnx_file
from genexp.inference.exporting.graphs import Graph, Input, graph_of
from genexp.inference.exporting.tensorrt import UNSUPPORTED, unsupported
from genexp.inference.run import load_run
from genexp.sampling.ddim import DDIM
from genexp.sampling.guidance import ClassifierFree
from genexp.tensors import IndexedNoise

SHORT = ["training.max_images=64", "training.evaluate_every=64", "training.checkpoint_every=64"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs by their names, trained when they are first asked for."""
    outputs, found = tmp_path_factory.mktemp("runs"), {}

    def run(name, *typed):
        if name not in found:
            found[name] = tiny.run([*typed, *SHORT, f"paths.outputs={outputs / name}"])
        return found[name]

    return run


CAPTIONS = ["experiment=captions/attended", *tiny.COMMON, *tiny.LENGTH, "data.limit=100", "training.log_every=64"]
CAPTIONS += ["model.network.width=8", "model.network.multipliers=[1]", "model.network.attention=[8]"]
CAPTIONS += ["data.image_size=32"]


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def gan(trained):
    return trained("gan", *tiny.overrides_for("gan"))


def exported(folder, *typed):
    export(compose("export", of_the_own([f"run={folder.path}", "out=ours", "threads=1", *typed])))
    return Path("ours")


def latents(model, num):
    return torch.randn(num, *model.latent_shape, generator=torch.Generator().manual_seed(7))


def test_an_onnx_generator_gives_the_images_of_the_run(trained):
    folder = gan(trained)
    exported(folder, "format=onnx", "licence=mit", "intended_use='For <b>tests</b> alone.'")
    model, session = load_run(folder.path).model, onnxruntime.InferenceSession("ours/model.onnx")
    for num in (1, 4, 9):
        latent = latents(model, num)
        (image,) = session.run(None, {"latent": latent.numpy()})
        torch.testing.assert_close(torch.from_numpy(image), model.decode(latent), rtol=0, atol=1e-5)
    told = session.get_modelmeta().custom_metadata_map
    content = json.loads(told["genexp"])
    assert (content["part"], content["licence"], told["licence"]) == ("decoder", "mit", "mit")
    assert content["inputs"]["latent"]["shape"] == ["batch", *model.latent_shape]
    assert content["checkpoint_sha256"] == load_run(folder.path).digest
    for name in ("run", "checkpoint_sha256", "normalisation"):
        assert told[name] == content[name]
    assert told["run"] == folder.record["id"]
    assert "labels" not in told
    assert str(folder.path) not in Path("ours/model.onnx").read_bytes().decode("latin-1")
    names = {each.name for each in onnx.load("ours/model.onnx").graph.initializer}
    assert not [name for name in names if name.startswith("critic")]


def test_a_file_that_is_told_classes_names_them_by_label(trained):
    folder = trained("of_classes", *tiny.overrides_for("gan"), "model.num_classes=10")
    exported(folder, "format=onnx")
    session = onnxruntime.InferenceSession("ours/model.onnx")
    read = {each.key: each.value for each in onnx.load("ours/model.onnx").metadata_props}
    assert read == session.get_modelmeta().custom_metadata_map
    assert [each.name for each in session.get_inputs()] == ["latent", "label"]
    assert json.loads(read["labels"]) == json.loads(read["genexp"])["labels"] == [str(digit) for digit in range(10)]


def test_the_card_has_the_verdict_on_copies_where_it_was_asked_for(trained, capsys):
    folder = gan(trained)
    card = exported(folder, "format=safetensors") / "README.md"
    assert "| copies of training images | not examined" in card.read_text()
    assert "earlier export" not in capsys.readouterr().out
    exported(folder, "format=safetensors", "copies=60")
    words = verdict_on_copies(load_run(folder.path), 60).words
    assert "of 60 samples" in words
    told = capsys.readouterr().out
    assert words in told
    assert "ours, in the place of an earlier export\n" in told
    assert f"| copies of training images | {words} |" in card.read_text()


def test_the_card_tells_data_protocols_use_and_the_digest_of_the_file(trained):
    import hashlib

    folder = gan(trained)
    exported(folder, "format=torch_export", "licence=mit", "intended_use='For <b>tests</b> alone.'")
    text = Path("ours/README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    assert (front["license"], front["library_name"]) == ("mit", "pytorch")
    assert hashlib.sha256(Path("ours/model.pt2").read_bytes()).hexdigest() in text
    assert "| fd/digits_classifier@" in text
    assert "For \\<b>tests\\</b> alone." in text
    assert f"| commit | {folder.record['git']['commit']} |" in text
    assert str(folder.path) not in text


def test_torch_reads_its_archive_again(trained):
    folder = gan(trained)
    exported(folder, "format=torch_export")
    model, extra = load_run(folder.path).model, {"genexp.json": ""}
    part = torch.export.load("ours/model.pt2", extra_files=extra).module()
    latent = latents(model, 6)
    torch.testing.assert_close(part(latent), model.decode(latent), rtol=0, atol=0)
    assert json.loads(extra["genexp.json"])["output"]["name"] == "image"


def test_safetensors_hold_the_weights_of_the_part_by_the_names_of_the_run(trained):
    folder = gan(trained)
    exported(folder, "format=safetensors")
    state = load_run(folder.path).model.state_dict()
    with safe_open("ours/model.safetensors", "pt") as file:
        names = list(file.keys())
        assert names
        assert all(torch.equal(file.get_tensor(name), state[name]) for name in names)
        assert json.loads(file.metadata()["genexp"])["part"] == "decoder"
    assert {name.split(".")[0] for name in names} == {"generator"}


def test_the_mean_of_several_runs_is_exported_under_all_their_names(trained):
    runs = [gan(trained), trained("other", *tiny.overrides_for("gan"), "seed=1")]
    typed = ["out=ours", "threads=1", "format=safetensors", f"run=[{runs[0].path},{runs[1].path}]"]
    with pytest.raises(ValueError, match="run must be one run without soup, got 2"):
        export(compose("export", of_the_own(typed)))
    export(compose("export", of_the_own([*typed, "soup=[3,1]"])))
    one, other = (load_run(run.path).model.state_dict() for run in runs)
    ids = f"{runs[0].record['id']}, {runs[1].record['id']}"
    with safe_open("ours/model.safetensors", "pt") as file:
        for name in file.keys():  # noqa: SIM118
            if one[name].is_floating_point():
                torch.testing.assert_close(file.get_tensor(name), 0.75 * one[name] + 0.25 * other[name])
        about = json.loads(file.metadata()["genexp"])
    assert about["run"] == ids
    card = Path("ours/README.md").read_text()
    assert f"| run | {ids} |" in card
    assert "mean of 0.75 " in card
    assert "Nothing was measured under a protocol." in card
    assert "sha256 of the checkpoints and their shares" in card


def test_all_steps_of_a_sampler_are_one_graph(trained):
    """With classes, and with the fresh noise of its steps as an input."""
    folder = trained(
        "classes", *tiny.overrides_for("diffusion"), "model.num_classes=10", "model.network.multipliers=[1]"
    )
    exported(folder, "format=onnx", "part=sampler", "sampler=ddim", "sampler.steps=2", "sampler.eta=1")
    session, source = onnxruntime.InferenceSession("ours/model.onnx"), load_run(folder.path).model.source()
    noise, label = IndexedNoise(3, range(5)), torch.arange(5)
    start, fresh = noise.normal(*source.image_shape), noise.normal(*source.image_shape)
    feeds = {"noise": start.numpy(), "label": label.numpy(), "fresh": fresh[:, None].numpy()}
    (image,) = session.run(None, feeds)
    again = IndexedNoise(3, range(5))
    wanted = DDIM(2, eta=1.0).run(source, again.normal(*source.image_shape), again, {"label": label})
    torch.testing.assert_close(torch.from_numpy(image), wanted, rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match=r"sampler.precision must be 32-true in a file, got bf16-mixed"):
        exported(folder, "format=onnx", "part=sampler", "sampler.precision=bf16-mixed")


@pytest.mark.slow
@pytest.mark.parametrize("guidance", ["classifier_free", "per_condition"])
def test_guidance_is_in_the_graph_for_any_number_of_samples(guidance, trained):
    """Under captions that the network reads word by word; the text encoder is in the graph, too."""
    folder = trained("captions", *CAPTIONS)
    strength = "scale=3" if guidance == "classifier_free" else "scales={caption:3}"
    typed = [f"sampler/guidance={guidance}", f"sampler.guidance.{strength}"]
    exported(folder, "format=torch_export", "part=sampler", "sampler=ddim", "sampler.steps=2", *typed)
    part, source = torch.export.load("ours/model.pt2").module(), load_run(folder.path).model.source()
    caption = torch.randint(0, 4, (7, source.conditioning.kinds["caption"].length))
    noise = IndexedNoise(3, range(7)).normal(*source.image_shape)
    sampler = DDIM(2, guidance=ClassifierFree(3.0))
    wanted = sampler.run(source, noise, IndexedNoise(4, range(7)), {"caption": caption})
    torch.testing.assert_close(part(noise, caption), wanted, rtol=0, atol=1e-5)


PARTS = {
    "vae": (tiny.overrides_for("vae"), [], "decoder", "latent"),
    "encoder": (tiny.overrides_for("vae"), ["part=encoder"], "encoder", "image"),
    "denoiser": (tiny.overrides_for("diffusion"), [], "denoiser", "x_t,t"),
    "flow": (
        ["experiment=glow/digits", *tiny.COMMON, *tiny.LENGTH, "data.limit=100", "training.log_every=64"],
        [],
        "decoder",
        "latent",
    ),
    "vq_vae": (
        ["experiment=vq_vae/digits", *tiny.COMMON, *tiny.LENGTH, "data.limit=100", "training.log_every=64"],
        [],
        "decoder",
        "latent",
    ),
    "adain": (["experiment=adain/offline", *tiny.COMMON, "data.batch_size=8"], [], "stylizer", "content,style"),
    "espcn": (["experiment=espcn/photographs", *tiny.COMMON, "training.log_every=8"], [], "restorer", "picture"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_every_family_has_a_part(name, trained):
    """The command itself holds what onnxruntime gives against the run, with one sample and with five."""
    typed, further, part, inputs = PARTS[name]
    exported(trained(name, *typed), "format=onnx", *further)
    written = onnx.load("ours/model.onnx")
    content = json.loads(next(each.value for each in written.metadata_props if each.key == "genexp"))
    assert content["part"] == part
    assert [each.name for each in written.graph.input] == inputs.split(",")
    if part == "restorer":  # pictures of any size
        session = onnxruntime.InferenceSession("ours/model.onnx")
        model, picture = load_run(trained(name).path).model, torch.rand(2, 1, 14, 23)
        (image,) = session.run(None, {"picture": picture.numpy()})
        wanted = model.generator.restored(picture).clamp(-1, 1)
        torch.testing.assert_close(torch.from_numpy(image), wanted, rtol=0, atol=1e-5)


def test_a_model_of_one_value_after_the_other_is_no_graph(trained, monkeypatch):
    monkeypatch.setattr("genexp.inference.exporting.part_file.PartFile.write", None)
    short = [*tiny.COMMON, *tiny.LENGTH, "data.limit=100", "training.log_every=64"]
    folder = trained("in_order", "model=likelihood", *short)
    with pytest.raises(ValueError, match="part must not be sampler for a model of one value after the other, whose"):
        exported(folder, "format=onnx", "part=sampler")


def test_refusals_come_before_any_work(trained, monkeypatch):
    monkeypatch.setattr("genexp.inference.exporting.part_file.PartFile.write", None)
    folder = gan(trained)
    for typed, told in (
        (["format=onnx", "part=denoiser"], "part must be decoder, sampler for a run of GAN, got denoiser"),
        (["format=onnx", "label=3"], "label must be null for format=onnx, whose label is an input, got 3"),
        (["format=onnx", "sampler=latent"], "sampler must be null unless part=sampler, got one for part=null"),
        (["format=onnx", "part=sampler", "sampler=ddim"], "sampler must fit the run: DDIM draws from a Denoiser"),
        (["format=diffusers", "part=decoder"], "part must be null for format=diffusers"),
    ):
        with pytest.raises(ValueError, match=re.escape(told)):
            exported(folder, *typed)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"format=onnx needs the extra 'export', which holds onnx: uv sync --extra"):
        exported(folder, "format=onnx")


def test_a_file_that_gives_something_else_is_not_written(trained, monkeypatch):
    monkeypatch.setattr(onnx_file, "_caller", lambda written, file: lambda inputs: torch.zeros(len(inputs[0]), 1, 8, 8))
    with pytest.raises(ValueError, match=r"model\.onnx must give what the run gives, to 0\.0001, got a difference of"):
        exported(gan(trained), "format=onnx")
    assert not Path("ours/model.onnx").exists()
    assert held.TOLERANCE == 1e-4


def amplified(by, error=0.0):
    """A graph that enlarges its input about 10, and a file that errs beside it."""

    def call(x):
        return by * (x - 10.0) + error * (x * 0 + 1)

    return held.held_against(
        Graph("decoder", lambda x: by * (x - 10.0), {"x": Input(torch.full((3, 8), 10.0), "")}, "image", ""),
        lambda inputs: call(*inputs),
        Path("model.onnx"),
    )


def test_a_file_may_differ_by_what_rounding_changes_in_the_run_itself_and_by_no_more():
    one_bit = 2.0**-20  # of numbers from 8 to 16
    assert amplified(1.0, error=0.9e-4) == pytest.approx(0.9e-4, rel=1e-3)
    with pytest.raises(ValueError, match=r"to 0\.0001, got a difference of 0\.00011"):
        amplified(1.0, error=1.1e-4)
    assert amplified(100.0, error=300 * one_bit) == pytest.approx(300 * one_bit)
    with pytest.raises(ValueError, match=r"to 0\.00038, got a difference of 0\.00048"):
        amplified(100.0, error=500 * one_bit)
    with pytest.raises(ValueError, match=r"to 0\.001, got a difference of 0\.0019"):
        amplified(1000.0, error=2000 * one_bit)


def test_a_file_may_differ_by_what_rounding_changes_in_the_layers_of_the_run():
    layer, one_bit = torch.nn.Hardtanh(10.0, 11.0), 2.0**-20  # of an input that is far below, whose last bit is nothing
    call = lambda x: 100 * (layer(x) - 10.0)  # noqa: E731
    graph = Graph("decoder", call, {"x": Input(torch.full((3, 8), 1.0), "")}, "image", "")
    held.held_against(graph, lambda inputs: call(*inputs) + 300 * one_bit, Path("model.onnx"))
    with pytest.raises(ValueError, match=r"to 0\.00038, got a difference of 0\.00048"):
        held.held_against(graph, lambda inputs: call(*inputs) + 500 * one_bit, Path("model.onnx"))
    assert torch.equal(layer(torch.ones(2)), torch.full((2,), 10.0))  # nothing of the asking is left


def test_an_operator_without_a_word_is_named_with_its_module(trained, monkeypatch):
    folder = gan(trained)
    kept = load_run(folder.path)
    layer = next(each for each in kept.model.generator.modules() if list(each.parameters(recurse=False)))
    name = next(name for name, each in kept.model.named_modules() if each is layer)
    was = layer.forward
    layer.forward = lambda given: was(given) * torch.linalg.svdvals(given.flatten(1)).sum()
    with pytest.raises(ValueError, match=rf"format=onnx has no operator for aten\._linalg_svd, which .*{name} uses"):
        onnx_file.write_onnx(kept, graph_of(kept), {"licence": "mit"}, Path("model.onnx"))


def test_what_tensorrt_has_no_layer_for_is_listed():
    assert unsupported(["Conv", "Unique", "Gemm", "RandomNormal"]) == ["RandomNormal", "Unique"]
    assert "Conv" not in UNSUPPORTED
