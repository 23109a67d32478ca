"""What a shell offers behind `genexp`: the offers themselves, quickly made, and what bash makes of them."""

import os
import subprocess
import sys

import pytest

from genexp.__main__ import COMMANDS, main
from genexp.commands.shell_completion import offers
from genexp.commands.shells import HOW, INSTALL, UNINSTALL
from genexp.config.composition_errors import options


def offered(line):
    return set(offers(f"genexp {line}", COMMANDS))


CHOICES = (
    "adain",
    "bigan",
    "classifier",
    "contrastive",
    "cycle_gan",
    "diffusion",
    "gan",
    "hierarchy",
    "image_to_image",
    "johnson",
    "likelihood",
    "null",
    "quantised",
    "restoration",
    "restoration_of_pairs",
    "student",
    "style",
    "super_resolution",
    "vae",
)
MODELS = {f"model={each}" for each in CHOICES}
OFFERS = {
    "tr": {"train"},
    "train mod": {"model=", "model.", "model/"},
    "train model=": MODELS,
    "validate model=": MODELS,
    "train model=v": {"model=vae"},
    "train -m model=vae,g": {"model=vae,gan"},
    "train experiment=cfg/": {"experiment=cfg/cifar10", "experiment=cfg/digits"},
    "train model/net": {"model/network="},
    "train model/network=unet_": {
        f"model/network=unet_{each}"
        for each in ("adm", "adm_64", "classifier", "ddpm_cifar10", "frames", "small", "video")
    },
    "train model/critic/p": {"model/critic/penalties="},
    "train metrics=[fd,ki": {"metrics=[fd,kid"},
    "train ++trainer.max_e": {"++trainer.max_epochs="},
    "train model=vae model.lat": {"model.latent_size="},
    "train model=vae model.opt": {"model.optimizer."},
    "train model=vae model.network.": set(),
    "train model=none_such model.": set(),
    "train training.monitor=": {"training.monitor=auto"},
    "train trainer.deterministic=": {"trainer.deterministic=true", "trainer.deterministic=false"},
    "train optimizer@model.": {"optimizer@model.optimizer="},
    "train optimizer@model.optimizer=adamw": {"optimizer@model.optimizer=adamw"},
    "train hydra.launcher.sl": {"hydra.launcher.slots="},
    "train --cfg ": {"job", "hydra", "all"},
    "train --mul": {"--multirun"},
    "sample device=": {"device=auto", "device=cpu", "device=cuda"},
    "sample singles=": {"singles=true", "singles=false"},
    "evaluate reference=digi": {"reference=digits"},
    "reproduce ablation=ddim": {"ablation=ddim_table1"},
    "reproduce abl": {"ablation="},
    "sweep ": {"wandb"},
    "sweep wandb sweep=gan": {"sweep=gan_stability"},
    "sweep wandb method=b": {"method=bayes"},
    "info x": set(),
    "nothing x": set(),
}


@pytest.mark.parametrize("line", OFFERS)
def test_what_is_offered(line):
    assert offered(line) == OFFERS[line]


def test_every_command_and_every_top_level_key_is_offered():
    assert set(COMMANDS) <= offered("")
    assert {"seed=", "name=", "resume=", "data=", "experiment=", "data.", "training.", "hydra."} <= offered("train ")
    assert {f"ablation={each}" for each in options("ablation")} <= offered("reproduce ablation=")


def test_files_and_runs_are_offered_where_they_are_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, state in (("a", "finished"), ("b", "running")):
        folder = tmp_path / "outputs" / "vae digits" / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(f'{{"state": "{state}"}}')
    (tmp_path / "own.png").write_text("")
    (tmp_path / ".hidden").write_text("")
    assert offered("sample run=") == {"run=outputs/", "run=own.png", "run=outputs/vae digits/a"}
    assert offered("sample run=outputs/vae\\ di") == {"run=outputs/vae digits/"}
    assert offered("stylize content=o") == {"content=own.png", "content=outputs/"}
    assert offered("train data=folder data.source.root=o") == {"data.source.root=own.png", "data.source.root=outputs/"}
    assert offered("train resume=") == {
        "resume=auto",
        "resume=outputs/",
        "resume=own.png",
        "resume=outputs/vae digits/a",
    }
    assert offered("sample run=none/") == set()


def test_bash_completes_with_it(tmp_path):
    program = tmp_path / "genexp"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m genexp "$@"\n')
    program.chmod(0o755)
    (tmp_path / "my pictures").mkdir()
    script = (
        'eval "$(genexp -sc install=bash)"; COMP_WORDBREAKS=$\' \\t\\n"><=;|&(:\'\n'
        "complete -p genexp\n"
        'while IFS= read -r COMP_LINE; do COMP_POINT=${#COMP_LINE}; _genexp genexp; echo "${COMPREPLY[@]}"; done'
    )
    lines = [
        "genexp train mod",
        "genexp train model=",
        "genexp train model=v",
        "genexp stylize content=my",
        "genexp tr",
    ]
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "complete -o nospace -F _genexp genexp",
        "model. model/ model=",
        " ".join(sorted(each.removeprefix("model=") for each in MODELS)),
        "vae",
        "my\\ pictures/",
        "train",
    ]


@pytest.mark.parametrize("before", [[], ["train"]])
@pytest.mark.parametrize("flag", ["-sc", "--shell-completion"])
def test_every_shell_of_the_usage_is_served(before, flag, capsys):
    for shell in HOW:
        assert main([*before, flag, f"install={shell}"]) == 0
        assert capsys.readouterr().out == INSTALL[shell]
        assert main([*before, flag, f"uninstall={shell}"]) == 0
        assert capsys.readouterr().out == UNINSTALL[shell]


@pytest.mark.parametrize("arguments", [["-sc"], ["-sc", "install=tcsh"], ["-sc", "instal=bash"]])
def test_other_wishes_are_told_what_there_is(arguments, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert all(line in told for line in HOW.values())
