"""What a resumed run changes acts from its first batch or is refused by name; one that fails changes no byte."""

import errno
import re
import shutil
import sys
from pathlib import Path

import pytest

import tiny
from genexp.__main__ import main
from genexp.callbacks.cadence import StopAfter
from genexp.files import writing
from genexp.ramps import Constant
from genexp.training.resuming import FIXED, JUDGING

STATE = ("state_dict", "averaged", "optimizer_states", "counters", "ImageData")
TABLE = [
    [cell.strip(" `") for cell in line.strip("|\n").split("|")]
    for line in (Path(__file__).parents[2] / "docs/resuming.md").read_text().splitlines()
    if line.startswith("| `")
]


def options(update=0, **values):
    """Sets options of a live optimiser; its rate is the one before the ramp."""

    def by_hand(trainer, model):
        for group in trainer.optimizers[update].param_groups:
            group.update({"base_lr" if name == "lr" else name: value for name, value in values.items()})

    return by_hand


def attribute(name, value):
    """Sets an attribute of the live model."""
    return lambda trainer, model: setattr(model, name, value)


def callback(key, name, value):
    """Sets an attribute of a live callback."""

    def by_hand(trainer, model):
        setattr(next(each for each in trainer.callbacks if type(each).__name__ == key), name, value)

    return by_hand


def constant_rate(trainer, model):
    model.updates["autoencoder"].learning_rate = Constant()


def clip(trainer, model):
    model.updates["autoencoder"].clip = 0.001


ACTS = [
    ("vae", "model.optimizer.lr=1e-6", options(lr=1e-6)),
    ("vae", "model.optimizer.betas=[0.1,0.5]", options(betas=[0.1, 0.5])),
    ("vae", "model.optimizer.eps=0.5", options(eps=0.5)),
    ("vae", "model.optimizer.weight_decay=0.9", options(weight_decay=0.9)),
    ("vae", "+model.optimizer.maximize=true", options(maximize=True)),
    ("vae", "ramp@model.learning_rate=constant", constant_rate),
    ("vae", "model.beta.value=7.0", attribute("beta", Constant(7.0))),
    ("vae", "model.free_bits=2.0", lambda trainer, model: setattr(model.bound, "free_bits", 2.0)),
    ("vae", "model.clip=0.001", clip),
    ("vae", "training.accumulate=2", attribute("accumulate", 2)),
    ("vae", "callbacks.averaging.half_life=3", callback("Averaging", "half_life", 3)),
    ("vae", "callbacks.averaging.ramp_up=0.001", callback("Averaging", "ramp_up", 0.001)),
    ("gan", "model.generator_optimizer.lr=1e-6", options(1, lr=1e-6)),
    ("gan", "model.critic_optimizer.betas=[0.0,0.1]", options(0, betas=[0.0, 0.1])),
    ("gan", "model.critic_steps=2", attribute("critic_steps", 2)),
    ("diffusion", "model.optimizer.lr=1e-6", options(lr=1e-6)),
    ("adain", "model.optimizer.lr=1e-6", options(lr=1e-6)),
    ("classifier", "model.optimizer.weight_decay=0.9", options(weight_decay=0.9)),
    ("style", "model.optimizer.lr=0.01", options(lr=0.01)),
    ("sgd", "model.optimizer.momentum=0.5", options(momentum=0.5)),
    ("sgd", "model.optimizer.nesterov=true", options(nesterov=True)),
]
REFUSED = [
    ("vae", "seed=1", "seed must stay 0 in a resumed run, got 1"),
    ("vae", "data.seed=1", "data.seed must stay 0"),
    ("vae", "data.batch_size=16", "data.batch_size must stay 32"),
    ("vae", "name=other", "name must stay null in a resumed run, got other"),
    ("vae", "run_dir=elsewhere", "run_dir must be null or the run that is resumed"),
    ("vae", "model=gan", "model._target_ must stay genexp.families.vae.VAE"),
    ("vae", "optimizer@model.optimizer=adamw", "model.optimizer._target_ must stay torch.optim.Adam"),
    ("vae", "+model.optimizer.amsgrad=true", "model.optimizer.amsgrad must stay in a resumed run"),
    ("vae", "model.latent_size=3", "model.latent_size|encoder|decoder"),
    ("vae", "model/reconstruction=gaussian_learned", r"model.reconstruction\S* must stay"),
    ("vae", "model/decoder=mlp", r"model\.decoder\S* must stay"),
    ("vae", "sampler=ddim", "sampler: must fit the model: DDIM draws from a Denoiser"),
    ("gan", "model.generator.width=4", "model.generator.width must stay 8"),
    ("style", "model.init=noise", "model.init must stay content"),
    ("style", "model.optimizer.history_size=5", "model.optimizer.history_size must stay 20"),
    ("style", "data.source.content.root=flower.jpg", "content and style must be the same two images"),
    ("style", "model.features.last=relu4_1", "model.features must be the ones of the checkpoint"),
    ("vae", "callbacks.early.patience=9", "callbacks.early.patience must stay 5"),
]
EARLY = ["+callbacks.early._target_=lightning.pytorch.callbacks.EarlyStopping", "+callbacks.early.monitor=val/elbo"]
EARLY += ["+callbacks.early.patience=5", "+callbacks.early.mode=max"]
RECIPES = {
    "sgd": [*tiny.overrides_for("vae"), "optimizer@model.optimizer=sgd", "model.optimizer.lr=1e-5"],
    "vae": [*tiny.overrides_for("vae"), *EARLY],
    "adain": ["model=adain", *tiny.COMMON, *tiny.LENGTH, "data.image_size=16", "data.batch_size=4", "data.limit=8"],
    "classifier": ["model=classifier", "trainer=cpu", "logger=none", "threads=1", *tiny.LENGTH, "data.limit=100"],
}
RECIPES["adain"] += ["training.max_images=16", "training.evaluate_every=8", "training.checkpoint_every=8"]


