"""Images and captions in one space: the loss, what is learned, and what is refused."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import tiny
from genexp.conditioning.kinds import Classes, Words
from genexp.families.contrastive import Contrastive
from genexp.inference.run import load_run
from genexp.losses.contrastive import MOST, contrastive_loss, retrieval, same_texts


def test_the_loss_is_the_symmetric_cross_entropy_where_texts_differ():
    similarity = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(6)
    expected = (cross_entropy(similarity, rows) + cross_entropy(similarity.T, rows)) / 2
    torch.testing.assert_close(contrastive_loss(similarity, torch.eye(6, dtype=torch.bool)), expected)
    assert float(contrastive_loss(torch.zeros(6, 6), torch.eye(6, dtype=torch.bool))) == pytest.approx(math.log(6))


def test_equal_texts_are_no_false_answers():
    text = torch.tensor([[1, 2], [3, 0], [1, 2]])
    same = same_texts(text)
    assert same.tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    sure = torch.where(same, 50.0, 0.0)  # cannot tell the first from the third, and need not
    assert float(contrastive_loss(sure, same)) == pytest.approx(2 / 3 * math.log(2), abs=1e-5)
    assert retrieval(sure, same).min() == 1
    assert retrieval(-sure, same).max() == 0


WORDS = Words(["left", "right"], 1)


def model(**options):
    torch.manual_seed(0)
    text = partial(nn.Sequential, nn.Embedding(3, 4), nn.Flatten())
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    return Contrastive(network, text, partial(torch.optim.Adam, lr=0.05), {"caption": WORDS}, **options)


def test_images_come_near_their_own_captions_and_the_temperature_is_learned():
    made, generator = model(), torch.Generator().manual_seed(0)
    before, optimizer = made.scale.item(), torch.optim.Adam(made.parameters(), 0.05)
    for _ in range(60):
        caption = torch.randint(1, 3, (16, 1), generator=generator)
        image = torch.randn(16, 3, 2, 2, generator=generator) * 0.2 + (2.0 * caption - 3)[:, :, None, None]
        optimizer.zero_grad()
        made.validate_batch({"image": image, "caption": caption})["val/loss"].backward()
        optimizer.step()
    found = made.validate_batch({"image": image, "caption": caption})
    assert float(found["val/accuracy"]) == 1
    assert made.scale.item() != before
    assert made.of_images(image).norm(dim=1).allclose(torch.ones(16))
    made.scale.data.fill_(20.0)
    assert made.similarity(image, caption).max() <= 100.001


def test_a_temperature_beyond_its_limit_is_set_back_to_where_it_has_a_gradient():
    made = model()
    image, caption = torch.randn(4, 3, 2, 2), torch.tensor([[1], [2], [1], [2]])
    made.update = lambda *_: {"scale": made.scale.data.fill_(MOST + 0.1)}
    assert made.train_batch({"image": image, "caption": caption})["train/scale"] == pytest.approx(100)
    made.validate_batch({"image": image, "caption": caption})["val/loss"].backward()
    assert made.scale.grad


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="accumulate must be 1 with model=contrastive"):
        model().arrange(accumulate=2)
    with pytest.raises(ValueError, match="conditions must be the caption alone, got caption, label"):
        Contrastive(nn.Flatten(), nn.Flatten, torch.optim.Adam, {"caption": WORDS, "label": Classes(2)})
    with pytest.raises(ValueError, match="batch must have caption for a model of caption"):
        model().validate_batch({"image": torch.zeros(2, 3, 2, 2)})


def test_the_recipe_trains_and_its_run_says_how_well_a_caption_fits(tmp_path):
    small = ["data.image_size=8", "data.source.train_images=960", "data.batch_size=96", "training.max_images=4800"]
    small += ["training.evaluate_every=4800", "model.network.widths=[16,16]", "threads=1", f"paths.outputs={tmp_path}"]
    run = tiny.run(["experiment=clip/shapes", *small])
    opened = load_run(run.path).model
    again = torch.zeros(2, 3, 8, 8)
    told = opened.conditioning.read({"caption": "a small red circle"})["caption"]
    assert opened.similarity(again, told).shape == (2, 1)
    assert opened.images_seen == 4800
