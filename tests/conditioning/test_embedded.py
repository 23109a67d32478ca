"""An image embedding as a condition and as what a prior draws: length, what is made, commands, what is refused."""

import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import genexp
import tiny
from genexp.__main__ import main
from genexp.commands.evaluate import evaluate
from genexp.commands.sample import sample
from genexp.conditioning.base import Conditioning
from genexp.conditioning.embedded import Embedded, unit
from genexp.config.compose import compose
from genexp.data.picture_embeddings import Embeddings
from genexp.data.shapes import Shapes
from genexp.evaluation.extractors.classifiers import ClassifierFeatures
from genexp.inference.cascade import Cascade, stages_of
from genexp.inference.drawing import Drawing
from genexp.networks.embeddings import VectorEmbedding
from genexp.sampling.conditions import _GOLDEN
from genexp.tensors import mix_seed, to_float

SMALL = ["data.batch_size=16", "data.limit=64", "training.max_images=32", "training.evaluate_every=32", *tiny.COMMON]
SMALL += ["model.network.width=16", "sampler.steps=2", "data.eval_batch_size=64"]
FEW = ["train_images=960", "val_images=64", "test_images=64"]


class Sums:
    """Means of rows and columns, a small encoder."""

    digest, dimensions = "0123456789abcdef", 4

    def __call__(self, image):
        return torch.cat([image.mean((1, 2)), image.mean((1, 3))], 1)


def test_it_is_made_of_the_sample_at_one_length_and_read_from_numbers():
    kind, image = Embedded(Sums(), left_out=0.5), torch.rand(200, 3, 2, 2)
    told = Conditioning({"embedding": kind}).told({"image": image})["embedding"]
    torch.testing.assert_close(told, Sums()(image) / Sums()(image).norm(dim=1, keepdim=True) * 2)
    torch.testing.assert_close(told.pow(2).mean(1), torch.ones(200))
    torch.testing.assert_close(kind.read([3, 0, 0, 4]), torch.tensor([[1.2, 0, 0, 1.6]]))
    torch.testing.assert_close(kind.read(told * 5), told)
    torch.manual_seed(0)
    spared = Conditioning({"embedding": kind}).sparing({"embedding": told})["embedding"]
    assert 70 < int((spared == 0).all(1).sum()) < 130
    assert kind == Embedded(Sums())
    other = Sums()
    other.digest = "another"
    assert kind != Embedded(other)
    for typed in ([1, 2], "nothing", torch.zeros(2, 5)):
        with pytest.raises(ValueError, match="embedding must be an embedding of 4 numbers, got"):
            Conditioning({"embedding": kind}).read({"embedding": typed})


