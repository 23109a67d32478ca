import os
import signal
import sys
from functools import partial

import pytest
import torch
from lightning import Callback, LightningDataModule, Trainer
from torch import nn
from torch.utils.data import DataLoader

from genexp.callbacks.averaging import Averaging
from genexp.callbacks.cadence import StopAfter
from genexp.callbacks.evaluate import Evaluate
from genexp.callbacks.progress import ImageProgress
from genexp.conditioning.base import UNCONDITIONAL, Conditioning
from genexp.evaluation.extractors.untrained import Pixels
from genexp.evaluation.metrics.frechet import FrechetDistance
from genexp.families.base import Family, Update

KEY, FLOOR = "fd/pixels@", "fd_floor/pixels@"


class Images(LightningDataModule):
    """Random 4 x 4 images of three classes, two thirds of them of class 2."""

    shape, num_classes = (1, 4, 4), None

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.images = {
            name: torch.rand(count, 1, 4, 4, generator=generator) * 2 - 1
            for name, count in (("train", 96), ("val", 16), ("test", 48))
        }

    def train_dataloader(self):
        return DataLoader([{"image": part} for part in self.images["train"].split(16)], batch_size=None)

    def val_dataloader(self):
        return DataLoader([{"image": self.images["val"]}], batch_size=None)

    def reference(self, split):
        return ({"image": part} for part in self.images[split].split(20))

    def digest(self, split):
        return f"digest of {split}"

    def split_size(self, split):
        return len(self.images[split])

    def factors(self, split):
        return None

    def label_counts(self, split):
        return [16, 16, 64]


class Generator(Family):
    """A small decoder that is trained to be dark, with dropout, and a part that always stays in evaluation mode."""

    latent_shape = (5,)

    def __init__(self, lr, num_classes=None):
        super().__init__()
        self.conditioning = Conditioning.of(num_classes)
        torch.manual_seed(3)
        self.network = nn.Sequential(nn.Linear(5, 16), nn.Dropout(0.5), nn.Tanh(), nn.Unflatten(1, (1, 4, 4)))
        self.frozen = nn.Dropout(0.5).eval()
        self.labels = []
        self.noise = []
        optimizer = partial(torch.optim.SGD, lr=lr)
        self.register_update("network", Update(optimizer, lambda: list(self.network.parameters())))

    def train_batch(self, batch):
        self.noise.append(torch.randn(len(batch["image"]), 5))
        batch = {"noise": self.noise[-1]}
        terms = self.update("network", batch, lambda part: {"loss": self.network(part["noise"]).mean()})
        return {"train/loss": terms["loss"]}

    def decode(self, latent, condition=UNCONDITIONAL):
        self.labels += condition["label"].tolist() if condition else []
        assert not torch.is_grad_enabled()
        return self.network(latent)


class Latent:
    def __init__(self, scale=1.0):
        self.scale = scale

    def require(self, model):
        assert model.latent_shape

    def start(self, model, noise):
        return self.scale * noise.normal(*model.latent_shape)

    def run(self, model, start, noise, condition=UNCONDITIONAL, progress=None):
        return model.decode(start, condition)


class Recorder(Callback):
    """What a checkpoint or an early-stopping callback would see, and the state that evaluation must leave alone."""

    def __init__(self):
        self.seen, self.modes = [], []

    def on_validation_end(self, trainer, pl_module):
        self.seen.append({name: float(value) for name, value in trainer.callback_metrics.items()})

    def on_train_batch_start(self, trainer, pl_module, batch, batch_index):
        self.modes.append([part.training for part in pl_module.modules()])


def evaluate(**changes):
    arguments = {"sampler": Latent(), "extractor": Pixels(1, 4), "metrics": {"fd": FrechetDistance()}, "num": 100}
    return Evaluate(**arguments | {"batch_size": 32} | changes)


def fit(*callbacks, images=96, devices=1, lr=0.1, num_classes=None, **trainer_options):
    model, recorder = Generator(lr, num_classes), Recorder()
    strategy = "auto" if devices == 1 else "ddp_fork_find_unused_parameters_true"
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy=strategy,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        val_check_interval=3,
        check_val_every_n_epoch=None,
        callbacks=[StopAfter(images), *callbacks, recorder],
        **{"num_sanity_val_steps": 0} | trainer_options,
    )
    trainer.fit(model, Images())
    return model, recorder, trainer


