import pytest
import torch

from genexp.evaluation.cache import TensorCache

KEY = {"content": "abc", "count": 3}


@pytest.fixture
def cache(tmp_path):
    return TensorCache(tmp_path / "statistics")


@pytest.fixture
def tensors():
    return {"count": torch.tensor(3), "mean": torch.randn(4, dtype=torch.float64)}


def test_what_was_stored_is_found_under_its_key_alone(cache, tensors):
    assert cache.load(KEY) is None
    cache.store(KEY, tensors)
    found = cache.load(KEY)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert cache.load(KEY | {"count": 4}) is None


def test_storing_again_replaces_and_leaves_no_other_file(cache, tensors):
    cache.store(KEY, tensors)
    cache.store(KEY, {"mean": torch.ones(2)})
    assert cache.load(KEY)["mean"].tolist() == [1, 1]
    assert len(list(cache.folder.iterdir())) == 1


def truncate(data):
    return data[: len(data) // 2]


def flip_last_bit(data):
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("damage", "notice"), [(truncate, "cannot be read"), (flip_last_bit, "checksum"), (lambda _: b"", "cannot be read")]
)
def test_a_damaged_file_counts_as_absent_and_is_said_to_be(cache, tensors, damage, notice, caplog):
    cache.store(KEY, tensors)
    (path,) = cache.folder.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert cache.load(KEY) is None
    assert notice in caplog.text


def test_a_file_of_another_key_is_not_believed(cache, tensors, caplog):
    cache.store(KEY, tensors)
    (path,) = cache.folder.iterdir()
    other = KEY | {"content": "xyz"}
    cache.store(other, tensors)
    path.write_bytes(next(p for p in cache.folder.iterdir() if p != path).read_bytes())
    assert cache.load(KEY) is None
    assert "checksum" in caplog.text
