"""An AutoencoderKL of a folder as a codec: the latents of diffusers itself, and a run that is trained on them."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from hydra.errors import InstantiationException

import genexp
import tiny
from genexp.__main__ import main
from genexp.commands.evaluate import evaluate
from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.inference.diffusers_codec import DiffusersCodec
from hub_folders import autoencoder

SHAPE = (3, 16, 16)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@torch.no_grad()
@pytest.mark.parametrize("settings", [{}, {"scaling_factor": 1.5, "shift_factor": -0.3, "use_quant_conv": False}])
def test_codes_and_images_are_those_of_diffusers(settings):
    theirs = autoencoder("vae", **settings)
    codec, image = DiffusersCodec("vae", SHAPE), torch.rand(3, *SHAPE) * 2 - 1
    shift = settings.get("shift_factor", 0.0)
    wanted = (theirs.encode(image).latent_dist.mean - shift) * settings.get("scaling_factor", 0.18215)
    with torch.autocast("cpu", torch.bfloat16):  # as in a mixed-precision training
        found = codec.encode(image)
    assert tuple(found.shape[1:]) == codec.code_shape == (3, 8, 8)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    back = theirs.decode(wanted / theirs.config.scaling_factor + shift).sample
    assert back.abs().max() > 0.1
    torch.testing.assert_close(codec.decode(wanted), back.clamp(-1, 1), rtol=0, atol=1e-5)
    other = DiffusersCodec("vae", SHAPE, scale=2.0)
    torch.testing.assert_close(other.encode(image), found * 2 / codec.scale)
    assert codec == DiffusersCodec("vae", SHAPE) != other
    tiled = DiffusersCodec("vae", SHAPE, tile=8).decode(found)
    assert tiled.shape == back.shape


def test_names_of_attention_that_diffusers_wrote_before_are_read():
    """Stable Diffusion's autoencoder, as it is published, names them so."""
    from safetensors.torch import load_file, save_file

    theirs = autoencoder("vae")
    path = Path("vae/diffusion_pytorch_model.safetensors")
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = load_file(path)
    for name in [name for name in state if ".attentions." in name]:
        now = name
        for new, before in old.items():
            now = now.replace(f".{new}.", f".{before}.")
        state[now] = state.pop(name)
    assert any("proj_attn" in name for name in state)
    save_file(state, path, {"format": "pt"})
    image = torch.rand(2, *SHAPE) * 2 - 1
    wanted = theirs.encode(image).latent_dist.mean * theirs.config.scaling_factor
    torch.testing.assert_close(DiffusersCodec("vae", SHAPE).encode(image), wanted.detach(), rtol=0, atol=1e-5)


