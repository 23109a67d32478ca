"""An ensemble of denoisers by noise level: exactly one of them at either end, each at its own times, and refusals."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import genexp
import tiny
from exact_denoisers import Mixture
from genexp.commands.evaluate import evaluate
from genexp.commands.sample import sample
from genexp.config.compose import compose
from genexp.diffusion.continuous import RectifiedFlow
from genexp.diffusion.exploding import Exploding, NoiseLevel
from genexp.diffusion.schedules import Cosine, Linear
from genexp.diffusion.time_sampling import Below
from genexp.inference.refining import settle_several
from genexp.sampling.ddim import DDIM
from genexp.sampling.refining import Refined
from genexp.tensors import IndexedNoise


def drawn(sampler, model):
    return sampler.run(model, sampler.start(model, IndexedNoise(0, range(50))), IndexedNoise(0, range(50)))


def test_at_either_end_it_is_one_of_the_two_and_between_each_is_asked_once_a_step():
    schedule = Cosine(100)
    base, refiner = Mixture(schedule, std=0.2), Mixture(schedule, std=0.5)
    alone = drawn(DDIM(20), base), drawn(DDIM(20), refiner)
    assert torch.equal(drawn(DDIM(20, guidance=Refined(refiner, 0)), base), alone[0])
    assert torch.equal(drawn(DDIM(20, guidance=Refined(refiner, 1)), base), alone[1])
    base.calls = refiner.calls = 0
    between = drawn(DDIM(20, guidance=Refined(refiner, 0.25)), base)
    assert (base.calls, refiner.calls) == (15, 5)  # times 100 to 30, and 25 to 5
    assert not torch.equal(between, alone[0])
    t = torch.tensor([10, 25, 26])
    x_t = torch.randn(3, 1, dtype=torch.float64)
    found = Refined(refiner, 0.25)(base)(x_t, t)
    assert torch.equal(found, torch.cat([refiner(x_t, t)[:2], base(x_t, t)[2:]]))


def test_a_refiner_is_trained_at_the_times_at_which_it_is_asked():
    place, schedule = torch.rand(5000), Cosine(1000)
    found = Below(0.2).times(place, schedule)
    assert (int(found.min()), int(found.max())) == (1, 200)
    assert torch.equal(Below(1.0).times(place, schedule), schedule.times(place))
    with pytest.raises(ValueError, match=r"most must lie in \(0, 1\], got 0"):
        Below(0)


def test_what_does_not_go_together_is_refused():
    model = Mixture(Cosine(100))
    with pytest.raises(ValueError, match=r"switch_at must lie in \[0, 1\], got 2"):
        Refined(model, 2)
    with pytest.raises(ValueError, match="refiner must have the noise levels of the model's schedule, got others"):
        Refined(Mixture(Linear(100)))(model)


@pytest.mark.slow  # two short trainings
def test_commands_draw_and_measure_a_base_and_its_refiner(tmp_path):
    small = [*tiny.COMMON, "data.batch_size=16", "data.limit=64", "training.max_images=64", "model.network.width=8"]
    runs = []
    for name in ("shapes", "refiner_shapes"):
        place = [
            f"paths.outputs={tmp_path}/{name}",
            "training.evaluate_every=64",
            "sampler.steps=3",
            "data.image_size=16",
        ]
        runs.append(str(tiny.run([f"experiment=sdxl/{name}", *small, *place]).path))
    given = [
        f"run=[{','.join(runs)}]",
        "num=4",
        "threads=1",
        "singles=true",
        "frames=0",
        "interpolate=0",
        "provenance=false",
    ]
    found = {}
    for at in (0, 0.5, 1):
        sample(compose("sample", [*given, f"switch_at={at}", f"out={tmp_path}/at{at}"]))
        found[at] = [(tmp_path / f"at{at}" / "images" / f"00000{i}.png").read_bytes() for i in range(4)]
    for at, run in ((0, runs[0]), (1, runs[1])):
        sample(compose("sample", [f"run={run}", *given[1:], f"out={tmp_path}/alone{at}"]))
        assert found[at] == [(tmp_path / f"alone{at}" / "images" / f"00000{i}.png").read_bytes() for i in range(4)]
    assert found[0.5] not in (found[0], found[1])
    told = ["+condition.size=[16,16]", "+condition.crop=[4,4]"]
    sample(compose("sample", [f"run={runs[0]}", *given[1:], *told, f"out={tmp_path}/told"]))
    assert json.loads((tmp_path / "told" / "sample.json").read_text())["condition"] == {
        "size": [16, 16],
        "crop": [4, 4],
    }
    options = ["metrics=vendi", "floor=null", "pictures=0", "wandb=false", "cache=null", "num=6", "threads=1"]
    evaluate(compose("evaluate", [given[0], "switch_at=0.5", *options, f"out={tmp_path}/measured"]))
    (written,) = (tmp_path / "measured").rglob("metrics.json")
    (value, *_) = json.loads(written.read_text())["values"].values()
    digest = genexp.load_run(runs[1]).digest[:12]
    assert "guidance=Refined(inside=ClassifierFree(scale=2.0), refiner=TrainedDenoiser(" in value["protocol"]["sampler"]
    assert f"digest='{digest}'" in value["protocol"]["sampler"]


def test_both_are_drawn_by_the_checkpoint_that_is_asked_for(tmp_path):
    shutil.copytree(Path(__file__).parents[1] / "earlier_runs" / "toy", tmp_path / "toy")
    typed = [
        f"run=[{tmp_path}/toy,{tmp_path}/toy]",
        "switch_at=0.2",
        "sampler=ddim",
        "sampler/guidance=classifier_free",
    ]
    for asked, told in (([], None), (["checkpoint=last"], "last")):
        config = compose("sample", [*typed, *asked])
        settle_several(config)
        assert config.sampler.guidance.refiner.get("checkpoint") == told


def test_a_run_that_is_asked_at_times_of_no_training_of_its_own_is_told(tmp_path, capsys):
    shutil.copytree(Path(__file__).parents[1] / "earlier_runs" / "toy", tmp_path / "base")
    config = yaml.safe_load((shutil.copytree(tmp_path / "base", tmp_path / "refiner") / "config.yaml").read_text())
    config["model"]["time_sampling"] = {"_target_": "genexp.diffusion.time_sampling.Below", "most": 0.2}
    (tmp_path / "refiner" / "config.yaml").write_text(yaml.safe_dump(config))
    told = {}
    for names, at in ((("base", "refiner"), 0.2), (("base", "refiner"), 0.9), (("refiner", "base"), 0.2)):
        typed = [f"run=[{','.join(f'{tmp_path}/{name}' for name in names)}]", f"switch_at={at}"]
        settle_several(compose("sample", [*typed, "sampler=ddim", "sampler/guidance=classifier_free"]))
        told[names, at] = capsys.readouterr().err.splitlines()
    trained = "refiner was trained at 20% of the times, the least noisy ones"
    right = "switch_at is at most that, and the first run is the base"
    assert list(told.values()) == [
        [],
        [f"refiner     {trained}, and draws 90%; {right}"],
        [f"base        {trained}, and draws 100%"],
    ]


def test_one_run_or_several_with_shares_have_no_refiner(tmp_path):
    shutil.copytree(Path(__file__).parents[1] / "earlier_runs" / "vae", tmp_path / "vae")
    for typed, told in (
        ([f"run={tmp_path}/vae"], "switch_at must be null but with two runs, .* got 0.2 with 1"),
        ([f"run=[{tmp_path}/vae,{tmp_path}/vae]", "shares=[1,1]"], "without shares and of one choice of weights"),
        ([f"run=[{tmp_path}/vae,{tmp_path}/vae]"], "switch_at must be null for a sampler without guidance, got genexp"),
    ):
        with pytest.raises(ValueError, match=told):
            sample(compose("sample", [*typed, "switch_at=0.2", "threads=1"]))


@pytest.mark.parametrize(
    "schedule", [Cosine(100), RectifiedFlow(), NoiseLevel(), Exploding()], ids=lambda schedule: type(schedule).__name__
)
def test_a_refiner_is_asked_at_the_noise_that_it_was_trained_at_on_any_schedule(schedule):
    trained = schedule.last if schedule.discrete else float(Below(0.2).times(torch.ones(1).double(), schedule))
    trained = float(Below(0.2).times(torch.full((1,), 0.9999).double(), schedule)) if schedule.discrete else trained
    found = Refined(Mixture(schedule, std=0.5), 0.2)(Mixture(schedule, std=0.2))
    assert found.latest == pytest.approx(trained)
    for share, latest in ((0, -math.inf), (1, math.inf)):
        assert Refined(Mixture(schedule), share)(Mixture(schedule)).latest == latest


@pytest.mark.parametrize("others", ["switch_at=0.2", "shares=[1,1]", "soup=uniform"])
def test_several_runs_have_no_checkpoint_file_in_common(others, tmp_path):
    config = compose("sample", [f"run=[{tmp_path}/a,{tmp_path}/b]", others, "checkpoint=a/checkpoints/last.ckpt"])
    with pytest.raises(ValueError, match=r"checkpoint must be best or last with 2 runs, each its own, got a/check"):
        settle_several(config)
