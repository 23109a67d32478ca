"""Runs that begin with the weights of a file: what an export holds is taken bit for bit, and others are refused."""

import re

import pytest
import torch
from safetensors.torch import save_file

import tiny
from genexp.commands.export import export
from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.inference.published import FileWeights
from genexp.inference.run import load_run

SHORT = ["training.max_images=64", "training.evaluate_every=64", "training.checkpoint_every=64"]
GAN = [*tiny.overrides_for("gan"), *SHORT]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A finished run, and the weights of its generator."""
    root = tmp_path_factory.mktemp("exported")
    run = tiny.run([*GAN, f"paths.outputs={root / 'runs'}"])
    export(compose("export", [f"run={run.path}", f"out={root / 'out'}", "format=safetensors", "threads=1"]))
    return run, root / "out" / "model.safetensors"


def test_a_generator_begins_as_it_was_exported_and_the_critic_anew(exported, tmp_path, capsys):
    run, file = exported
    still = ["model.generator_optimizer.lr=0", "model.critic_optimizer.lr=0"]
    folder = tiny.run([*GAN, "initial=file", f"initial.weights={file}", *still, f"paths.outputs={tmp_path}"])
    before, after = load_run(run.path).model, load_run(folder.path, "raw").model
    ours, theirs = after.generator.state_dict(), before.generator.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name, _ in before.generator.named_parameters())
    critic = before.critic.state_dict()
    assert not all(torch.equal(critic[name], value) for name, value in after.critic.state_dict().items())
    said = capsys.readouterr()
    assert re.search(r"model\.safetensors@[0-9a-f]{12}: \d+ of \d+ tensors taken", said.out + said.err)
    assert folder.config["initial"]["weights"] == str(file)


def test_a_run_begins_with_the_mean_of_several(exported, tmp_path):
    run, _ = exported
    other = tiny.run([*GAN, "seed=1", f"paths.outputs={tmp_path / 'other'}"])
    both = [f"run=[{run.path},{other.path}]", "soup=uniform", "format=safetensors", f"out={tmp_path / 'soup'}"]
    export(compose("export", [*both, "threads=1"]))
    still = ["model.generator_optimizer.lr=0", "model.critic_optimizer.lr=0", f"paths.outputs={tmp_path / 'begun'}"]
    folder = tiny.run([*GAN, "initial=file", f"initial.weights={tmp_path / 'soup/model.safetensors'}", *still])
    begun = load_run(folder.path, "raw").model.generator
    one, two = (load_run(each.path).model.generator.state_dict() for each in (run, other))
    for name, weight in begun.named_parameters():
        torch.testing.assert_close(weight.detach(), (one[name] + two[name]) / 2)


def test_what_does_not_fit_is_told(exported, tmp_path):
    _, file = exported
    damaged, other = tmp_path / "damaged.safetensors", tmp_path / "other.safetensors"
    damaged.write_bytes(b"12345678")
    save_file({"elsewhere.weight": torch.zeros(2)}, other)
    for given, typed, told in (
        ({"weights": file}, ["model.generator.width=16"], "initial.reset must name the layers that are other"),
        ({"weights": other}, [], "initial must have layers of this model, got one of elsewhere, of which none"),
        ({"weights": damaged}, [], "could not read"),
        ({"weights": file, "digest": "00000000"}, [], "must have a SHA-256 that begins with 00000000"),
    ):
        model = build(compose("train", [*GAN, *typed]).model)
        with pytest.raises(ValueError, match=told):
            FileWeights(**{name: str(value) for name, value in given.items()}).give(model)
    (missing,) = problems_of("train", [*GAN, "initial=file", "initial.weights=nowhere.safetensors"], here=True)
    assert "initial.weights" in missing


def test_layers_are_chosen(exported):
    run, file = exported
    config = compose("train", [*GAN, "initial=file", f"initial.weights={file}"])
    model, state = build(config.model), load_run(run.path).model.state_dict()
    first = next(name for name in state if name.startswith("generator.")).rsplit(".", 1)[0]
    config.initial.only = [first]
    note = build(config.initial).give(model)
    assert "left as they are" in note
    own = model.state_dict()
    taken = {name for name in state if name.startswith("generator.") and torch.equal(own[name], state[name])}
    assert {name for name in taken if "weight" in name} == {f"{first}.weight"}
