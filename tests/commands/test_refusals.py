"""What does not compose is said in one line, with the nearest right word, on the command line and by validate."""

import os
import subprocess
import sys

import pytest

import forking
from genexp.commands.launch import launch
from genexp.commands.train import train
from genexp.commands.typed_arguments import before_overrides, overrides_of
from genexp.config.check import problems_of
from genexp.config.compose import compose, own_choices
from genexp.config.composition_errors import options

EXPERIMENTS = options("experiment")

LINES = {
    "trainer.max_epoch=7": "trainer.max_epoch: does not exist in trainer; did you mean max_epochs?",
    "model.netwrk.width=8": "model.netwrk: does not exist in model; did you mean network?",
    "model.conditions=[label]": "model.conditions: must be a mapping of names to values, got [label]",
    "sead=1": "sead: does not exist; did you mean seed?",
    "seed.first=1": "seed.first: does not exist, seed has no keys",
    "model/netwrk=unet": "model/netwrk: is not a group; did you mean model/network?",
    "callbacks=defualt": "callbacks: must be one of classification, default, got 'defualt'; did you mean default?",
    "logger=[wandb,csvv]": "logger: must be one of comet, csv, mlflow, none, tensorboard, wandb, got 'csvv'; did you "
    "mean csv?",
    "launcher.slots=1": "launcher: does not exist; did you mean hydra.launcher.slots?",
    "slots=1": "slots: does not exist; did you mean hydra.launcher.slots?",
    "optimiser=adam": "optimiser: does not exist; did you mean optimizer@model.optimizer=adam?",
    "model.optimiser.lr=1": "model.optimiser: does not exist in model; did you mean optimizer?",
    "optimizer=adam": "optimizer: is not chosen by this name alone; did you mean optimizer@model.optimizer=adam?",
    "model/optimizer=adam": "model/optimizer: is not a group; did you mean optimizer@model.optimizer=adam?",
    "training.batch_size=3": "training.batch_size: does not exist in training; did you mean data.batch_size or "
    "callbacks.evaluate.batch_size?",
    "learning_rate=1": "learning_rate: does not exist; did you mean model.optimizer.lr?",
    "network=unet_small": "network: does not exist; did you mean model/network=unet_small?",
    "data.source.interpolatoin=nearest": "data.source.interpolatoin: does not exist in data.source; did you mean "
    "interpolation?",
    "model/features=vgg16": "model/features: does not exist here: this command, or its model, has none",
    "sampler.eta=0.5": "sampler.eta: does not exist in sampler; sampler=ddim has it",
    "zebra=3": "zebra: does not exist; known: approval, callbacks, data, extractor, group, job_type, logger, metrics, "
    "model, name, notes, paths, resume, run_dir, sampler, seed, tags, threads, trainer, training",
    "experiment=adain/shapes": f"experiment: must be one of adain/offline, adain/paper, or of {len(EXPERIMENTS) - 2} "
    "others, got 'adain/shapes'; did you mean adain/paper?",
    "experiment=zebra": f"experiment: must be one of the {len(EXPERIMENTS)} that genexp info lists, got 'zebra'",
    "gan": "an override must read key=value or group=choice, got 'gan'",
}


@pytest.mark.parametrize("override", LINES)
def test_the_line(override):
    assert problems_of("train", [override]) == [LINES[override]]


OF_ANOTHER = {
    ("model=vae", "experiment=cfg/digits"): "cfg/digits is of model=diffusion, got model=vae, for which "
    "model.label_dropout means nothing",
    ("experiment=toy/ring8", "model=vae"): "toy/ring8 is of model=gan, got model=vae, which has no model/generator",
    ("experiment=sngan/projection", "model=vae"): "sngan/projection is of model=gan, got model=vae, which has no "
    "model/critic/objective",
    ("experiment=quickstart", "model=style"): "quickstart is of model=diffusion, got model=style, for which "
    "model.num_classes means nothing",
    ("sampler=latent", "experiment=cfg/digits"): "cfg/digits is of sampler=ddim, got sampler=latent, which has no "
    "sampler/guidance",
}


