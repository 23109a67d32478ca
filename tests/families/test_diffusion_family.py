"""Training a diffusion model: what is drawn, what is averaged, and that it learns."""

from functools import partial

import pytest
import torch
from lightning import Callback, Trainer
from torch import nn
from torch.utils.data import DataLoader

from genexp.conditioning.base import UNCONDITIONAL
from genexp.contracts import Denoiser
from genexp.diffusion.prediction import Epsilon, Velocity
from genexp.diffusion.schedules import Cosine, Linear
from genexp.diffusion.weighting import MinSNR, UniformEpsilon, UniformVelocity
from genexp.families.diffusion import Diffusion
from genexp.networks.embeddings import sinusoidal
from genexp.networks.unet import UNet
from genexp.ramps import Linear as LinearRamp
from genexp.sampling.ddim import DDIM
from genexp.sampling.guidance import ClassifierFree
from genexp.tensors import IndexedNoise

SHAPE = (1, 4, 4)


class Recorder(nn.Module):
    """A network of one weight that remembers what it was called with."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.1))
        self.calls = []

    def forward(self, x_t, t, condition=UNCONDITIONAL):
        self.calls.append((x_t.detach(), t, condition.get("label")))
        return self.weight * x_t


class Dense(nn.Module):
    """A small network that knows its time and label."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.label = nn.Embedding(3, 16)
        self.body = nn.Sequential(nn.Linear(48, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), nn.Linear(128, 16))

    def forward(self, x_t, t, condition=UNCONDITIONAL):
        return self.body(torch.cat([x_t.flatten(1), sinusoidal(t, 16), self.label(condition["label"])], 1)).view_as(x_t)


class Terms(Callback):
    def __init__(self):
        self.train, self.validation = [], []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.train.append(pl_module.terms.flush())

    def on_validation_epoch_end(self, trainer, pl_module):
        self.validation.append(pl_module.validation_means())


def small_network(num_classes=None):
    torch.manual_seed(0)
    return UNet(1, 4, width=16, multipliers=(1,), blocks=1, attention=(), groups=4, num_classes=num_classes)


def family(network=None, **options):
    defaults = {
        "schedule": Cosine(),
        "prediction": Epsilon(),
        "weighting": UniformEpsilon(),
        "optimizer": partial(torch.optim.Adam, lr=3e-3),
        "image_shape": SHAPE,
    }
    return Diffusion(network or small_network(options.get("num_classes")), **defaults | options)


