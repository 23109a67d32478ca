"""Held-out means weigh images, not batches, and are joined over processes."""

import torch

from genexp.families.validation_means import HeldOutMeans

CPU = torch.device("cpu")


class Alone:
    def broadcast(self, value):
        return value

    def reduce(self, value, reduce_op):
        return value


class Pair(Alone):
    """Two ranks, of which the other holds given sums and hears the first one's names."""

    def __init__(self, other):
        self.other = torch.tensor(other, dtype=torch.float64)

    def reduce(self, value, reduce_op):
        assert reduce_op == "sum"
        return value + self.other


def test_images_count_not_batches():
    image = torch.arange(7.0)
    means = HeldOutMeans()
    for part in image.split(3):
        means.add({"val/x": part.mean(), "val/y": -part.mean()}, len(part))
    assert means.flush(Alone(), CPU) == {"val/x": 3.0, "val/y": -3.0}


def test_reading_forgets():
    means = HeldOutMeans()
    means.add({"val/x": torch.tensor(1.0)}, 4)
    means.flush(Alone(), CPU)
    assert means.flush(Alone(), CPU) == {}
    means.add({"val/x": torch.tensor(2.0)}, 1)
    assert means.flush(Alone(), CPU) == {"val/x": 2.0}


def test_a_rank_with_fewer_images_weighs_less():
    means = HeldOutMeans()
    means.add({"val/x": torch.tensor(1.0)}, 3)
    assert means.flush(Pair([5.0, 1.0]), CPU) == {"val/x": 2.0}  # (3 * 1 + 5) / (3 + 1)


def test_a_rank_without_images_takes_the_names_of_the_first():
    class NamesOfTheFirst(Pair):
        def broadcast(self, value):
            assert value == []
            return ["val/x"]

    assert HeldOutMeans().flush(NamesOfTheFirst([6.0, 2.0]), CPU) == {"val/x": 3.0}
