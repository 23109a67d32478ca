"""Quantisers by hand: gradients straight through, moving means, restarts, and codes that say what they stand for."""

import pytest
import torch

from genexp.latents.codebook import EPSILON, Codebook
from genexp.latents.quantised import FiniteScalar, usage_terms


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def features(count=6, size=2, side=3):
    return torch.randn(count, size, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("quantiser", [Codebook(5, 2), FiniteScalar([3, 4])], ids=["vq", "fsq"])
def test_codes_stand_for_what_the_decoder_sees_bit_for_bit(quantiser):
    found = quantiser(3 * features())
    assert torch.equal(quantiser.embed(found.code), found.embedded)
    assert found.code.dtype == torch.int64
    assert 0 <= found.code.min() <= found.code.max() < quantiser.codes
    every = torch.arange(quantiser.codes)[None, None]
    if isinstance(quantiser, FiniteScalar):
        assert len(quantiser.embed(every)[0, :, 0].T.unique(dim=0)) == quantiser.codes


def test_a_place_takes_the_nearest_vector_and_its_gradient_passes_straight_through():
    book, z, slope = Codebook(5, 2), features().requires_grad_(), torch.randn(6, 2, 3, 3)
    found = book(z)
    distances = (z[:, None] - book.vectors[None, :, :, None, None]).square().sum(2)
    assert torch.equal(found.code, distances.argmin(1))
    (found.embedded * slope).sum().backward()
    assert torch.equal(z.grad, slope)
    z.grad = None
    found.commitment.sum().backward()
    torch.testing.assert_close(z.grad, 2 * (z - found.embedded).detach())
    torch.testing.assert_close(found.commitment, distances.min(1).values.flatten(1).sum(1))
    assert not any(buffer.requires_grad for buffer in book.buffers())


def test_moving_means_are_those_computed_by_hand():
    book = Codebook(4, 2, decay=0.9, restart=None)
    book.count.copy_(torch.tensor([3.0, 1, 2, 0.5]))
    book.total.copy_(torch.randn(4, 2))
    before = {name: buffer.clone() for name, buffer in book.named_buffers()}
    z = features()
    code = book(z).code
    book.learn(z, code, torch.rand(6, 3, 3))
    rows = z.permute(0, 2, 3, 1).reshape(-1, 2)
    for k in range(4):
        own = rows[code.flatten() == k]
        count = 0.9 * before["count"][k] + 0.1 * len(own)
        total = 0.9 * before["total"][k] + 0.1 * own.sum(0)
        torch.testing.assert_close(book.count[k], count)
        torch.testing.assert_close(book.total[k], total)
        whole = 0.9 * 6.5 + 0.1 * 54
        torch.testing.assert_close(book.vectors[k], total / ((count + EPSILON) / (whole + 4 * EPSILON) * whole))


def test_vectors_begin_at_features_of_the_first_batch_and_unused_ones_begin_there_again():
    book = Codebook(4, 2, restart=0.1)
    z, key = features(), torch.rand(6, 3, 3)
    book.learn(z, book(z).code, key)
    rows = z.permute(0, 2, 3, 1).reshape(-1, 2)
    first = rows[key.flatten().argsort(descending=True)[:4]]
    torch.testing.assert_close(book.vectors, first, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(book.count, torch.full((4,), 54 / 4))
    book.vectors[2] = 100.0
    book.total[2], book.count[2] = 0.1, 0.001
    code, key = book(z).code, torch.rand(6, 3, 3)
    assert 2 not in code
    kept = book.vectors[[0, 1, 3]].clone()
    book.learn(z, code, key)
    torch.testing.assert_close(book.vectors[2], rows[key.flatten().argmax()], rtol=1e-4, atol=1e-4)
    assert not torch.equal(book.vectors[[0, 1, 3]], kept)
    assert 2 in book(z).code


def test_codes_without_a_feature_to_begin_at_stay_where_they_were():
    book = Codebook(100, 2)
    before = book.vectors.clone()
    book.learn(features(), book(features()).code, torch.rand(6, 3, 3))
    torch.testing.assert_close(book.vectors[54:], before[54:], rtol=1e-3, atol=1e-3)
    assert not torch.isclose(book.vectors[:54], before[:54]).all(1).any()


@pytest.mark.parametrize("levels", [[3], [4], [2, 5], [8, 5, 5]])
def test_levels_are_evenly_spread_and_reached_from_both_ends(levels):
    fsq = FiniteScalar(levels)
    line = torch.linspace(-6, 6, 4001).expand(1, len(levels), 1, -1)
    found = fsq(line)
    for number, count in enumerate(levels):
        values = found.embedded[0, number, 0].unique()
        torch.testing.assert_close(values, (torch.arange(count) - count // 2).float() / (count // 2))
    assert (found.code.min(), found.code.max()) == (0, fsq.codes - 1)
    assert torch.equal(fsq(torch.zeros(1, len(levels), 1, 1)).embedded, torch.zeros(1, len(levels), 1, 1))


def test_the_gradient_of_rounding_is_that_of_the_bounded_number():
    fsq, z = FiniteScalar([5, 5]), features().requires_grad_()
    found = fsq(z)
    found.embedded.sum().backward()
    half = 4 * (1 + 1e-3) / 2
    torch.testing.assert_close(z.grad, half / 2 * (1 - z.detach().tanh().square()))
    assert found.commitment.tolist() == [0] * 6


def test_perplexity_is_the_number_of_codes_that_are_used_evenly():
    terms = usage_terms(torch.tensor([7, 7, 0, 7, 0]))
    assert float(terms["perplexity"]) == pytest.approx(3)
    assert float(terms["codes_used"]) == 3


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: Codebook(1, 2), "codes must be at least 2, got 1"),
        (lambda: Codebook(4, 0), "size must be at least 1, got 0"),
        (lambda: Codebook(4, 2, decay=1), r"decay must lie in \[0, 1\), got 1"),
        (lambda: Codebook(4, 2, restart=-1), "restart must lie in"),
        (lambda: FiniteScalar([4, 1]), r"levels must be one number or more, each at least 2, got \[4, 1\]"),
        (lambda: FiniteScalar([]), "levels must be one number or more"),
    ],
)
def test_what_means_nothing_is_refused(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()