@pytest.mark.parametrize("overrides", OF_ANOTHER)
def test_an_experiment_beside_a_choice_that_it_cannot_have(overrides):
    assert problems_of("train", list(overrides)) == [f"experiment: {OF_ANOTHER[overrides]}; leave one of them out"]


def test_another_guidance_than_that_of_an_experiment_takes_its_scale_or_says_what_to_type():
    (line,) = problems_of("train", ["experiment=cfg/digits", "sampler/guidance=none"])
    told = "sampler.guidance: none has no scale, which experiment=cfg/digits sets: type ~sampler.guidance.scale too"
    assert line == told
    for further in (["none", "~sampler.guidance.scale"], ["interval"], ["interval", "sampler.guidance.high=null"]):
        typed = [f"sampler/guidance={further[0]}", *further[1:]]
        assert problems_of("train", ["experiment=cfg/digits", *typed]) == []


def test_train_itself_says_it_in_one_line(monkeypatch, capsys, tmp_path):
    overrides = ["model=vae", "experiment=cfg/digits"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["genexp", "train", *overrides])
    with pytest.raises(SystemExit):
        launch("train", train, overrides)
    assert (
        capsys.readouterr().err == f"genexp train: experiment: {OF_ANOTHER[tuple(overrides)]}; leave one of them out\n"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "overrides",
    [
        *(["experiment=quickstart", "model=gan"], ["model=gan", "experiment=vae/digits"]),
        *(["experiment=cfg/digits", "data=shapes"], ["experiment=cfg/digits", "model=diffusion"]),
        ["experiment=cfg/digits", "model/network=unet_small"],
    ],
)
def test_choices_that_go_with_an_experiment_are_taken(overrides):
    assert problems_of("train", overrides) == []


def test_a_wrong_value_of_an_experiment_is_not_blamed_on_the_choice_beside_it():
    overrides = ["model=vae", "experiment=quickstart", "model.latent_sizes=3"]
    (line,) = problems_of("train", overrides)
    assert line.startswith("model.latent_sizes: does not exist in model; did you mean latent_size?")


def test_choices_in_folders_are_choices_of_experiments_alone():
    (line,) = problems_of("train", ["experiment=toy/ring9"])
    assert line.endswith("got 'toy/ring9'; did you mean toy/ring8?")
    (line,) = problems_of("train", ["model=dffusion"])
    assert line.endswith("got 'dffusion'; did you mean diffusion?")
    assert "network" not in line


def test_what_several_choices_share_is_not_offered_as_one():
    (problem,) = problems_of("train", ["data=strips"])
    assert problem.startswith(f"data: must be one of {', '.join(own_choices('data'))}, got 'strips'")


def test_what_only_hydra_knows_is_kept_on_one_line():
    (line,) = problems_of("train", ["+seed=3"])
    assert "An item is already at 'seed'" in line
    assert "\n" not in line
    (line,) = problems_of("train", ["model.network.multipliers.9=1"])
    assert "multipliers.9" in line
    assert "list index out of range" in line