def value(metrics, prefix=KEY):
    (found,) = [value for name, value in metrics.items() if name.startswith(prefix)]
    return found


def test_every_validation_publishes_the_value_and_its_floor():
    callback = evaluate()
    _, recorder, trainer = fit(callback)
    assert len(recorder.seen) == 2
    assert value(recorder.seen[0]) != value(recorder.seen[1])
    assert value(recorder.seen[0], FLOOR) == value(recorder.seen[1], FLOOR) < value(recorder.seen[0])
    assert value(callback.latest) == pytest.approx(value(recorder.seen[1]), rel=1e-6)
    assert all(isinstance(value, torch.Tensor) for value in trainer.callback_metrics.values())


def test_the_value_is_that_of_the_drawn_images():
    callback = evaluate()
    model, _, _ = fit(callback)
    images = torch.cat([draw_one(model, i) for i in range(100)])
    summary = callback.evaluator.summarise([{"image": images}])
    expected = callback.evaluator.values(summary, callback._real)["fd"]["fd"].value
    assert value(callback.latest) == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def draw_one(model, index):
    from genexp.tensors import IndexedNoise

    model.eval()
    return model.decode(IndexedNoise(0, [index]).normal(5))


@pytest.mark.parametrize("batch_size", [1, 30, 100])
def test_the_batch_size_does_not_change_the_value(batch_size):
    expected, callback = evaluate(), evaluate(batch_size=batch_size)
    fit(expected)
    fit(callback)
    assert value(callback.latest) == pytest.approx(value(expected.latest), rel=1e-6)


def test_another_seed_draws_other_images():
    one, other = evaluate(), evaluate(seed=1)
    fit(one)
    fit(other)
    assert value(one.latest) != value(other.latest)


def test_training_is_not_disturbed():
    alone, _, _ = fit()
    evaluated, recorder, _ = fit(evaluate())
    for name, parameter in alone.state_dict().items():
        assert torch.equal(parameter, evaluated.state_dict()[name])
    assert all(torch.equal(a, b) for a, b in zip(alone.noise, evaluated.noise, strict=True))
    assert all(modes == recorder.modes[0] for modes in recorder.modes)
    assert not evaluated.frozen.training


def test_the_global_generator_is_left_alone():
    callback, states = evaluate(), []

    class Watch(Callback):
        def on_validation_start(self, trainer, pl_module):
            states.append(torch.get_rng_state())

        def on_validation_end(self, trainer, pl_module):
            states.append(torch.get_rng_state())

    fit(callback, Watch())
    assert torch.equal(states[0], states[1])


def test_labels_follow_the_classes_of_the_training_data():
    conditional, plain = evaluate(), evaluate()
    model, _, _ = fit(conditional, images=48, num_classes=3)
    fit(plain, images=48)
    dealt = [record["dealing"] for each in (conditional, plain) for record in each.protocols.values()]
    assert dealt == ["within 3 classes", "by index"]
    assert len(model.labels) == 100
    assert torch.bincount(torch.tensor(model.labels)).tolist() == pytest.approx([17, 17, 66], abs=2)


def test_a_value_says_which_weights_and_sampler_it_belongs_to():
    raw, averaged = evaluate(sampler=Latent(0.5)), evaluate()
    fit(raw)
    fit(Averaging(half_life=100), averaged)
    (record,) = raw.protocols.values()
    assert (record["weights"], record["sampler"], record["n_generated"]) == ("raw", "Latent(scale=0.5)", 100)
    assert (record["reference"], record["n_reference"]) == ("train", 96)
    (record,) = averaged.protocols.values()
    assert record["weights"] == "averaged"
    assert value(averaged.latest) != value(raw.latest)


def test_the_sanity_check_and_an_empty_choice_of_metrics_measure_nothing():
    _, recorder, _ = fit(evaluate(), images=48, num_sanity_val_steps=1)
    assert recorder.seen[0] == {}
    silent = evaluate(metrics={})
    fit(silent)
    assert silent.latest == {}


