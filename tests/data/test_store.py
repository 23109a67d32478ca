import pytest
import torch

from genexp.data.source import Arrays, BadImage, ContentDigest, fingerprint, stratified_order
from genexp.data.store import load_in_memory, survey


class _Counted:
    """Random images, some of them damaged, that count how often they are read."""

    generated = False

    def __init__(self, count=600, bad=(), skip=False):
        generator = torch.Generator().manual_seed(0)
        self.image = torch.randint(256, (count, 3, 4, 4), generator=generator, dtype=torch.uint8)
        self.label = torch.arange(count) % 3
        self.fingerprint, self.bad, self.skip, self.reads = "0" * 64, set(bad), skip, 0

    def __len__(self):
        return len(self.image)

    def read(self, rows):
        self.reads += 1
        for row in rows.tolist():
            if row in self.bad:
                raise BadImage(f"photos/{row}.png", "truncated", self.skip)
        return {"image": self.image[rows], "label": self.label[rows]}


@pytest.mark.parametrize("load", [load_in_memory, survey])
def test_the_second_load_reads_nothing_and_agrees(tmp_path, load):
    first = load(_Counted(), tmp_path)
    again = _Counted()
    second = load(again, tmp_path)
    assert again.reads == 0
    assert second.digest == first.digest
    assert second.labels == first.labels == {0: 200, 1: 200, 2: 200}
    rows = torch.tensor([5, 599, 0])
    assert torch.equal(second.examples.read(rows)["image"], _Counted().image[rows])
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_memory_and_streaming_have_one_digest(tmp_path):
    assert load_in_memory(_Counted(), None).digest == survey(_Counted(), None).digest


def test_the_digest_follows_content_and_labels_but_not_the_cut():
    def digest(image, label, cut):
        made = ContentDigest()
        for a, b in zip(image.split(cut), label.split(cut), strict=True):
            made.add({"image": a, "label": b})
        return made.hexdigest()

    image, label = _Counted(20).image, _Counted(20).label
    assert digest(image, label, 20) == digest(image, label, 3)
    changed = image.clone()
    changed[7, 1, 2, 3] ^= 1
    assert len({digest(image, label, 20), digest(changed, label, 20), digest(image, label.flip(0), 20)}) == 3


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_copy_is_rebuilt_with_a_notice(tmp_path, capsys, damage):
    whole = load_in_memory(_Counted(), tmp_path)
    (copy,) = tmp_path.iterdir()
    data = bytearray(copy.read_bytes())
    if damage == "flip":
        data[-100] ^= 1
    copy.write_bytes({"truncate": data[: len(data) // 2], "flip": data, "empty": b""}[damage])
    rebuilt = load_in_memory(_Counted(), tmp_path)
    assert f"the decoded copy {copy} is damaged" in capsys.readouterr().out
    assert rebuilt.digest == whole.digest
    assert torch.equal(rebuilt.examples.columns["image"], _Counted().image)
    load_in_memory(_Counted(), tmp_path)
    assert capsys.readouterr().out == ""


def test_a_damaged_survey_is_repeated_with_a_notice(tmp_path, capsys):
    whole = survey(_Counted(), tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_text(kept.read_text()[:20])
    assert survey(_Counted(), tmp_path).digest == whole.digest
    assert (
        f"the survey is damaged, all images are read again: {kept.name} in {tmp_path} cannot be read"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("load", [load_in_memory, survey])
def test_a_bad_image_stops_with_its_path(tmp_path, load):
    with pytest.raises(BadImage, match=r"cannot use image photos/300.png: truncated"):
        load(_Counted(bad=[300]), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("load", [load_in_memory, survey])
def test_skipped_images_are_left_out_counted_and_named_every_time(tmp_path, capsys, load):
    for _ in range(2):
        stored = load(_Counted(bad=[300, 4], skip=True), tmp_path)
        assert len(stored.examples) == 598
        rest = [i for i in range(600) if i not in (4, 300)]
        assert torch.equal(stored.examples.read(torch.arange(598))["image"], _Counted().image[rest])
        shown = capsys.readouterr().out
        assert "skipped 2 of 600 images" in shown
        assert "photos/300.png: truncated" in shown


@pytest.mark.parametrize("load", [load_in_memory, survey])
def test_nothing_usable_is_an_error(load):
    with pytest.raises(ValueError, match="at least 1 usable example, got 0; all 3 images are unusable"):
        load(_Counted(3, bad=[0, 1, 2], skip=True), None)


def test_generated_examples_are_not_surveyed():
    examples = _Counted()
    examples.generated = True
    assert survey(examples, None).digest == examples.fingerprint
    assert examples.reads == 0


def test_fingerprint_follows_code_and_parameters(tmp_path):
    code = tmp_path / "code.py"
    code.write_text("a = 1")
    first = fingerprint(str(code), size=8)
    assert fingerprint(str(code), size=8) == first
    assert fingerprint(str(code), size=9) != first
    code.write_text("a = 2")
    assert fingerprint(str(code), size=8) != first


def test_every_prefix_of_a_stratified_order_holds_equal_shares():
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)
    order = stratified_order(labels, seed=0)
    assert sorted(order.tolist()) == list(range(100))
    for n in (10, 37, 80):
        shares = labels[order[:n]].bincount(minlength=3) / n
        assert torch.allclose(shares, torch.tensor([0.5, 0.3, 0.2]), atol=1.01 / n)


def test_arrays_read_rows():
    arrays = Arrays({"image": torch.arange(6).reshape(3, 2)}, "x")
    assert arrays.read(torch.tensor([2, 0]))["image"].tolist() == [[4, 5], [0, 1]]