def test_a_file_that_names_a_missing_file_is_not_blamed_on_the_command_line(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\ndefaults:\n  - override /model: diffusio\n")
    (line,) = problems_of("train", ["experiment=mine", f"hydra.searchpath=[file://{tmp_path}]"])
    assert "model/diffusio" in line
    assert "must be one of" not in line


def genexp(*arguments, cwd, program=None, **variables):
    return subprocess.run(
        [*(program or forking.genexp()), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | variables,
    )


@pytest.mark.parametrize("further", [[], ["-m"], ["--cfg", "job"]])
def test_the_command_line_says_one_line_and_makes_nothing(further, tmp_path):
    done = genexp("train", *further, "trainer.max_epoch=7", cwd=tmp_path, program=None if further else forking.FRESH)
    assert done.returncode == 1
    assert done.stderr == f"genexp train: {LINES['trainer.max_epoch=7']}\n"
    assert not list(tmp_path.iterdir())


def test_a_key_that_does_not_exist_hides_nothing_else(capsys, tmp_path):
    typed = ["training.max_image=3", "model.optimizer.lr=-1", "foo.bar=2", f"paths.outputs={tmp_path}"]
    said = problems_of("train", typed)
    keys = ["training.max_image", "foo", "model.optimizer.lr"]
    assert [line.split(":")[0] for line in said] == keys
    with pytest.raises(SystemExit):
        launch("train", train, typed)
    assert capsys.readouterr().err.splitlines() == [f"genexp train: {said[0]}", *said[1:]]
    assert not list(tmp_path.iterdir())


def test_a_value_that_cannot_be_read_names_its_key(tmp_path):
    done = genexp("reproduce", "ablation=iwae_k", "train=training.max_images=100", cwd=tmp_path)
    told = (
        "train: cannot be read, got training.max_images=100; a list is written [a,b], and text with = or brackets in it"
    )
    assert (done.returncode, done.stderr) == (1, f"genexp reproduce: {told} '...'\n")


@pytest.mark.parametrize("word", ["model.network.width=8", "data=mnist", "logger=none", "training.max_images=5"])
def test_an_ablation_says_where_the_settings_of_its_trainings_go(word, tmp_path):
    done = genexp("reproduce", "ablation=iwae_k", word, cwd=tmp_path)
    key = word.partition("=")[0]
    assert (done.returncode, done.stderr) == (
        1,
        f"genexp reproduce: {key}: is of the trainings, type train=[{word}]\n",
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seed", "1"], "unrecognized arguments: --seed 1; values are given as key=value"),
        (
            ["--max_epochs=3"],
            "unrecognized arguments: --max_epochs=3; keys have no dashes before them: max_epochs=3: "
            "training.max_images is the length",
        ),
        (
            ["--trainer.max_epochs=3"],
            "unrecognized arguments: --trainer.max_epochs=3; keys have no dashes before them: trainer.max_epochs=3",
        ),
        (
            ["--experimental-rerun", "config.pickle"],
            "--experimental-rerun reads a pickle, which may run anything; resume=<run> goes on with a run",
        ),
    ],
)
def test_a_flag_that_is_not_taken_is_said_in_one_line(words, said, tmp_path):
    done = genexp("train", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, f"genexp train: {said}\n")
    assert not list(tmp_path.iterdir())


def test_the_words_of_the_command_line_stay_as_they_were_typed(monkeypatch, capsys):
    typed = ["genexp", "train", "--cfg", "job", "--package", "seed", "data=digits"]
    monkeypatch.setattr(sys, "argv", typed)
    seen = []
    monkeypatch.setattr("hydra._internal.utils._run_hydra", lambda *_, **__: seen.append(list(sys.argv)))
    launch("train", train, typed[2:])
    assert seen == [typed]


def test_a_full_trace_can_still_be_asked_for(tmp_path):
    done = genexp("train", "sead=1", cwd=tmp_path, HYDRA_FULL_ERROR="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ConfigCompositionException" in done.stderr


def test_further_overrides_stand_beside_the_typed_ones():
    assert before_overrides(["-m", "seed=0,1"], ["experiment=quickstart"]) == [
        "-m",
        "experiment=quickstart",
        "seed=0,1",
    ]
    assert before_overrides(["--cfg", "job"], ["experiment=quickstart"]) == ["experiment=quickstart", "--cfg", "job"]
    assert before_overrides(["seed=1", "--cfg", "job"], ["a=1"]) == ["a=1", "seed=1", "--cfg", "job"]


def test_factors_by_layers_take_the_place_of_those_of_a_run_or_a_recipe():
    recorded = ["experiment=quickstart", "training.rate_factors={network.middle:0.1}"]
    typed = overrides_of("train", [*recorded, "training.rate_factors={network.up:0.5}"])
    assert compose("train", typed).training.rate_factors == {"network.up": 0.5}


def test_a_scale_where_nothing_guides_is_told_what_has_one():
    (told,) = problems_of("train", ["model.num_classes=10", "sampler.guidance.scale=2"])
    assert told.startswith("sampler.guidance.scale: does not exist")
    assert told.endswith("type sampler/guidance=classifier_free too, which has one")
