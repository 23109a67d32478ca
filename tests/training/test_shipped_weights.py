"""Shipped weights as what a run begins with, and what the shipped text-to-image network draws."""

import pytest
import torch

import genexp
import tiny
from genexp.config.check import problems_of
from genexp.config.instantiate import build
from genexp.evaluation.extractors.shape_reader import ShapeReader
from genexp.shipped import load_asset

BEGUN = [
    *("experiment=ldm/shapes_captions", "initial=shipped", "logger=none", "threads=1", "trainer=cpu", "metrics=none"),
    *("data.source.held_out=0.1", "data.source.train_images=960", "training.max_images=16", "data.eval_batch_size=8"),
    *("training.evaluate_every=16", "trainer.limit_val_batches=1", "callbacks.sample_grid.num=2", "sampler.steps=2"),
    *("callbacks.sample_grid.columns=null", "trainer.precision=32-true", "model.optimizer.lr=0"),
]


def test_a_run_begins_with_shipped_weights_and_they_show_what_held_out_captions_say(tmp_path):
    run = tiny.run([*BEGUN, f"paths.outputs={tmp_path}"])
    opened, (given, card) = genexp.load_run(run.path), load_asset("shapes_from_words")
    for name, weight in opened.model.network.state_dict().items():
        assert torch.equal(weight, given[name]), name
    assert sum(weight.numel() for weight in given.values()) == card["parameters"]
    opened.config.sampler.steps = 8
    source = build(opened.config.data.source)
    source.shows["test"] = "held_out"
    test, reader = source.split("test"), ShapeReader()
    captions = list(dict.fromkeys(source.caption(row, "test") for row in range(24)))
    images = opened.samples(len(captions), caption=captions)
    shown = reader.read(reader(images))
    said = source.said(test.read(torch.arange(24))["caption"])
    right = torch.stack([shown[name] == said[name] for name in said]).all(0)
    assert len(captions) == 24
    assert right.sum() >= 20


@pytest.mark.parametrize("typed", [["experiment=ldm/shapes"], ["model=gan"], ["model.network.depth=3"]])
def test_weights_of_another_network_are_refused_by_name(typed):
    (told,) = problems_of("train", [*(BEGUN if "." in typed[0] else ["initial=shipped"]), *typed])
    assert told.startswith("initial.asset: must be weights of this model's network, got shapes_from_words, of genexp ")


def test_only_weights_that_are_shipped_are_known():
    (told,) = problems_of("train", ["initial=shipped", "initial.asset=shapes_from_word"])
    assert "initial.asset: must be one of cifar_vgg, " in told
