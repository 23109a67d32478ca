from functools import partial

import pytest
import torch
from lightning import Trainer
from torch import nn
from torch.nn.functional import cross_entropy

from genexp.callbacks.cadence import LogTerms, StopAfter
from genexp.data.datamodule import ImageData
from genexp.data.digits import Digits
from genexp.families.classifier import Classifier
from genexp.networks.classifier import ConvClassifier


def linear(label_smoothing=0.0, lr=0.1, accumulate=1):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    family = Classifier(network, partial(torch.optim.SGD, lr=lr), label_smoothing=label_smoothing)
    return family.arrange(accumulate)


def fit(family, images, batch_size=60):
    data = ImageData(Digits(), shape=[1, 8, 8], num_classes=10, batch_size=batch_size)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        val_check_interval=1000,
        check_val_every_n_epoch=None,
        callbacks=[StopAfter(images), LogTerms(images)],
    )
    trainer.fit(family, data)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_a_step_descends_the_smoothed_cross_entropy():
    family = linear(label_smoothing=0.1)
    weight = family.network[1].weight.detach().clone().requires_grad_()
    data = ImageData(Digits(), shape=[1, 8, 8], num_classes=10, batch_size=60)
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    logits = batch["image"].flatten(1) @ weight.mT + family.network[1].bias.detach()
    cross_entropy(logits, batch["label"], label_smoothing=0.1).backward()
    fit(family, images=60)
    torch.testing.assert_close(family.network[1].weight, (weight - 0.1 * weight.grad).detach())


def test_two_half_batches_equal_one_batch():
    whole, halves = linear(), linear(accumulate=2)
    fit(whole, images=180)
    fit(halves, images=180)
    torch.testing.assert_close(whole.network[1].weight, halves.network[1].weight, rtol=1e-5, atol=1e-7)


def test_held_out_terms_are_means_over_all_held_out_images():
    family = linear()
    metrics = fit(family, images=600)
    data = ImageData(Digits(), shape=[1, 8, 8], num_classes=10, batch_size=60)
    batches = list(data.eval_loader("val"))
    image, label = (torch.cat([batch[name] for batch in batches]) for name in ("image", "label"))
    logits = family.network(image)
    assert metrics["val/accuracy"] == pytest.approx(float((logits.argmax(1) == label).float().mean()), abs=1e-6)
    assert metrics["val/loss"] == pytest.approx(cross_entropy(logits, label).item(), rel=1e-5)


def test_it_learns_the_digits():
    torch.manual_seed(0)
    network = ConvClassifier(1, 8, 10, widths=(16, 32), num_features=32)
    assert fit(Classifier(network, partial(torch.optim.AdamW, lr=3e-3)), images=9600)["val/accuracy"] > 0.93


def test_bad_arguments_and_unlabelled_data_are_refused():
    with pytest.raises(ValueError, match=r"label_smoothing must lie in \[0, 1\), got 1.0"):
        linear(label_smoothing=1.0)
    with pytest.raises(ValueError, match=r"needs labelled data, got a batch of \['image'\]"):
        linear().validate_batch({"image": torch.zeros(2, 1, 8, 8)})
