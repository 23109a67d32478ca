from copy import deepcopy
from functools import partial
from itertools import pairwise

import pytest
import torch
from lightning import Callback, Trainer
from torch.utils.data import DataLoader

from genexp.contracts import JudgedMap
from genexp.families.style import StyleOptimisation
from genexp.families.stylisation import StyleNetwork
from genexp.losses.style import GramLoss, StatisticsLoss
from genexp.networks.stylizers import AdaINStylizer
from genexp.networks.vgg import VGG

LBFGS = partial(
    torch.optim.LBFGS,
    history_size=5,
    max_iter=1,
    max_eval=25,
    line_search_fn="strong_wolfe",
    tolerance_grad=0.0,
    tolerance_change=0.0,
)
ADAM = partial(torch.optim.Adam, lr=1e-3)


@pytest.fixture(scope="module")
def vgg():
    return VGG("random", last="relu2_1", pooling="average", padding="reflect")


def images(size=16, seed=0, count=1):
    """Smooth random pictures."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")


PAIR = {"content": images(), "style": images(24, seed=1)}


def optimisation(vgg, optimizer=LBFGS, **options):
    defaults = {
        "image_shape": [3, 16, 16],
        "style_shape": [3, 24, 24],
        "content_layers": ["relu2_1"],
        "style_layers": ["relu1_1", "relu2_1"],
        "style_weight": 10.0,
        "tv_weight": 0.1,
    }
    return StyleOptimisation(vgg, GramLoss(), optimizer, **(defaults | options))


def network(vgg, optimizer=ADAM, **options):
    torch.manual_seed(0)
    stylizer = AdaINStylizer(channels=[128, 16], convolutions=[1, 1])
    return StyleNetwork(vgg, stylizer, StatisticsLoss(), optimizer, "relu2_1", ["relu1_1", "relu2_1"], **options)


class Watch(Callback):
    """Keeps the terms of every batch, and a checkpoint written after `save_at` batches."""

    def __init__(self, path=None, save_at=None):
        self.rows, self.path, self.save_at = [], path, save_at

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.rows.append(pl_module.terms.flush())
        if pl_module.batches == self.save_at:
            trainer.save_checkpoint(self.path)


def fit(model, steps, batch=PAIR, watch=None, checkpoint=None):
    watch = watch or Watch()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batches = batch if isinstance(batch, list) else [batch] * steps
    trainer.fit(model, DataLoader(batches[:steps], batch_size=None), ckpt_path=checkpoint, weights_only=True)
    return watch.rows


def test_lbfgs_falls_monotonically_and_counts_its_evaluations(vgg):
    model = optimisation(vgg)
    rows = fit(model, 25)
    losses = [row["train/loss"] for row in rows]
    content = PAIR["content"]
    first = model.objective(content, model.objective.content_of(content), model.objective.style_of(PAIR["style"]))
    assert losses[-1] < 0.3 * float(first["loss"])
    assert all(after <= before * (1 + 1e-4) for before, after in pairwise(losses))
    assert model.steps["image"] == model.images_seen == model.batches == 25
    assert all(row["train/evaluations"] >= 2 for row in rows)
    assert sum(row["train/evaluations"] for row in rows) == model.evaluations
    assert set(rows[0]) == {f"train/{name}" for name in ("content", "style", "tv", "range", "loss", "evaluations")}


def test_one_step_without_a_line_search_is_one_evaluation(vgg):
    rows = fit(optimisation(vgg, partial(torch.optim.LBFGS, max_iter=1)), 3)
    assert [row["train/evaluations"] for row in rows] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("optimizer", [LBFGS, partial(torch.optim.Adam, lr=0.05)], ids=["lbfgs", "adam"])
@pytest.mark.parametrize("init", ["content", "noise"])
def test_a_resumed_optimisation_is_bitwise_the_straight_one(vgg, tmp_path, optimizer, init):
    straight, path = optimisation(vgg, optimizer, init=init), tmp_path / "at_12.ckpt"
    rows = fit(straight, 18, watch=Watch(path, 12))  # by then L-BFGS has begun to drop the oldest of its 5 pairs
    stored = torch.load(path, weights_only=True)
    assert not [key for key in stored["state_dict"] if "features" in key]
    resumed = optimisation(vgg, optimizer, init=init)
    assert fit(resumed, 18, checkpoint=path) == rows[12:]
    assert torch.equal(resumed.image, straight.image)
    assert (resumed.evaluations, resumed.steps) == (straight.evaluations, straight.steps)


def test_the_checkpoint_names_its_encoder(vgg, tmp_path):
    for make in (optimisation, network):
        path = tmp_path / "last.ckpt"
        batch = PAIR if make is optimisation else {"content": images(), "style": images(seed=1)}
        fit(make(vgg), 1, batch, Watch(path, 1))
        with pytest.raises(ValueError, match=r"model.features must be the ones of the checkpoint, [0-9a-f]{12}, got"):
            fit(make(VGG("random", last="relu2_1", seed=1)), 2, batch, checkpoint=path)


def test_content_alone_keeps_the_content_image(vgg):
    model = optimisation(vgg, style_weight=0.0, tv_weight=0.0)
    fit(model, 5)
    assert torch.equal(model.render(PAIR), PAIR["content"])


def test_style_alone_from_the_style_image_keeps_it(vgg):
    model = optimisation(vgg, style_shape=[3, 16, 16], content_weight=0.0, tv_weight=0.0, init="style")
    pair = {"content": images(), "style": images(seed=1)}
    fit(model, 5, pair)
    assert torch.equal(model.render(pair), pair["style"])


def test_the_range_term_pulls_pixels_back_that_lbfgs_must_not_clamp(vgg):
    overshoots = []
    for weight in (0.0, 1e3):
        model = optimisation(vgg, style_weight=100.0, tv_weight=0.0, range_weight=weight)
        rows = fit(model, 15, {"content": torch.ones(1, 3, 16, 16), "style": 2 * images(24, seed=1)})
        overshoots.append(rows[-1]["train/range"])
    assert overshoots[1] < 0.2 * overshoots[0]


def test_pixels_are_clamped_after_adam_and_left_alone_under_lbfgs(vgg):
    white = {"content": torch.ones(1, 3, 16, 16), "style": 2 * images(24, seed=1)}
    model = optimisation(vgg, partial(torch.optim.Adam, lr=0.5))
    fit(model, 3, white)
    assert model.image.abs().max() == 1
    model = optimisation(vgg, style_weight=100.0, tv_weight=0.0)
    fit(model, 8, white)
    assert model.image.abs().max() > 1
    assert model.render(white).abs().max() == 1


def test_memory_order_changes_rounding_only(vgg):
    plain, last = optimisation(vgg), optimisation(deepcopy(vgg)).arrange(channels_last=True)
    fit(plain, 3)
    fit(last, 3)
    torch.testing.assert_close(last.image, plain.image, rtol=1e-3, atol=1e-3)


def test_noise_starts_alike_on_every_rank_and_differs_by_seed(vgg):
    still = partial(torch.optim.SGD, lr=0.0)
    starts = []
    for seed in (0, 0, 1):
        model = optimisation(vgg, still, init="noise")
        model.seed = seed
        fit(model, 1)
        starts.append(model.image.detach().clone())
        torch.randn(3)  # the global stream does not matter
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    assert starts[0].std() > 0.4


def test_render_repeats_the_one_picture_and_grids_show_the_pair(vgg):
    model = optimisation(vgg)
    fit(model, 2)
    assert model.render({"content": torch.zeros(3, 3, 8, 8)}).shape == (3, 3, 16, 16)
    grid = model.extra_grids(PAIR, None)["transfer"]
    assert (tuple(grid.samples.shape), grid.columns) == ((3, 3, 16, 16), 3)
    assert grid.across == ("content", "style", "result")
    assert torch.equal(grid.samples[0], PAIR["content"][0])
    assert torch.equal(grid.samples[2], model.render(PAIR)[0])


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([PAIR, {**PAIR, "content": images(seed=5)}], "must be the same two images throughout, got others at batch 1"),
        (
            [{**PAIR, "content": images(20)}],
            r"content must be one image of shape \(1, 3, 16, 16\), got \(1, 3, 20, 20\)",
        ),
        ([{**PAIR, "content": images(count=2)}], r"got \(2, 3, 16, 16\)"),
        ([{"image": images()}], "data must give content and style images .data=content_style., got image"),
    ],
)
def test_other_data_than_one_pair_is_refused(vgg, batches, message):
    with pytest.raises(ValueError, match=message):
        fit(optimisation(vgg), len(batches), batches)


def test_pictures_are_compared_where_batches_come_from(vgg, monkeypatch):
    compared = []
    monkeypatch.setattr(torch, "equal", lambda *_: compared.append(1))
    fit(optimisation(vgg), 3)  # a comparison in the step would have a card waited for
    assert not compared
    with pytest.raises(ValueError, match="the same two images throughout, got others at batch 2"):
        fit(optimisation(vgg), 3, [PAIR, PAIR, {**PAIR, "style": images(24, seed=2)}])


def test_wrong_options_are_named(vgg):
    with pytest.raises(ValueError, match="init must be content, style or noise, got zeros"):
        optimisation(vgg, init="zeros")
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\], got 1.5"):
        network(vgg, alpha=1.5)


def pairs(count=4):
    return {"content": images(seed=2, count=count), "style": images(seed=3, count=count)}


def test_a_stylizer_step_trains_the_stylizer_and_nothing_else(vgg):
    model, before = network(vgg), vgg.digest
    old = {name: value.clone() for name, value in model.state_dict().items()}
    frozen = {name: value.clone() for name, value in vgg.named_buffers()}
    fit(model, 1, pairs())
    assert all(name.startswith("stylizer.") for name in old)
    assert all(not torch.equal(value, old[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(value, frozen[name]) for name, value in vgg.named_buffers())
    assert vgg.digest == before
    assert {id(p) for p in model.parameters()} == {id(p) for p in model.stylizer.parameters()}


def test_the_stylizer_learns(vgg):
    rows = fit(network(vgg, partial(torch.optim.Adam, lr=3e-3)), 40, pairs())
    assert rows[-1]["train/loss"] < 0.5 * rows[0]["train/loss"]


def test_two_half_batches_are_one_whole_batch(vgg):
    trained = []
    for accumulate in (1, 2):
        model = network(vgg, partial(torch.optim.SGD, lr=1e-3)).arrange(accumulate)
        fit(model, 2, pairs())
        trained.append(model)
    for whole, halves in zip(*(model.parameters() for model in trained)):
        torch.testing.assert_close(whole, halves, rtol=1e-5, atol=1e-7)


def test_a_resumed_stylizer_is_bitwise_the_straight_one(vgg, tmp_path):
    straight, resumed, path = network(vgg), network(vgg), tmp_path / "at_3.ckpt"
    rows = fit(straight, 6, pairs(), Watch(path, 3))
    assert fit(resumed, 6, pairs(), checkpoint=path) == rows[3:]
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), straight.parameters()))


@torch.no_grad()
def test_strength_goes_from_the_content_to_the_style(vgg):
    model, batch = network(vgg), pairs()
    other = {**batch, "style": images(seed=9, count=4)}
    unstyled = model.stylize(batch["content"], batch["style"], 0.0)
    assert torch.equal(unstyled, model.stylize(other["content"], other["style"], 0.0))
    assert not torch.equal(model.render(batch), model.render(other))
    own = model.stylize(batch["content"], batch["content"], 1.0)
    torch.testing.assert_close(own, unstyled, rtol=1e-3, atol=1e-4)
    grids = model.extra_grids(batch, None)
    assert {name: (tuple(grid.samples.shape), grid.columns) for name, grid in grids.items()} == {
        "transfer": ((12, 3, 16, 16), 4),
        "strength": ((20, 3, 16, 16), 5),
    }
    assert grids["transfer"].down == ("content", "style", "result")
    assert grids["strength"].across[1] == "strength 0.25"


@torch.no_grad()
def test_held_out_terms_are_the_training_terms(vgg):
    model = network(vgg)
    terms = model.validate_batch(pairs())
    names = ("content", "style", "tv", "range", "loss", "content_distance", "style_distance")
    assert set(terms) == {f"val/{name}" for name in names}
    expected = model.objective.weights["content"] * terms["val/content"] + 10 * terms["val/style"]
    torch.testing.assert_close(terms["val/loss"], expected)


@torch.no_grad()
def test_held_out_distances_are_those_of_the_rendered_images(vgg):
    batch = pairs()
    values = []
    for alpha in (0.0, 1.0):
        model = network(vgg, alpha=alpha, measured_layers=["relu1_1"])
        found = model.objective.distances(["relu1_1"], model.render(batch), batch["content"], batch["style"])
        terms = model.validate_batch(batch)
        assert {name: float(value.mean()) for name, value in found.items()} == pytest.approx(
            {name: float(terms[f"val/{name}"]) for name in found}
        )
        values.append(terms)
    assert values[0]["val/loss"] == values[1]["val/loss"]  # the training terms do not know the strength
    assert values[0]["val/style_distance"] != values[1]["val/style_distance"]


@torch.no_grad()
def test_distances_of_a_cut_image_are_taken_from_the_same_part_of_its_content(vgg):
    model, batch = network(vgg), {"content": images(17, seed=2), "style": images(24, seed=3)}
    assert torch.equal(model.distances(batch["content"][..., :16, :16], batch)["content_distance"], torch.zeros(1))


@pytest.mark.parametrize("weight", [1.0, 100.0])
def test_an_optimised_picture_is_measured_on_a_scale_without_weights(vgg, weight):
    model = optimisation(vgg, style_weight=weight, measured_layers=["relu1_1", "relu2_1"])
    fit(model, 12)
    with torch.no_grad():
        terms = model.validate_batch({"content": torch.zeros(1, 3, 16, 16)})
        layers = ["relu1_1", "relu2_1"]
        expected = model.objective.distances(layers, model.render(PAIR), PAIR["content"], PAIR["style"])
    assert {name.removeprefix("val/"): float(value) for name, value in terms.items()} == pytest.approx(
        {name: float(value) for name, value in expected.items()}
    )
    assert 0 < terms["val/style_distance"] < 1
    assert terms["val/content_distance"] > 0


def test_more_style_weight_trades_content_for_style(vgg):
    found = []
    for weight in (0.1, 100.0):
        model = optimisation(vgg, style_weight=weight)
        fit(model, 12)
        found.append(model.validate_batch(PAIR))
    assert found[1]["val/style_distance"] < found[0]["val/style_distance"]
    assert found[1]["val/content_distance"] > found[0]["val/content_distance"]


def test_the_yardstick_is_named(vgg):
    for model in (optimisation(vgg), network(vgg)):
        settings, encoder, digest = model.yardstick()
        assert settings.endswith("layers relu1_1 relu2_1")
        assert (encoder, digest) == ("VGG", vgg.digest)
        assert isinstance(model, JudgedMap)


def test_a_pyramid_optimises_coarse_to_fine_and_resumes_bitwise(vgg, tmp_path):
    options, path = {"pyramid": [0.5], "pyramid_steps": 4, "init": "noise"}, tmp_path / "at_3.ckpt"
    straight, resumed = optimisation(vgg, **options), optimisation(vgg, **options)
    rows = fit(straight, 8, watch=Watch(path, 3))
    losses = [row["train/loss"] for row in rows]
    for stage in (losses[:4], losses[4:]):
        assert all(after <= before * (1 + 1e-4) for before, after in pairwise(stage))
    assert fit(resumed, 8, checkpoint=path) == rows[3:]
    assert torch.equal(resumed.image, straight.image)


def test_a_coarse_scale_leaves_what_it_cannot_see(vgg):
    """A checkerboard of single pixels is gone at half the size, and no gradient reaches it there."""
    fine = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 0.2 - 0.1
    batch = {**PAIR, "content": PAIR["content"] + fine}
    kept = []
    for pyramid in ([], [0.5]):
        model = optimisation(vgg, content_weight=0.0, tv_weight=0.0, pyramid=pyramid, pyramid_steps=6)
        fit(model, 6, batch)
        kept.append(float(((model.image.detach() - batch["content"][0]) * fine).mean().abs()))
    assert kept[1] < 0.2 * kept[0]


def test_several_styles_and_masks_are_kept_and_resumed(vgg, tmp_path):
    left = torch.zeros(1, 1, 16, 16)
    left[..., :8] = 1
    batch = PAIR | {
        "style_2": images(20, seed=2),
        "content_guides": torch.cat([left, 1 - left], dim=1),
        "style_guide": torch.ones(1, 1, 24, 24),
        "style_2_guide": torch.ones(1, 1, 20, 20),
    }
    options = {"more_style_shapes": [[3, 20, 20]], "style_shares": [3, 1], "guided": True}
    straight, resumed, path = optimisation(vgg, **options), optimisation(vgg, **options), tmp_path / "at_2.ckpt"
    rows = fit(straight, 4, batch, Watch(path, 2))
    assert straight.shares == (0.75, 0.25)
    assert fit(resumed, 4, batch, checkpoint=path) == rows[2:]
    assert torch.equal(resumed.image, straight.image)
    assert straight.extra_grids(batch, None)["transfer"].across == ("content", "style", "style_2", "result")
    each = [
        straight.objective.distances(straight.measured_layers, straight.render(batch), batch["content"], batch[name])
        for name in ("style", "style_2")
    ]
    expected = 0.75 * each[0]["style_distance"] + 0.25 * each[1]["style_distance"]
    torch.testing.assert_close(straight.distances(straight.render(batch))["style_distance"], expected)
    with pytest.raises(ValueError, match=r"style_2 must be one image of shape .1, 3, 20, 20., got nothing"):
        fit(optimisation(vgg, **options), 1)


def test_options_of_pyramids_and_shares_are_named(vgg):
    with pytest.raises(ValueError, match=r"pyramid must be rising scales between 0 and 1, got \[0.5, 0.25\]"):
        optimisation(vgg, pyramid=[0.5, 0.25])
    with pytest.raises(ValueError, match="pyramid_steps must be at least 1, got 0"):
        optimisation(vgg, pyramid_steps=0)
    with pytest.raises(ValueError, match=r"style_shares must be 1 numbers above 0, one a style, got \[1, 2\]"):
        optimisation(vgg, style_shares=[1, 2])
