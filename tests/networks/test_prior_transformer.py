"""unCLIP's prior as a transformer: what it reads, what padding and the batch do not change, and that it learns."""

from functools import partial

import pytest
import torch

from genexp.conditioning.kinds import Words
from genexp.networks.prior_transformer import PriorTransformer
from genexp.networks.text_encoder import TextEncoder

WORDS = Words(["left", "right", "up"], 4)
TEXT = torch.tensor([[1, 0, 0, 0], [2, 3, 0, 0], [0, 0, 0, 0], [3, 2, 1, 1]])


def made(shape=(6,), num_classes=None, **further):
    torch.manual_seed(0)
    attended = {"caption": partial(TextEncoder, text=WORDS, width=8, depth=1, heads=2)}
    return PriorTransformer(shape, 16, 2, 2, num_classes, attended=attended, **further)


def given(shape=(6,)):
    torch.manual_seed(1)
    return torch.randn(4, *shape), torch.tensor([0, 10, 500, 999])


@pytest.mark.parametrize(("shape", "num_classes"), [((6,), None), ((1, 2, 3), 3)])
def test_every_parameter_receives_a_gradient(shape, num_classes):
    network, (x_t, t) = made(shape, num_classes), given(shape)
    condition = {"caption": TEXT} if num_classes is None else {"caption": TEXT, "label": torch.arange(4)}
    output = network(x_t, t, condition)
    assert output.shape == x_t.shape
    (output * torch.randn_like(output)).sum().backward()
    unused = {"attended.caption.table.weight"}  # not all rows of which are read
    silent = [name for name, each in network.named_parameters() if each.grad is None or each.grad.abs().max() == 0]
    assert [name for name in silent if name not in unused] == []


def test_sample_time_and_words_in_their_order_matter():
    network, (x_t, t) = made(), given()
    output = network(x_t, t, {"caption": TEXT})
    assert not torch.allclose(network(x_t + 0.1 * x_t, t, {"caption": TEXT}), output)
    assert ((network(x_t, t + 1, {"caption": TEXT}) - output).abs().amax(1) > 1e-6).all()
    turned = network(x_t, t, {"caption": TEXT[:, [1, 0, 2, 3]]})
    assert (turned - output)[[1, 3]].abs().amax(1).min() > 1e-5
    assert torch.equal(turned[2], output[2])


def test_padding_and_the_rest_of_the_batch_change_nothing():
    network, (x_t, t) = made().double(), given()
    x_t, output = x_t.double(), network(x_t.double(), t, {"caption": TEXT})
    alone = torch.cat([network(x_t[i : i + 1], t[i : i + 1], {"caption": TEXT[i : i + 1]}) for i in range(4)])
    torch.testing.assert_close(alone, output)
    shorter = network(x_t[:3], t[:3], {"caption": TEXT[:3, :2]})
    torch.testing.assert_close(shorter, output[:3])
    texts = network.encode({"caption": TEXT})
    rubbish = texts._replace(rows=torch.where(texts.counted[:, :, None], texts.rows, 7.0))
    torch.testing.assert_close(network(x_t, t, {"caption": TEXT}, rubbish), output)


def test_captions_that_were_encoded_before_give_the_same():
    network, (x_t, t) = made(), given()
    condition = {"caption": TEXT}
    assert torch.equal(network(x_t, t, condition, network.encode(condition)), network(x_t, t, condition))


def test_it_learns_what_a_word_means():
    network, means = made(), torch.tensor([[1.0] * 6, [-1.0] * 6, [0.5, -0.5] * 3])
    optimizer, t = torch.optim.Adam(network.parameters(), lr=5e-3), torch.full((3,), 900)
    text = torch.tensor([[1, 0, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0]])
    for _ in range(100):
        loss = (network(torch.randn(3, 6), t, {"caption": text}) - means).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert (network(torch.randn(3, 6), t, {"caption": text}) - means).square().mean() < 0.05


def test_what_does_not_fit_is_refused():
    for arguments, told in (
        ({"depth": 0}, "depth must be at least 1 block, got 0"),
        ({"width": 18}, "width must be divisible by 4 and by heads=4, got 18"),
        ({"heads": 5, "width": 16}, "width must be divisible by 4 and by heads=5, got 16"),
    ):
        with pytest.raises(ValueError, match=told):
            PriorTransformer((6,), **arguments)
    with pytest.raises(ValueError, match=r"x_t must hold samples of shape \(6,\), got \(5,\)"):
        made()(torch.zeros(1, 5), torch.zeros(1), {"caption": TEXT[:1]})
