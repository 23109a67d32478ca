"""Textual inversion: new words begin as known ones, and their vectors alone are learned."""

import copy

import pytest
import torch
from PIL import Image

import genexp
import tiny
from genexp.conditioning.kinds import Words
from genexp.config.check import problems_of
from genexp.data.word_lists import WordList
from genexp.networks.text_encoder import TextEncoder, TextVector

BASE = [
    *("experiment=ldm/shapes_captions", "data.source.train_images=960", "data.image_size=16", "model.network.width=16"),
    *("model.network.image_size=4", "model.network.depth=1", "model.codec.image_shape=[3,16,16]"),
]
SHORT = [
    *("data.batch_size=4", "training.max_images=16", "training.evaluate_every=16", "logger=none", "threads=1"),
    *("trainer=cpu", "trainer.precision=32-true", "metrics=none", "callbacks.sample_grid.num=2", "sampler.steps=2"),
    *("callbacks.sample_grid.columns=null", "trainer.limit_val_batches=1", "callbacks.evaluate.num=8"),
]
ENCODER = "network.attended.caption"


def texts(*rows):
    return torch.tensor(rows)


def encoders(kind):
    """An encoder of three words, and one of the same weights with two words more, which begin like the third."""
    torch.manual_seed(0)
    old = kind(8, Words(["a", "red", "circle"], 4), 16, 2, 2)
    new = kind(8, Words(["a", "red", "circle"], 4, added={"blob": "circle", "zub": "circle"}), 16, 2, 2)
    missing = new.load_state_dict(old.state_dict(), strict=False)
    assert missing.missing_keys == ["added.weight"]
    new.added.begin_as_copy()
    return old.eval(), new.eval()


def read(encoder, text):
    found = encoder(text)
    return found if isinstance(found, torch.Tensor) else torch.cat([found.rows.flatten(1), found.pooled], 1)


@pytest.mark.parametrize("kind", [TextEncoder, TextVector])
def test_a_new_word_begins_as_the_known_one_and_changes_nothing_said_without_it(kind):
    old, new = encoders(kind)
    known = texts([1, 2, 3, 0], [1, 3, 0, 0], [0, 0, 0, 0])
    assert torch.equal(read(new, known), read(old, known))
    for number in (4, 5):
        told = texts([1, 2, number, 0])
        assert torch.equal(read(new, told), read(old, texts([1, 2, 3, 0])))
    with torch.no_grad():
        new.added.weight[1] += torch.randn(16)  # a constant would be normalised away
    assert torch.equal(read(new, known), read(old, known))
    assert torch.equal(read(new, texts([1, 4, 0, 0])), read(old, texts([1, 3, 0, 0])))
    assert not torch.allclose(read(new, texts([1, 5, 0, 0])), read(old, texts([1, 3, 0, 0])))


def test_a_copy_of_an_encoder_has_words_that_begin_like_its_own():
    _, new = encoders(TextEncoder)
    other = copy.deepcopy(new)
    with torch.no_grad():
        other.table.weight.add_(1)
    other.added.begin_as_copy()
    assert torch.equal(other.added.weight, new.table.weight[[3, 3]] + 1)
    new.added.begin_as_copy()
    assert torch.equal(new.added.weight, new.table.weight[[3, 3]])


def test_what_is_no_new_word_is_refused():
    for added in ({"red": "a"}, {"blob": "green"}, {"Blob": "a"}, {"two words": "a"}, {"": "a"}):
        with pytest.raises(ValueError, match="added must be new words in lower case, each with one of the list"):
            Words(["a", "red"], 3, added=added)
    with pytest.raises(ValueError, match="words must be those of the run that learns blob, got null"):
        WordList(added={"blob": "a"})
    kind = WordList(["a", "red"], length=3, added={"blob": "red"})
    assert kind.read("a Blob!").tolist() == [[1, 3, 0]]
    assert kind.said(torch.tensor([1, 3, 0])) == "a blob"
    assert kind == WordList(["a", "red", "blob"], length=3)
    assert kind.alike == [2]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.run([*BASE, *SHORT, f"paths.outputs={tmp_path_factory.mktemp('base')}"])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("blobs")
    for i in range(5):
        Image.new("RGB", (16, 16), (200, 0, 40 * i)).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text("a blob on a white background")
    return folder


def inverting(base, pictures, outputs, *typed):
    small = [each for each in BASE[2:] if "codec" not in each or "shape" in each]
    given = [f"initial.run={base.path}", f"data.source.root={pictures}", "data.source.captions.added={blob: circle}"]
    return ["experiment=textual_inversion/shapes", *small, *SHORT, *given, f"paths.outputs={outputs}", *typed]


def test_a_run_learns_the_vector_alone_and_is_drawn_by_the_word(base, pictures, tmp_path, capsys):
    folder = tiny.run(inverting(base, pictures, tmp_path))
    assert f"adapters    64 numbers of {ENCODER}.added; all else of network stays" in capsys.readouterr().err
    before, after = (genexp.load_run(each.path).model.state_dict() for each in (base, folder))
    new = after.pop(f"{ENCODER}.added.weight")
    assert after.keys() == before.keys()
    for name, weight in before.items():
        assert torch.equal(after[name], weight), name
    like = before[f"{ENCODER}.table.weight"][
        genexp.load_run(base.path).model.conditioning.kinds["caption"].words.index("circle") + 1
    ]
    assert not torch.equal(new[0], like)
    raw = tiny.checkpoint(folder)
    held = sum(each["exp_avg"].numel() for state in raw["optimizer_states"] for each in state["state"].values())
    assert held == 64  # the optimiser knows of nothing else
    run = genexp.load_run(folder.path)
    assert torch.isfinite(run.samples(1, caption="a blob on white")).all()
    kind, encoder = run.model.conditioning.kinds["caption"], run.model.network.attended["caption"]
    assert not torch.equal(*(encoder(kind.read(f"a {word}")).rows for word in ("blob", "circle")))
    with pytest.raises(ValueError, match=r"caption must consist of the words .*, got 'blob'"):
        genexp.load_run(base.path).samples(1, caption="a blob on white")


def test_what_cannot_be_learned_is_refused_early(base, pictures, tmp_path):
    def told(*typed):
        return problems_of("train", inverting(base, pictures, tmp_path, *typed))

    (line,) = told("data.source.captions.added={blob: zebra}")
    assert line.startswith("data.source.captions.added: must be new words in lower case")
    assert "got 'blob' like 'zebra'" in line
    (line,) = problems_of("train", [*BASE, *SHORT, "initial=run", f"initial.run={base.path}", "adapters=additions"])
    assert line.startswith("adapters: must have parts to train that begin as copies, such as new words or a control")
