"""Reflow: pairs are those of the run's flow, kept once, and a flow learned of them has straight paths."""

import shutil

import pytest
import torch

import genexp
import tiny
from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.config.check import problems_of
from genexp.diffusion.continuous import CosineContinuous, RectifiedFlow
from genexp.evaluation.metrics.straightness import Straightness
from genexp.inference.reflow import Reflow
from genexp.sampling.ddim import DDIM
from genexp.tensors import IndexedNoise

STD = 0.5


class Gaussian:
    """The exact flow of N(0, STD^2); or the exact one of its pairs, x = STD eps, whose paths are straight."""

    image_shape, schedule = (3,), RectifiedFlow()

    def __init__(self, straight=False, num_classes=None):
        self.straight, self.conditioning, self.calls = straight, Conditioning.of(num_classes), 0

    def __call__(self, x_t, t, condition=UNCONDITIONAL):
        self.calls += 1
        t = t[:, None].to(x_t.dtype)
        shift = condition["label"][:, None] if condition else 0  # of classes: class k lies k higher
        y, alpha = x_t - (1 - t) * shift, 1 - t
        gain = STD / (alpha * STD + t) if self.straight else alpha * STD**2 / (alpha**2 * STD**2 + t**2)
        return gain * y + shift


class Run:
    """A finished run of it."""

    image_shape, schedule, codec, digest, weights, run = (3,), RectifiedFlow(), None, "0", "raw", "a run"

    def __init__(self, num_classes=None):
        self.inner = Gaussian(num_classes=num_classes)
        self.conditioning = self.inner.conditioning

    def on(self, device):
        return self.inner


PLACE = (torch.arange(8) + 0.5) / 8
EULER = {"steps": 400, "clip": False, "spacing": "linspace"}


def test_pairs_are_a_noise_and_where_the_flow_takes_it():
    pairs = Reflow(Run(), DDIM(**EULER), pairs=20, batch_size=7)
    image, noise, told = pairs(PLACE, False, torch.device("cpu"))
    torch.testing.assert_close(image, STD * noise, rtol=0.01, atol=0.005)
    assert torch.equal(noise, IndexedNoise(0, [1, 3, 5, 7, 10, 12, 14, 16]).normal(3))
    assert told == {}
    held = pairs(PLACE, True, torch.device("cpu"))[1]  # 18 are learned of, 2 are held out
    assert torch.equal(held, IndexedNoise(0, [18] * 4 + [19] * 4).normal(3))


def test_pairs_have_all_classes_in_turn():
    image, noise, told = Reflow(Run(num_classes=3), DDIM(**EULER), 20, batch_size=7)(PLACE, False, torch.device("cpu"))
    assert told["label"].tolist() == [row % 3 for row in (1, 3, 5, 7, 10, 12, 14, 16)]
    torch.testing.assert_close(image, STD * noise + told["label"][:, None], rtol=0.01, atol=0.01)


def test_pairs_are_drawn_once_and_kept_under_all_that_says_how(tmp_path, capsys):
    def first(flow, **more):
        return Reflow(flow, DDIM(**EULER | more.pop("how", {})), **{"pairs": 20, "cache": str(tmp_path), **more})(
            PLACE, False, torch.device("cpu")
        )[0]

    drawn, again = first(Run()), Run()
    assert torch.equal(first(again), drawn)
    assert again.inner.calls == 0
    assert "20 pairs of a run, drawn before" in capsys.readouterr().err
    for more in ({"seed": 1}, {"pairs": 30}, {"how": {"steps": 5}}):
        assert first(again := Run(), **more).shape == drawn.shape
        assert again.inner.calls > 0
    other = Run()
    other.digest = "1"
    first(other)
    assert other.inner.calls > 0


@pytest.mark.parametrize("straight", [False, True])
def test_straightness_is_the_integral_in_closed_form_and_0_of_the_flow_of_pairs(straight):
    eps, model = IndexedNoise(0, range(50)).normal(3), Gaussian(straight)
    found = Straightness(steps=2000).of(model, {"image": torch.zeros(50, 3)}, IndexedNoise(0, range(50)))
    t = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    size = ((1 - t) ** 2 * STD**2 + t**2).sqrt()
    slope = (t - (1 - t) * STD**2) / size  # of the path eps * size, where that is curved
    bend = 0.0 if straight else float(torch.trapezoid((1 - STD - slope).square(), t))
    torch.testing.assert_close(found, eps.square().mean(1) * bend, rtol=0.01, atol=1e-6)
    once = DDIM(1, clip=False).run(model, eps, IndexedNoise(1, range(50)))
    torch.testing.assert_close(once, STD * eps if straight else 0 * eps)  # a curved path in one step: the mean of all
    assert straight or bend > 0.05


def test_what_makes_no_pairs_is_refused():
    for name, value in (("pairs", 9), ("batch_size", 0)):
        with pytest.raises(ValueError, match=f"{name} must be at least .*, got {value}"):
            Reflow(Run(), DDIM(**EULER), **{name: value})
    with pytest.raises(ValueError, match="sampler must add no fresh noise to make pairs, got DDIM"):
        Reflow(Run(), DDIM(**EULER, eta=1.0))
    with pytest.raises(
        ValueError, match=r"pairs must be of a run with shape .* no conditions, got \(3,\) and 2 classes"
    ):
        Reflow(Run(num_classes=2), DDIM(**EULER)).require(Gaussian())
    curved = Gaussian()
    curved.schedule = CosineContinuous()
    with pytest.raises(TypeError, match="model/schedule=rectified_flow, got CosineContinuous"):
        Straightness().require(curved)
    with pytest.raises(ValueError, match="steps must be at least 2, got 1"):
        Straightness(steps=1)


@pytest.mark.slow
def test_a_run_straightens_another_and_is_drawn_without_it(tmp_path):
    few = [each for each in (*tiny.COMMON, *tiny.LENGTH) if not each.startswith("callbacks.")]
    few += ["metrics=straightness", "model.network.width=32", "data.source.train_points=1000"]
    before = tiny.run(["experiment=rectified_flow/ring8", *few, f"paths.outputs={tmp_path / 'before'}"])
    typed = ["experiment=rectified_flow/reflow_ring8", *few, f"model.pairs.flow.run={before.path}"]
    typed += ["model.pairs.pairs=100", f"paths.cache={tmp_path / 'cache'}", f"paths.outputs={tmp_path / 'after'}"]
    (told,) = problems_of("train", [*typed, "model/coupling=optimal_transport"], here=True)
    assert told == "model.coupling: must be independent with pairs, which belong together already, got OptimalTransport"
    folder = tiny.run(typed)
    assert "straightness" in str(folder.metrics)
    shutil.rmtree(before.path)
    assert genexp.load_run(folder.path).samples(3).shape == (3, 2)