def test_the_floor_is_optional_and_the_reference_can_be_chosen():
    callback = evaluate(reference="test", floor=None)
    fit(callback)
    assert list(callback.latest) == list(callback.protocols)
    assert next(iter(callback.protocols.values()))["reference_digest"] == "digest of test"


def test_reference_statistics_are_kept_between_runs(tmp_path):
    first, second = evaluate(cache=tmp_path), evaluate(cache=tmp_path)
    fit(first)
    assert len(list(tmp_path.iterdir())) == 2
    fit(second)
    assert first.latest == second.latest


def test_what_is_wrong_with_the_data_is_said_before_training():
    trained = []

    class Watch(Callback):
        def on_train_batch_end(self, *_):
            trained.append(1)

    with pytest.raises(ValueError, match=r"extractor pixels takes images \(B, 3, H, W\), got \(20, 1, 4, 4\)"):
        fit(evaluate(extractor=Pixels(3, 4)), Watch())
    assert not trained


def test_two_processes_publish_the_value_of_one(tmp_path):
    def saved(name):
        class Save(Callback):
            def on_validation_end(self, trainer, pl_module):
                torch.save(dict(callback.latest), tmp_path / f"{name}{trainer.global_rank}.pt")

        return Save()

    for name, devices in (("one", 1), ("two", 2)):
        callback = evaluate()
        fit(callback, saved(name), devices=devices, images=48 * devices, lr=0.0)
    one, two, other = (torch.load(tmp_path / f"{name}.pt") for name in ("one0", "two0", "two1"))
    assert two == other
    assert value(two) == pytest.approx(value(one), rel=1e-10)
    assert value(two, FLOOR) == value(one, FLOOR)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="num must be at least 2 images, got 1"):
        evaluate(num=1)
    with pytest.raises(ValueError, match="batch_size must be at least 1 image, got 0"):
        evaluate(batch_size=0)


class Stepping(Latent):
    """Ten steps a batch; `at` is called before each with its number."""

    def __init__(self, at=lambda step: None):
        super().__init__()
        self.at, self.steps = at, 0

    def run(self, model, start, noise, condition=UNCONDITIONAL, progress=None):
        for done in range(1, 11):
            self.steps += 1
            self.at(self.steps)
            progress(done, 10)
        return model.decode(start, condition)


def test_a_run_that_is_asked_to_end_ends_within_a_step_of_its_evaluation():
    sampler = Stepping(lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 13 else None)
    with pytest.raises(SystemExit):
        fit(evaluate(sampler=sampler))
    assert sampler.steps == 13


def test_a_run_that_is_asked_to_end_ends_within_a_batch_of_what_is_measured_of_its_model():
    class Reading:
        """A metric of a model that reads a split, and is asked to end at its first batch."""

        kind, split, seen = "model", "train", 0

        def subject(self, model):
            return "readings"

        def require(self, model):
            pass

        def compute(self, model, batches, seed):
            for _ in batches:
                self.seen += 1
                os.kill(os.getpid(), signal.SIGTERM)

    metric = Reading()
    with pytest.raises(SystemExit):
        fit(evaluate(metrics={"reading": metric}))
    assert metric.seen == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_a_long_evaluation_says_what_it_draws_and_how_far_it_is(terminal, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    seen = []
    progress = ImageProgress(96)
    fit(evaluate(sampler=Stepping(lambda step: seen.append(bars(progress)))), progress)
    said = capsys.readouterr().err
    if terminal:  # 100 images in batches of 32, 32, 32 and 4 of ten steps each, once an evaluation
        assert [bar for _, bar in seen][:13] == pytest.approx([3.2 * step for step in range(10)] + [32, 35.2, 38.4])
        assert {total for total, _ in seen} == {100}
        assert progress._progress is None
    else:
        assert said.count("evaluating  100 images to draw\n") == 2
        assert seen == [None] * 80


def bars(progress):
    """Total and present state of the bar of an evaluation below that of the training; None without bars."""
    if progress._progress is None:
        return None
    _, task = progress._progress.tasks
    return task.total, task.completed
