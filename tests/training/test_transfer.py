"""Runs that begin with the weights of another: what is taken, what begins anew, and what is refused before training."""

import re
from pathlib import Path

import pytest
import torch

import tiny
from games import digits_like, every_part, fit
from genexp.adversarial.weight_penalties import HistoricalAverage
from genexp.config.check import problems_of
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.families.low_rank import LowRank
from genexp.families.transfer import transferred

STORED = Path(__file__).parents[1] / "earlier_runs"
SHORT = ["data.batch_size=8", "training.evaluate_every=64", "training.checkpoint_every=8", "metrics=none"]
GAN = ["experiment=cgan/digits", *tiny.COMMON, *SHORT, *tiny.SMALL["gan"], "training.max_images=16"]
CLASSES = "generator.embedding,critic.discriminator.planes"
STILL = ["model.generator_optimizer.lr=0", "model.critic_optimizer.lr=0"]
FROZEN = "training.freeze=[critic.discriminator.body.0,generator.norms.0]"


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """A finished run of the digits 0 to 4."""
    outputs = tmp_path_factory.mktemp("five")
    return tiny.run([*GAN, "data.classes=[0,1,2,3,4]", "data.num_classes=5", f"paths.outputs={outputs}"])


def test_the_number_of_classes_is_swapped_and_all_else_taken_over(five, tmp_path, capsys):
    typed = [*GAN, "initial=run", f"initial.run={five.path}", f"paths.outputs={tmp_path}"]
    (told,) = problems_of("train", typed)
    for name, width in (("generator.embedding", 16), ("critic.discriminator.planes", 1)):  # all of them at once
        assert f"{name}.weight (10, {width}) here and (5, {width}) there" in told
    assert not problems_of("train", [*typed, "resume=a/run"])  # which has begun, with whatever it was
    cure = re.search(r"initial\.reset=\[[^]]*\]", told)[0]  # what the refusal says to type
    assert cure == f"initial.reset=[{CLASSES}]"
    folder = tiny.run([*typed, cure, *STILL, FROZEN])
    before, after = tiny.checkpoint(five), tiny.checkpoint(folder)
    network = build(folder.config["model"])
    averages, ours = before["averaged"]["modules"]["generator"], after["averaged"]["modules"]["generator"]
    for name, _ in network.named_parameters():
        if name.startswith(tuple(CLASSES.split(","))):
            assert len(after["state_dict"][name]) == 10
        elif name.startswith("generator"):  # the run's average, of the weights and of what is averaged from now on
            for begun in (after["state_dict"][name], ours[name.removeprefix("generator.")]):
                assert torch.equal(begun, averages[name.removeprefix("generator.")])
        else:
            assert torch.equal(after["state_dict"][name], before["state_dict"][name])
    told = capsys.readouterr().err
    assert f"initial     averaged weights of {five.path}: 14 of 16 tensors taken; reset: generator.embedding, " in told
    assert "frozen      280 parameters of critic.discriminator.body.0, generator.norms.0" in told
    digest = folder.config["initial"]["digest"]
    assert folder.record["parts"] == {"initial": {"run": str(five.path), "digest": digest}}
    (told,) = problems_of("train", [*typed, cure, "+initial.digest=000000000000"])
    assert "must be the one with the checkpoint 000000000000" in told


@pytest.mark.slow
def test_a_run_with_frozen_layers_that_began_with_another_is_resumed_bitwise(five, tmp_path):
    typed = [*GAN, "initial=run", f"initial.run={five.path}", f"initial.reset=[{CLASSES}]", FROZEN]
    typed += ["model.critic.penalties.r1.interval=2", "training.accumulate=2"]
    typed += [f"ramp@model.{player}_learning_rate=constant" for player in ("generator", "critic")]
    whole = tiny.run([*typed, "training.max_images=48", f"paths.outputs={tmp_path}/whole"])
    half = tiny.run([*typed, "training.max_images=24", f"paths.outputs={tmp_path}/half"])
    tiny.run([*typed, "training.max_images=48", f"paths.outputs={tmp_path}/half", f"resume={half.path}"])
    one, other = tiny.checkpoint(whole), tiny.checkpoint(half)
    for part in ("state_dict", "optimizer_states", "averaged", "counters"):
        assert tiny.differences(one[part], other[part], part) == []
    with pytest.raises(ValueError, match=r"initial.weights must stay averaged .* the weights were begun with it"):
        tiny.run([*typed, "initial.weights=raw", f"resume={half.path}", f"paths.outputs={tmp_path}/half"])