def genexp(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["genexp", *arguments])
    assert main() == 0


def content(folder):
    """Every byte of a folder and its sub-folders."""
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()} | {
        str(each.relative_to(folder)): b"" for each in folder.rglob("*") if each.is_dir()
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run of a recipe, to be copied."""
    made = {}

    def run(recipe):
        if recipe not in made:
            outputs = tmp_path_factory.mktemp(recipe)
            with pytest.MonkeyPatch.context() as patch:
                overrides = RECIPES.get(recipe) or tiny.overrides_for(recipe)
                genexp(patch, "train", *overrides, f"paths.outputs={outputs}")
            made[recipe] = tiny.newest(outputs).path
        return made[recipe]

    return run


@pytest.fixture
def resumed(trained, tmp_path, monkeypatch):
    """Continues a copy of a run by one batch or a few, and returns its folder."""

    def run(recipe, *changes, by_hand=None):
        folder = tmp_path / f"copy{len(list(tmp_path.iterdir()))}"
        shutil.copytree(trained(recipe), folder)
        seen = tiny.checkpoint(tiny.RunFolder(folder))["counters"]["images_seen"]
        longer = seen + {"style": 2, "adain": 8}.get(recipe, 64)
        original = StopAfter.on_train_start

        def on_train_start(self, trainer, model):
            if by_hand:
                by_hand(trainer, model)
            original(self, trainer, model)

        with monkeypatch.context() as patch:
            patch.setattr(StopAfter, "on_train_start", on_train_start)
            genexp(patch, "train", f"resume={folder}", f"training.max_images={longer}", *changes)
        return tiny.RunFolder(folder)

    return run


@pytest.fixture(scope="module")
def plain():
    """Checkpoints of runs that were resumed without a change, by recipe; the same for every test."""
    return {}


QUICK = ("vae", "gan")
"""Recipes whose overrides are tried by default; the others are slow."""


@pytest.mark.parametrize(
    ("recipe", "override", "by_hand"),
    [pytest.param(*each, marks=[] if each[0] in QUICK else [pytest.mark.slow]) for each in ACTS],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_an_override_acts_from_the_first_batch_as_if_set_by_hand(recipe, override, by_hand, resumed, plain):
    if recipe not in plain:
        plain[recipe] = tiny.checkpoint(resumed(recipe))
    expected, got = tiny.checkpoint(resumed(recipe, by_hand=by_hand)), tiny.checkpoint(resumed(recipe, override))
    for part in ("state_dict", "averaged", "counters", "ImageData"):
        assert tiny.differences(expected.get(part), got.get(part), part) == []
    where = "averaged" if "averaging" in override else "state_dict"
    assert tiny.differences(plain[recipe][where], got[where]) != []


@pytest.mark.parametrize(("recipe", "override", "message"), REFUSED)
def test_what_cannot_act_is_refused_in_one_line_and_no_byte_changes(
    recipe, override, message, trained, monkeypatch, capsys
):
    folder = trained(recipe)
    before = content(folder)
    with pytest.raises(SystemExit) as left:
        genexp(monkeypatch, "train", f"resume={folder}", "training.max_images=100000", override)
    assert left.value.code == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(f"^genexp train: .*({message})", line), line
    assert content(folder) == before


@pytest.mark.parametrize("damage", ["checkpoint", "journal", "sampler", "disk"])
def test_a_resume_that_fails_leaves_every_byte(damage, trained, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "copy"
    shutil.copytree(trained("diffusion"), folder)
    typed = ["logger=wandb"]
    if damage == "checkpoint":
        whole = (folder / "checkpoints/last.ckpt").read_bytes()
        (folder / "checkpoints/last.ckpt").write_bytes(whole[: len(whole) // 2])
    elif damage == "journal":
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        (folder / "metrics.jsonl").write_text("\n".join([lines[0], '{"images_s', *lines[1:]]) + "\n")
    elif damage == "sampler":
        typed.append("sampler.steps=100000")  # looked at when training is about to start
    else:
        write, files = writing.os.replace, []

        def replace(partial, path):
            files.extend([path] if path.name in ("config.yaml", "overrides.yaml", "run.json") else [])
            if len(files) == 2 and path == files[1]:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            write(partial, path)

        monkeypatch.setattr(writing, "os", type("Full", (), {**vars(writing.os), "replace": replace}))
    before = content(folder)
    with pytest.raises(SystemExit):
        genexp(monkeypatch, "train", f"resume={folder}", "training.max_images=512", *typed)
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("genexp train: ")
    assert content(folder) == before


def test_a_plain_resume_is_exact_and_the_record_keeps_every_change(resumed, trained, monkeypatch):
    folder = resumed("diffusion", "model.optimizer.lr=1e-6")
    first = folder.record
    assert first["changed"]["model.optimizer.lr"] == [4e-3, 1e-6]
    assert first["config_digest"] != tiny.RunFolder(trained("diffusion")).record["config_digest"]
    genexp(monkeypatch, "train", f"resume={folder.path}")
    assert folder.record == first  # it has finished
    seen = folder.metrics["images_seen"]
    genexp(monkeypatch, "train", f"resume={folder.path}", f"training.max_images={seen + 64}")
    assert folder.record["changed"]["model.optimizer.lr"] == first["changed"]["model.optimizer.lr"]
    assert folder.record["changed"]["training.max_images"] == [first["changed"]["training.max_images"][0], seen + 64]
    assert folder.record["resumed"] == 2


@pytest.mark.parametrize("typed", ["training.monitor=val/loss", "sampler.steps=3", "callbacks.evaluate.num=16"])
def test_the_best_is_searched_anew_where_it_is_judged_otherwise(typed, resumed, trained):
    before = tiny.checkpoint(tiny.RunFolder(trained("diffusion")))["counters"]["images_seen"]
    folder = resumed("diffusion", typed)
    best = tiny.checkpoint(folder)["callbacks"]["Checkpoints"]["best"]
    assert best["images_seen"] > before
    assert tiny.checkpoint(folder, "best")["counters"]["images_seen"] == best["images_seen"]


def test_modules_that_are_not_averaged_any_more_are_forgotten(resumed):
    folder = resumed("vae", "callbacks.averaging.modules=[decoder]")
    assert list(tiny.checkpoint(folder)["averaged"]["modules"]) == ["decoder"]


def test_the_page_says_what_is_tested():
    told = {key: how.split()[0] for key, how, *_ in TABLE}
    assert set(told.values()) == {"acts", "refused"}

    def answer(key):
        fits = [name for name in told if re.fullmatch(re.escape(name).replace(r"\*", ".*"), key)]
        assert fits, key
        return told[max(fits, key=len)]

    for keys, expected in ((ACTS, "acts"), (REFUSED, "refused")):
        for _, override, _ in keys:
            key = override.lstrip("+").split("=")[0]
            key = key.split("@")[1] if "@" in key else key.replace("/", ".")
            if key in ("data", "sampler"):  # which of them, the page says in words
                continue
            assert answer(key) == expected, key
    assert all(answer(key.replace("*", "")) == "refused" for key in FIXED)
    assert all(answer(key) == "acts" for key in JUDGING)
