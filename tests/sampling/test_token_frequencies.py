"""Codes drawn by counts: the frequencies of what was counted, with memory and without."""

import pytest
import torch

from genexp.sampling.token_frequencies import TokenFrequencies
from genexp.tensors import IndexedNoise


class Tokens:
    """Images of 1 x 3 pixels whose values are their codes."""

    code_shape, codes, levels = (1, 3), 4, None

    def observe(self, batch, noise):
        return batch

    def tokens(self, image):
        return image[:, 0].long()

    def from_tokens(self, code):
        return code[:, None].float()

    def log_likelihood_of(self, batch, code):
        return torch.zeros(len(code))


SEEN = torch.tensor([[0, 1, 1], [0, 1, 1], [0, 2, 3], [3, 0, 0]]).float()[:, None, None]


def drawn(memory, count=4000, smoothing=1e-9):
    sampler, model = TokenFrequencies(memory, smoothing), Tokens()
    sampler.fit(model, [{"image": part} for part in SEEN.split(3)])
    noise = IndexedNoise(0, range(count))
    return sampler.run(model, sampler.start(model, noise), noise)[:, 0, 0].long()


def test_without_memory_every_place_has_its_frequencies_alone():
    codes = drawn(0)
    for place in range(3):
        wanted = SEEN[:, 0, 0, place].long().bincount(minlength=4) / 4
        torch.testing.assert_close(codes[:, place].bincount(minlength=4) / 4000, wanted, atol=0.03, rtol=0)
    assert [0, 2, 1] in codes.tolist()  # no image has these together


def test_with_memory_a_place_follows_the_one_before():
    codes = drawn(1)
    assert {tuple(code) for code in codes.tolist()} == {(0, 1, 1), (0, 2, 3), (3, 0, 0)}
    share = (codes == torch.tensor([0, 1, 1])).all(1).float().mean()
    assert float(share) == pytest.approx(0.5, abs=0.03)


def test_smoothing_leaves_no_code_out_and_the_start_decides():
    codes = drawn(1, smoothing=4.0)
    assert len({tuple(code) for code in codes.tolist()}) > 20
    assert torch.equal(codes, drawn(1, smoothing=4.0))


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="memory must be 0 or 1, got 2"):
        TokenFrequencies(2)
    with pytest.raises(ValueError, match="smoothing must be above 0, got 0"):
        TokenFrequencies(smoothing=0)
    with pytest.raises(TypeError, match="TokenFrequencies draws from a quantised autoencoder, got object"):
        TokenFrequencies().require(object())
    with pytest.raises(RuntimeError, match="must count codes of training images before it draws"):
        TokenFrequencies().run(Tokens(), torch.zeros(1, 1, 3), IndexedNoise(0, [0]))