@pytest.mark.slow
@pytest.mark.parametrize("family", ["diffusion", "vae"])
def test_every_family_swaps_its_classes(family, tmp_path):
    typed = ["experiment=cfg/digits"] if family == "diffusion" else ["experiment=vae/class_conditional"]
    typed += [*tiny.COMMON, *SHORT, *tiny.SMALL[family], "data.batch_size=8", "training.max_images=8"]
    few = ["data.classes=[0,1,2]", "data.num_classes=3", f"paths.outputs={tmp_path}/three"]
    typed += ["initial=run", f"initial.run={tiny.run([*typed, *few]).path}", f"paths.outputs={tmp_path}/ten"]
    (told,) = problems_of("train", typed)
    rate = "model.optimizer.lr=0"
    folder = tiny.run([*typed, rate, re.search(r"initial\.reset=\[[^]]*\]", told)[0]])
    first = tiny.checkpoint(tiny.newest(tmp_path / "three"))["averaged"]["modules"]
    last = tiny.checkpoint(folder)["averaged"]["modules"]
    same = [
        torch.equal(last[module][name], value)
        for module, tensors in first.items()
        for name, value in tensors.items()
        if value.shape == last[module][name].shape
    ]
    assert len(same) > 4
    assert all(same)


def test_some_layers_alone_take_over_and_the_others_are_as_the_seed_makes_them():
    model, other = (build(compose("train", ["model=gan", *tiny.SMALL["gan"]]).model) for _ in range(2))
    given, own = other.state_dict(), {name: value.clone() for name, value in model.state_dict().items()}
    found = transferred(model, given, only=["critic.discriminator.body.*"])
    for name, value in model.state_dict().items():
        assert torch.equal(value, (given if name in found.taken else own)[name])
    assert found.taken
    assert all(name.startswith("critic.discriminator.body.") for name in found.taken)
    assert {*found.taken, *found.beyond} == set(given)


def test_means_of_parameters_begin_with_the_weights_that_were_taken():
    node = compose("train", ["model=gan", *tiny.SMALL["gan"], "model/generator_penalties=historical_average"]).model
    model, other = build(node), build(compose("train", ["model=gan", *tiny.SMALL["gan"]]).model)
    found = transferred(model, other.state_dict())
    assert "penalties.with_state.historical_average" in found.note()
    (penalty,) = (each for each in model.modules() if isinstance(each, HistoricalAverage))
    for name, parameter in model.generator.named_parameters():
        assert torch.equal(penalty.get_buffer(name.replace(".", "/")), parameter)


REFUSED = {
    "initial": (f"initial.run={STORED / 'vae'}", "must have layers of this model, got one of decoder, encoder"),
    "initial.only": ("initial.only=[generater]", "got generater; did you mean generator?"),
    "initial.reset": ("initial.reset=[critic.discriminator.plane]", "did you mean critic.discriminator.planes?"),
    "initial.rest": ("initial.rest=[a]", "is not an argument of genexp.inference.trained.TrainedWeights"),
}


@pytest.mark.parametrize("key", REFUSED)
def test_what_cannot_be_taken_over_is_refused_by_name(key, five):
    typed, message = REFUSED[key]
    add = "+" if key == "initial.rest" else ""
    (told,) = problems_of("train", [*GAN, "initial=run", f"initial.run={five.path}", f"{add}{typed}"])
    assert told.startswith(f"{key}: ")
    assert message in told


def test_a_student_that_begins_with_its_teacher_begins_with_nothing_else():
    typed = ["experiment=progressive_distillation/digits", "initial=run", f"initial.run={STORED / 'vae'}"]
    told = problems_of("train", [*typed, f"model.goal.teacher.run={STORED / 'vae'}"])
    assert any("initial: must be null with model.goal.teacher" in each for each in told)


def test_what_follows_training_begins_anew():
    """Warm-ups, controllers and means are of the training that is past, and of its data."""
    first, second = every_part(), every_part()
    fit(first, digits_like(4, 8, labels=True))
    fresh = {name: value.clone() for name, value in second.state_dict().items()}
    note = transferred(second, first.state_dict()).note()
    after, source = second.state_dict(), first.state_dict()
    parameters = {name for name, _ in first.named_parameters()}
    assert all(torch.equal(after[name], source[name]) for name in parameters)
    state = [name for name in fresh if name not in parameters]
    means = [name for name in state if ".history." in name and not name.endswith("steps")]
    others = [name for name in state if name not in means]
    assert any("ada" in name for name in others)
    assert any("lecam" in name for name in others)
    assert all(torch.equal(after[name], fresh[name]) for name in others)
    assert any(not torch.equal(source[name], fresh[name]) for name in others)
    assert "anew, of this training: " in note


def test_means_of_parameters_are_those_of_layers_with_low_rank_updates():
    model = every_part()
    still = LowRank(rank=2).adapt(model)
    model.freeze([], still)
    assert fit(model, digits_like(2, 8, labels=True)).batches == 2