def test_data_are_the_embeddings_of_the_same_pictures():
    pictures, encoder = Shapes(16, train_images=960), ClassifierFeatures("shapes_classifier")
    found, rows = Embeddings(pictures, encoder).split("train"), torch.tensor([5, 900, 31])
    image = pictures.split("train").read(rows)
    torch.testing.assert_close(found.read(rows)["image"], unit(encoder(to_float(image["image"]))).detach())
    assert torch.equal(found.read(rows)["label"], image["label"])
    assert found.fingerprint != Embeddings(pictures, Sums()).split("train").fingerprint
    assert VectorEmbedding(8, size=64)(found.read(rows)["image"]).shape == (3, 8)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A prior and a decoder, of velocities: of noise, a first step divides last bits by a level of almost 0."""
    found = []
    for name, below, kind in (("prior", "data.source.pictures", []), ("decoder", "data.source", ["velocity"])):
        place = [f"paths.outputs={tmp_path_factory.mktemp(name)}", *(f"{below}.{each}" for each in FEW)]
        typed = [*SMALL, *(f"model/prediction={each}" for each in kind), *place]
        found.append(tiny.run([f"experiment=unclip/{name}_shapes", *typed]).path)
    return found


@pytest.mark.slow  # two short trainings
def test_a_caption_becomes_an_embedding_and_that_a_picture(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["genexp"])
    caption = "a large red circle in the centre on a white background"
    given = ["num=5", "threads=1", "rows=2", "frames=2", "interpolate=3"]
    main(["sample", f"run=[{runs[0]},{runs[1]}]", *given, f'condition.caption="{caption}"', f"out={tmp_path}/both"])
    record = json.loads((tmp_path / "both" / "sample.json").read_text())
    assert [each["told"] for each in record["stages"]] == [None, "embedding"]
    assert len(list((tmp_path / "both" / "images").iterdir())) == 5
    assert (tmp_path / "both" / "embeddings.png").exists()
    prior, decoder = (genexp.load_run(each) for each in runs)
    embeddings = prior.samples(5, caption=caption)
    assert embeddings.shape == (5, 64)
    main(["sample", f"run={runs[0]}", "num=5", "threads=1", f"out={tmp_path}/prior"])
    assert (tmp_path / "prior" / "points.csv").read_text().count("\n") == 5
    array = np.full((16, 16, 3), 200, dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "picture.png")
    main(["sample", f"run={runs[1]}", *given, f"condition.embedding={tmp_path}/picture.png", f"out={tmp_path}/varied"])
    image = torch.from_numpy(array).movedim(-1, 0)[None]
    own = decoder.samples(5, embedding=decoder.model.conditioning.kinds["embedding"].made(to_float(image)))
    levels = np.asarray(Image.open(tmp_path / "varied" / "images" / "000003.png"))
    assert np.abs(((own[3] + 1) * 127.5).clamp(0, 255).movedim(0, -1).numpy() - levels).max() <= 0.51


@pytest.mark.slow
def test_pictures_by_an_embedding_are_held_against_the_captions_that_the_prior_was_told(runs, tmp_path):
    """The decoder is told none."""
    typed = [f"run={runs[1]}", "metrics=caption_truth", "num=40", f"out={tmp_path}", "pictures=0", "cache=null"]
    typed += ["threads=1", "floor=null"]
    evaluate(compose("evaluate", [*typed, f"after={runs[0]}", "told=test"]))
    (written,) = tmp_path.glob("*/metrics.json")
    (truth,) = [
        each for key, each in json.loads(written.read_text())["values"].items() if key.startswith("caption_truth/")
    ]
    assert truth["details"]["captions"] == 40
    assert truth["protocol"]["sampler"].count(", told as test") == 2
    stages = stages_of([genexp.load_run(each) for each in runs], None, {}, 0, "evaluate")
    (batch,) = Cascade(stages, 40, 64, torch.device("cpu"), "test").batches()
    source = Shapes(16, test_images=64, captions=True)
    examples = [mix_seed(_GOLDEN, index) % 64 for index in range(40)]
    assert [source.captions.said(row) for row in batch["caption"]] == [
        source.caption(each, "test") for each in examples
    ]
    with pytest.raises(ValueError, match="must be without caption_truth for a model that is told no caption"):
        evaluate(compose("evaluate", typed))
    with pytest.raises(ValueError, match="reference must have captions in the words that the model is told for capt"):
        evaluate(
            compose(
                "evaluate",
                [
                    *typed,
                    f"after={runs[0]}",
                    "reference=scenes",
                    "data=scenes",
                    "data.image_size=16",
                    "data.source.captions=true",
                ],
            )
        )


@pytest.mark.slow
def test_one_noise_is_drawn_on_the_arc_between_two_embeddings(runs):
    decoder = genexp.load_run(runs[1])
    told = decoder.model.conditioning.kinds["embedding"].read(torch.randn(2, 64))
    pictures = Drawing(decoder, decoder.config.sampler, "cpu", 4, 8, {"embedding": told}).pictures
    grid = pictures.between_embeddings("embedding", 1, 5)
    assert grid.across == ["0 %", "25 %", "50 %", "75 %", "100 %"]
    for place, embedding in ((0, told[:1]), (4, told[1:])):
        torch.testing.assert_close(grid.samples[place], decoder.samples(1, seed=4, embedding=embedding)[0])
    middle = unit(told.sum(0, keepdim=True))
    torch.testing.assert_close(grid.samples[2], decoder.samples(1, seed=4, embedding=middle)[0], atol=1e-4, rtol=0)


@pytest.mark.slow
def test_embeddings_of_another_encoder_are_refused(runs, tmp_path):
    below = [f"data.source.pictures.{each}" for each in FEW]
    key = "data.source.encoder"
    other = [f"{key}._target_=genexp.evaluation.extractors.untrained.RandomFeatures", f"+{key}.channels=3"]
    place = [*below, f"paths.outputs={tmp_path}"]
    prior = tiny.run(["experiment=unclip/prior_shapes", *SMALL, *place, f"~{key}.asset", *other]).path
    with pytest.raises(ValueError, match=r"run must name runs of one encoder, .* of the second, got .* of the first"):
        sample(compose("sample", [f"run=[{prior},{runs[1]}]", "threads=1"]))


@pytest.mark.slow
def test_embeddings_of_pictures_of_another_size_are_refused(runs, tmp_path):
    below = [f"data.source.pictures.{each}" for each in (*FEW, "image_size=32")]
    prior = tiny.run(["experiment=unclip/prior_shapes", *SMALL, *below, f"paths.outputs={tmp_path}"]).path
    with pytest.raises(ValueError, match=r"one shape, \[3, 16, 16\] of the second, got .* of \[3, 32, 32\]"):
        sample(compose("sample", [f"run=[{prior},{runs[1]}]", "threads=1"]))