def _edited(**changed):
    path = Path("vae/config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def test_folders_that_do_not_serve_are_refused_in_one_line(monkeypatch):
    def refused(told, shape=SHAPE, **given):
        with pytest.raises((ValueError, FileNotFoundError), match=told) as caught:
            DiffusersCodec("vae", shape, **given)
        assert "\n" not in str(caught.value)

    refused("folder must be a folder that is there, got vae$")
    refused("needs it where it was: where it was moved, a link does, ln -s", digest="123456789012")
    autoencoder("vae")
    refused("folder must be of an autoencoder of images of 1 channels, got in_channels 3, out_channels 3", (1, 16, 16))
    refused("image_shape must have sides that the codec's factor 2 divides, got .3, 15, 15.", (3, 15, 15))
    refused(
        r"folder must be the one with the digest 123456789012, got vae with \w{12}: it was replaced",
        digest="123456789012",
    )
    refused("scale must be above 0", scale=-1.0)
    _edited(quantization_config={})
    refused("folder must have settings that AutoencoderKL of diffusers knows, got quantization_config in")
    shutil.rmtree("vae")
    autoencoder("vae", latents_mean=[0.0] * 3, latents_std=[1.0] * 3)
    refused("folder must be of an autoencoder with latents_mean null, got")
    _edited(_class_name="AutoencoderTiny")
    refused("folder must be of AutoencoderKL, got AutoencoderTiny in")
    shutil.rmtree("vae")
    autoencoder("vae")
    _edited(layers_per_block=2)
    refused("folder must hold the weights of its AutoencoderKL, got vae with .* missing")
    _edited(layers_per_block=1, latent_channels=5)
    refused("folder must hold a AutoencoderKL that diffusers loads, got vae")
    _edited(latent_channels="many")
    refused("folder must hold a AutoencoderKL that diffusers loads, got vae")
    Path("vae/config.json").write_text("{")
    refused("config.json in vae cannot be read")
    Path("vae/config.json").unlink()
    refused("folder must hold config.json, as diffusers saves it, got vae without it")
    shutil.rmtree("vae")
    autoencoder("vae")
    weights = Path("vae/diffusion_pytorch_model.safetensors")
    weights.write_bytes(weights.read_bytes()[:500])
    refused("weights must be those of a network as diffusers saves them, could not read")
    weights.rename(weights.with_suffix(".bin"))
    refused("folder must hold diffusion_pytorch_model.safetensors, .* without it, and .bin files are not read")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused("folder needs the extra 'hub', which holds diffusers: uv sync --extra hub")


GIVEN = ["experiment=ldm/shapes", "model/codec=diffusers", "model.codec.folder=vae"]
SMALL = [
    *("data.image_size=16", "model.network.image_size=8", "model.network.channels=3", "model.network.width=8"),
    *("data.batch_size=4", "training.max_images=8", "training.evaluate_every=8", "metrics=none"),
    *("data.source.train_images=960", "sampler.steps=2"),
]


def test_a_diffusion_of_its_codes_trains_draws_and_is_measured(capsys, monkeypatch):
    autoencoder("vae")
    typed = [*GIVEN, *tiny.COMMON, *SMALL]
    assert problems_of("train", typed, here=True) == []
    typed = [each for each in typed if "evaluate.num" not in each]
    run = tiny.run(typed)
    codec = DiffusersCodec("vae", SHAPE)
    folder = str(Path("vae").resolve())
    assert run.record["parts"] == {"model.codec": {"folder": folder, "digest": codec.digest}}
    assert not [key for key in tiny.checkpoint(run)["state_dict"] if not key.startswith("network.")]
    opened = genexp.load_run(run.path)
    assert opened.config.model.codec.digest == codec.digest
    images = opened.samples(3)
    assert images.shape == (3, *SHAPE)
    few = ["num=16", "metrics=fd", "device=cpu", "threads=1", "pictures=0", "grid=0", "extractor=random"]
    evaluate(compose("evaluate", [f"run={run.path}", *few]))
    assert "fd/" in capsys.readouterr().out
    edited = ["edit=noised", f"images={_pictures()}", "edit.strength=0.5", "num=2", "out=edited"]
    monkeypatch.setattr(sys, "argv", ["genexp", "sample", f"run={run.path}", *edited])
    main()
    assert list(Path("edited").rglob("*.png"))
    autoencoder("other", scaling_factor=1.0)
    resumed = [*typed, f"resume={run.path}", "model.codec.folder=other", "training.max_images=16"]
    monkeypatch.setattr(sys, "argv", ["genexp", "train", *resumed])
    with pytest.raises(SystemExit):
        main()
    told = capsys.readouterr().err
    assert "model.codec.digest must stay" in told
    assert "the network has learned the codes of that autoencoder" in told
    autoencoder("vae", scaling_factor=1.0)
    with pytest.raises(InstantiationException, match="folder must be the one with the digest"):
        genexp.load_run(run.path).samples(1)


def _pictures():
    from PIL import Image

    Path("mine").mkdir()
    Image.new("RGB", (16, 16), "red").save("mine/red.png")
    return "mine"


def test_networks_of_other_codes_and_images_of_other_channels_are_told_before_anything_is_done():
    autoencoder("vae")
    wrong = problems_of("train", [*GIVEN, *SMALL, "model.network.channels=4"], here=True)
    assert [line for line in wrong if "must take codes of shape [3, 8, 8]" in line]
    wrong = problems_of("train", [*GIVEN, *SMALL, "model.codec.folder=nowhere"], here=True)
    assert [each.partition(" (")[0] for each in wrong] == [
        "model.codec.folder: must be the path of a folder that exists, got nowhere"
    ]
    assert problems_of("train", GIVEN[:2], here=True) == ["model.codec.folder: must be given"]
