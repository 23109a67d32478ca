"""A model of captions: learned in process with parts of this file alone, and the shipped one from the command line."""

import json

import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import tiny
from genexp.commands.sample import sample
from genexp.conditioning.base import Conditioning
from genexp.conditioning.kinds import Words
from genexp.config.compose import compose
from genexp.config.keys import of_the_own
from genexp.data.shapes import ShapeCaptions, Shapes
from genexp.diffusion.continuous import RectifiedFlow
from genexp.diffusion.prediction import Flow
from genexp.diffusion.weighting import UniformFlow
from genexp.families.diffusion import Diffusion
from genexp.inference.conditions import conditions_of
from genexp.inference.run import load_run
from genexp.sampling.ddim import DDIM
from genexp.sampling.guidance import ClassifierFree
from genexp.tensors import IndexedNoise

PLACES = Words(["left", "right", "top", "bottom"], 2, left_out=0.2)
CENTRES = torch.tensor([[0.0, 0.0], [-0.8, 0.0], [0.8, 0.0], [0.0, 0.8], [0.0, -0.8]])


class Reader(nn.Module):
    """A network of points that reads a text of two words, and says so."""

    reads = ("caption",)

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 16)
        self.body = nn.Sequential(nn.Linear(2 + 1 + 32, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, x_t, t, condition):
        words = self.table(condition["caption"]).flatten(1)
        return self.body(torch.cat([x_t, t[:, None] / 1000, words], 1))


def points(captions):
    """A point in the middle of the places that its words name."""
    return CENTRES[captions].sum(1) + 0.05 * torch.randn(len(captions), 2)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    parts = RectifiedFlow(), Flow(), UniformFlow()
    made = Diffusion(Reader(), *parts, torch.optim.Adam, (2,), conditions={"caption": PLACES})
    optimizer = torch.optim.Adam(made.network.parameters(), 3e-3)
    for _ in range(900):
        captions = torch.stack([torch.randint(1, 3, (128,)), torch.randint(3, 5, (128,))], 1)
        told, time = made.conditioning.sparing({"caption": captions}), torch.rand(128)
        optimizer.zero_grad()
        made.denoiser.loss(points(captions), time, torch.randn(128, 2), told).mean().backward()
        optimizer.step()
    return made


def drawn(model, guidance, text):
    noise = IndexedNoise(0, range(200))
    told = {name: row.expand(200, -1) for name, row in model.conditioning.read({"caption": text}).items()}
    sampler = DDIM(20, clip=False, guidance=guidance)
    return sampler.run(model.source(), sampler.start(model.source(), noise), noise, told)


def test_points_lie_where_their_words_say_and_guidance_makes_them_surer(model):
    for text in ("left top", "right bottom"):
        expected = CENTRES[PLACES.read(text)].sum(1)
        plain, guided = (drawn(model, ClassifierFree(scale), text) for scale in (1.0, 2.0))
        assert F.l1_loss(plain.mean(0, keepdim=True), expected) < 0.1
        assert guided.std(0).max() < 0.5 * plain.std(0).min()
    anywhere = drawn(model, ClassifierFree(0.0), "left top")
    assert anywhere.mean(0).abs().max() < 0.25
    assert anywhere.std(0).min() > 0.6


def test_a_network_of_other_conditions_is_refused_before_training():
    parts = RectifiedFlow(), Flow(), UniformFlow()
    with pytest.raises(ValueError, match="network must read the conditions of the model, none, got one that reads cap"):
        Diffusion(Reader(), *parts, torch.optim.Adam, (2,))
    with pytest.raises(ValueError, match="network must read the conditions of the model, label, caption, got one that"):
        Diffusion(Reader(), *parts, torch.optim.Adam, (2,), num_classes=3, conditions={"caption": PLACES})


def test_guidance_over_what_training_never_left_out_is_refused():
    both = Conditioning.of(3, {"caption": PLACES})

    class Denoiser:
        conditioning, image_shape, schedule = both, (2,), RectifiedFlow()

    for over, told in ((["label"], r"got label: model\.label_dropout must be"), (None, None), (["caption"], None)):
        if told is None:
            assert ClassifierFree(2.0, over)(Denoiser()).over == ("caption",)
        else:
            with pytest.raises(ValueError, match=told):
                ClassifierFree(2.0, over)(Denoiser())


def test_shapes_say_what_they_show():
    batch = Shapes(16, captions=True).split("train").read(torch.arange(4))
    kind = ShapeCaptions()
    for index, row in enumerate(batch["caption"]):
        said = " ".join(kind.words[number - 1] for number in row.tolist() if number)
        assert said == Shapes(16).caption(index)
        assert torch.equal(kind.read(said)[0], row)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("captions")
    small = ["data.image_size=8", "data.source.train_images=960", "data.batch_size=32", "training.max_images=64"]
    small += ["training.evaluate_every=64", "callbacks.evaluate.num=8", "callbacks.evaluate.batch_size=8"]
    small += [
        "sampler.steps=2",
        "extractor=pixels",
        "logger=none",
        "callbacks.sample_grid.num=4",
        "threads=1",
        "trainer=cpu",
    ]
    small += ["data.source.test_images=960", "model.network.width=8", "callbacks.evaluate.cache=null"]
    return tiny.run(["experiment=captions/shapes", *small, f"paths.outputs={outputs}"])


def test_the_shipped_recipe_trains_and_draws_by_caption(run, tmp_path):
    opened = load_run(run.path)
    text = "a large red circle in the centre on a white background"
    red, same = opened.samples(2, caption=text), opened.samples(2, caption=text.upper())
    assert torch.equal(red, same)
    assert not torch.equal(red, opened.samples(2, caption="a small blue cross"))
    conditions = conditions_of(opened)
    first, second = conditions.of(range(6))["caption"], conditions.of([5])["caption"]
    assert torch.equal(first[5:], second)
    assert len(first.unique(dim=0)) > 3
    draw(run, f"condition.caption={text}", f"out={tmp_path / 'red'}")
    record = json.loads((tmp_path / "red/sample.json").read_text())
    assert record["condition"] == {"caption": text}
    for typed, told in (
        ("condition.caption=pink", "caption must consist of the words a, at"),
        ("condition.colour=red", r"^condition\.colour must be one of condition\.caption, got red$"),
        ("label=3", r"^condition\.label must be one of condition\.caption, got 3$"),
    ):
        with pytest.raises(ValueError, match=told):
            draw(run, typed)


def test_captions_of_a_model_that_attends_are_typed_short_and_shown_on_the_grid(tmp_path_factory, tmp_path):
    outputs = tmp_path_factory.mktemp("attended")
    small = ["data.image_size=16", "data.source.train_images=960", "training.max_images=64", "model.network.width=16"]
    small += [
        "model.network.patch_size=2",
        "training.evaluate_every=64",
        "callbacks.evaluate.num=8",
        "extractor=pixels",
    ]
    small += ["sampler.steps=2", "logger=none", "callbacks.sample_grid.num=4", "threads=1", "trainer=cpu"]
    small += ["data.source.test_images=960", "callbacks.evaluate.cache=null", f"paths.outputs={outputs}"]
    run = tiny.run(["experiment=captions/attended", *small])
    red, blue = "a small red circle on white", "a large blue cross at the top left"
    single, several = tmp_path / "single", tmp_path / "several"
    draw(run, f"caption={red}", f"out={single}")
    draw(run, f"caption=[{red},{blue}]", "num=3", f"out={several}", "sampler.guidance.negative.caption=a grey circle")
    record = json.loads((several / "sample.json").read_text())
    assert record["condition"] == {"caption": [red, blue]}
    assert record["sampler"]["guidance"]["negative"] == {"caption": "a grey circle"}
    sizes = {folder: Image.open(folder / "grid.png").size for folder in (single, several)}
    assert sizes[several][0] > sizes[several][1] > sizes[single][1]  # words beside two rows, and above one
    draw(run, "sampler/guidance=per_condition", "sampler.guidance.scales={caption: 3}", f"out={tmp_path / 'scaled'}")
    for typed, told in (
        ("caption=", "caption must have at least one word, got an empty text; sampler.guidance.scale=0 tells none"),
        ("caption=a circle and a cross", "caption must consist of the words a, at.*, got 'and'"),
        ("caption=" + "a " * 13, "caption must have at most 12 words, got 13"),
        ("caption=[]", "caption must be a text or a list of texts, got an empty list"),
    ):
        with pytest.raises(ValueError, match=told):
            draw(run, typed)
    with pytest.raises(ValueError, match=r"caption must be that of condition\.caption, red, got blue"):
        draw(run, "caption=blue", "condition.caption=red")


def draw(run, *typed):
    sample(compose("sample", of_the_own([f"run={run.path}", "num=2", "frames=2", "interpolate=2", "rows=1", *typed])))