def batches(count, size=16, labelled=True):
    """Two kinds of image, by label: a bright upper half or a bright lower half, with a little noise."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(count):
        label = torch.randint(2, (size,), generator=generator)
        image = torch.full((size, *SHAPE), -0.8)
        image[label == 0, :, :2], image[label == 1, :, 2:] = 0.8, 0.8
        image += 0.05 * torch.randn(image.shape, generator=generator)
        made.append({"image": image, "label": label} if labelled else {"image": image})
    return made


def fit(model, data, validation=None):
    terms = Terms()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "num_sanity_val_steps": 0}
    trainer = Trainer(accelerator="cpu", max_epochs=1, callbacks=[terms], **quiet)
    loaders = [None if made is None else DataLoader(made, batch_size=None) for made in (data, validation)]
    trainer.fit(model, *loaders)
    return terms


def test_it_learns_and_samples_the_class_that_is_asked_for():
    model = family(Dense(), num_classes=2)
    losses = [terms["train/loss"] for terms in fit(model, batches(300, 64)).train]
    assert sum(losses[-25:]) / 25 < 0.4 * sum(losses[:5]) / 5
    model.eval()
    noise, label = IndexedNoise(0, range(20)), torch.arange(20) % 2
    sampler = DDIM(25, guidance=ClassifierFree(1.5))
    images = sampler.run(model.source(), sampler.start(model.source(), noise), noise, {"label": label})
    upper, lower = images[:, :, :2].mean(dim=(1, 2, 3)), images[:, :, 2:].mean(dim=(1, 2, 3))
    assert torch.equal(lower > upper, label == 1)
    assert float(torch.where(label == 1, lower, upper).median()) == pytest.approx(0.8, abs=0.1)
    assert float(torch.where(label == 1, upper, lower).median()) == pytest.approx(-0.8, abs=0.1)


@pytest.mark.parametrize("prediction", [(Epsilon(), MinSNR()), (Velocity(), UniformVelocity())])
def test_two_half_batches_are_one_batch(prediction):
    whole, halved = (
        family(
            num_classes=2,
            prediction=prediction[0],
            weighting=prediction[1],
            optimizer=partial(torch.optim.SGD, lr=0.1),
        )
        .arrange(parts)
        .double()
        for parts in (1, 2)
    )
    data = [{"image": batch["image"].double(), "label": batch["label"]} for batch in batches(3, 10)]
    one, two = fit(whole, data), fit(halved, data)
    for (name, a), b in zip(whole.state_dict().items(), halved.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11, msg=name)
    assert [t["train/loss"] for t in one.train] == pytest.approx([t["train/loss"] for t in two.train], rel=1e-6)
    assert not torch.equal(whole.network.head.weight, small_network(2).head.weight.double())


def test_times_cover_the_schedule_and_labels_are_left_out_one_by_one():
    network = Recorder()
    fit(family(network, schedule=Linear(50), num_classes=2, label_dropout=0.25), batches(40, 100))
    times = torch.cat([t for _, t, _ in network.calls])
    assert sorted(set(times.tolist())) == list(range(50))  # the network counts from 0
    labels = torch.stack([label for *_, label in network.calls])
    dropped = (labels == 2).float()
    assert float(dropped.mean()) == pytest.approx(0.25, abs=0.03)
    assert 0 < dropped.mean(dim=1).min() < dropped.mean(dim=1).max() < 0.6  # per sample, not per batch
    given = torch.stack([batch["label"] for batch in batches(40, 100)])
    assert torch.equal(labels[labels != 2], given[labels != 2])


def test_without_classes_labels_are_not_looked_at():
    network = Recorder()
    fit(family(network), batches(2))
    assert all(label is None for *_, label in network.calls)


def test_validation_is_repeatable_keeps_all_labels_and_averages_the_quarters():
    network = Recorder()
    model = family(network, num_classes=2, label_dropout=0.9)
    terms = fit(model, batches(1), batches(2)).validation[0]
    calls = network.calls[1:]
    assert len(calls) == 8
    assert all(int(label.max()) < 2 for *_, label in calls)
    for i, (_, t, _) in enumerate(calls):
        assert 250 * (i % 4) <= int(t.min()) <= int(t.max()) < 250 * (i % 4 + 1)
    quarters = [terms[f"val/loss_quarter{i}"] for i in (1, 2, 3, 4)]
    assert terms["val/loss"] == pytest.approx(sum(quarters) / 4)
    again = family(Recorder(), num_classes=2, label_dropout=0.9)
    assert fit(again, batches(1), batches(2)).validation[0] == terms


def test_a_schedule_of_one_step_has_one_time():
    network = Recorder()
    fit(family(network, schedule=Cosine(1)), batches(1), batches(1))
    assert {int(t) for _, times, _ in network.calls for t in times} == {0}


def test_the_learning_rate_warms_up_and_the_gradient_is_clipped():
    model = family(optimizer=partial(torch.optim.SGD, lr=1.0), learning_rate=LinearRamp(0.0, 1.0, 32), clip=1e-3)
    before = model.network.head.weight.detach().clone()
    fit(model, batches(1))
    assert torch.equal(model.network.head.weight, before)  # the first factor is 0
    rest = torch.cat([p.detach().flatten() for p in model.network.parameters()])
    fit(model, batches(1))
    moved = torch.cat([p.detach().flatten() for p in model.network.parameters()]) - rest
    assert float(moved.norm()) == pytest.approx(0.5 * 1e-3, rel=1e-3)


def test_what_it_shows_to_samplers_and_to_averaging():
    model = family(num_classes=2)
    assert isinstance(model.source(), Denoiser)
    assert model.source().network is model.network
    assert model.averaged_modules == ("network",)
    assert all(name.startswith("network.") for name in model.state_dict())


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"label_dropout must lie in \[0, 1\), got 1"):
        family(label_dropout=1.0)
    with pytest.raises(ValueError, match=r"batch must have label for a model of 2 classes, got \['image'\]"):
        fit(family(num_classes=2), batches(1, labelled=False))
