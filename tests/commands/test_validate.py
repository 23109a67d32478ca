"""validate says what the command itself would: it takes what that takes, and looks at the run that is named."""

import shutil
import sys
from pathlib import Path

import pytest

from genexp.commands import validate
from genexp.commands.launch import launch
from genexp.commands.sample import sample
from genexp.inference.run import load_run
from genexp.inference.trained_codec import TrainedCodec
from genexp.inference.untrained_run import untrained

STORED = Path(__file__).parents[1] / "earlier_runs"
VAE, TOY, GAN = (f"run={STORED / name}" for name in ("vae", "toy", "gan"))

TAKEN = [
    ["sample", TOY, "sampler=ddim", "sampler.eta=0.5"],
    ["sample", TOY, "sampler.steps=5"],
    ["sample", VAE, "sampler=latent_mixture", "threads=1"],
    ["evaluate", TOY, "sampler.steps=5", "reference=test"],
    ["evaluate", "self_check=true", "reference=digits"],
    ["evaluate", f"generated={STORED}", "reference=digits:test"],
    ["compare", f"runs={STORED}/**", "metrics=fd"],
    ["reproduce", "ablation=pacgan_packing_grid", "train=[model.clip=8,seed=3]", "--status"],
    ["reproduce", "ablation=glob(pacgan*)"],
    ["stylize", "content=china.jpg", "style=flower.jpg"],
    ["train", f"resume={STORED / 'toy'}", "trust=true"],
]


@pytest.mark.parametrize("typed", TAKEN, ids=" ".join)
def test_what_a_command_takes_is_valid(typed, capsys):
    assert validate.main(typed) == 0, capsys.readouterr().out
    assert "1 configuration checked, 0 with problems" in capsys.readouterr().out


REFUSED = {
    ("sample", "run=nowhere"): "run must be a run folder or a file inside one, got nowhere",
    ("sample", VAE, "sampler=ddim"): "sampler must fit the model of the run: DDIM draws from a Denoiser, got",
    ("sample", TOY, "sampler.num_inference_steps=5"): "sampler.num_inference_steps: is not an argument of",
    ("sample", TOY, "sheet.steps=[5,10]"): "sheet must be empty for a model of points",
    ("sample", TOY, "condition.label=3"): "condition.label must be null",
    ("sample", TOY, "checkpoint=snapshot"): "checkpoint must be best or last of this run, or a file, got snapshot; ",
    ("sample", GAN, "edit=noised", "images=no.png"): "images must be a picture file or a folder of them, got no.png",
    ("evaluate",): "one of run and generated must be given, got neither; ",
    ("evaluate", TOY, "generated=x"): "one of run and generated must be given, got run and generated",
    ("evaluate", TOY, "metrics=flow_likelihood"): "metrics.flow_likelihood must fit the model of the run: ",
    ("evaluate", TOY, "metrics=none"): "metrics must name at least one metric, got none",
    ("evaluate", TOY, "reference=nowhere"): "reference must be a split (train, val, test), a data set",
    ("evaluate", "generated=.", "reference=train"): "reference must name the data that a split belongs to",
    ("compare", "runs=nowhere"): "runs must name folders that exist, got nowhere",
    ("reproduce", "ablation=nothing"): "ablation must be a YAML file, glob(<pattern>) or one of",
    ("stylize", "content=a.jpg", "style=b.jpg"): "content must be a picture file",
    ("restore", "run=nowhere"): "input must name a picture or a folder of them",
    ("restore", TOY, "input=china.jpg"): "run must be one that restores pictures: ",
    ("restore", TOY, "input=no.png"): "input must be a picture file (or china.jpg or flower.jpg), got no.png",
    ("train", "resume=nowhere"): "resume must be a run folder or a file inside one, got nowhere",
    ("train", "sweep.resume=nowhere"): "sweep.resume must name the folder of a sweep",
}


@pytest.mark.parametrize("typed", REFUSED, ids=" ".join)
def test_what_a_command_refuses_as_it_begins_is_told(typed, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert validate.main(list(typed)) == 1
    command, line, *_ = capsys.readouterr().out.splitlines()
    assert command == f"genexp {' '.join(typed)}"
    assert line.strip().startswith(REFUSED[typed])


def test_what_is_left_unread_is_said(capsys):
    validate.main(["sample", VAE])
    assert capsys.readouterr().out == "not read: the run's weights and data\n1 configuration checked, 0 with problems\n"


def test_the_command_itself_says_the_same(capsys, monkeypatch, tmp_path):
    typed = [TOY, "sheet.steps=[5,10]"]
    validate.main(["sample", *typed])
    told = capsys.readouterr().out.splitlines()[1].strip()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["genexp", "sample", *typed])
    with pytest.raises(SystemExit):
        launch("sample", sample, typed)
    assert capsys.readouterr().err.splitlines()[-1] == f"genexp sample: {told}"


def test_an_untrained_run_is_the_run_but_for_its_weights():
    run = load_run(STORED / "vae")
    bare = untrained(run)
    shapes = {name: value.shape for name, value in run.model.state_dict().items()}
    assert {name: value.shape for name, value in bare.model.state_dict().items()} == shapes
    assert (bare.folder, bare.trained, run.trained) == (run.folder, False, True)


def test_every_job_of_a_sweep_is_looked_at(capsys):
    assert validate.main(["-m", "seed=0,1", "training.max_images=0"]) == 1
    told = capsys.readouterr()
    assert told.err == "2 configurations checked, 2 with problems\n"
    assert "genexp train seed=1 training.max_images=0" in told.out


def test_a_run_without_a_checkpoint_says_which_files_there_are(tmp_path):
    shutil.copytree(STORED / "vae", tmp_path / "run")
    (tmp_path / "run/checkpoints/best.ckpt").unlink()
    with pytest.raises(FileNotFoundError, match=r"^checkpoint must be last of .*, got best; .* holds last.ckpt$"):
        load_run(tmp_path / "run", checkpoint="best")
    (tmp_path / "run/checkpoints/last.ckpt").unlink()
    told = r"^run must have a checkpoint, and .*run has none: the first comes after \d+ images, and its training ended "
    with pytest.raises(FileNotFoundError, match=told + "before; begin it anew: genexp train "):
        load_run(tmp_path / "run")


def test_a_part_that_was_moved_is_found_again_by_a_link(tmp_path):
    shutil.copytree(STORED / "vae", tmp_path / "now")
    then, digest = tmp_path / "then", load_run(STORED / "vae").digest[:12]
    with pytest.raises(FileNotFoundError, match=r"no run.json there\); what was .* ln -s <its folder now> .*then$"):
        TrainedCodec(str(then), digest=digest)
    with pytest.raises(FileNotFoundError, match=r"no run.json there\)$"):
        TrainedCodec(str(then))
    below = rf"got {tmp_path} \(no run.json there\); the newest of 1 below it is {tmp_path}/now$"
    with pytest.raises(FileNotFoundError, match=below):
        load_run(tmp_path)
    then.symlink_to(tmp_path / "now")
    assert TrainedCodec(str(then), digest=digest).digest == digest
