"""A discriminator of patches: what a score depends on, what it sees beside the image, what is refused."""

import pytest
import torch

from genexp.conditioning.pictures import Picture
from genexp.networks.batch_sight import MinibatchStd
from genexp.networks.patch import HALVINGS, PatchDiscriminator

SOURCE = {"source": Picture((1, 32, 32))}


@pytest.mark.parametrize("side", [1, 16, 34, 70])
def test_a_score_depends_on_a_patch_of_the_stated_side(side):
    size = 3 * side + 29
    size -= size % 8
    network = PatchDiscriminator(size, 1, {"source": Picture((1, size, size))}, side, width=2)
    image = torch.randn(1, 1, size, size, requires_grad=True)
    source = torch.randn(1, 1, size, size, requires_grad=True)
    scores = network(image, {"source": source})
    row = int(scores.shape[1] ** 0.5)
    scores[0, (row // 2) * row + row // 2].backward()  # of the patch in the middle
    for picture in (image, source):
        touched = (picture.grad[0, 0] != 0).nonzero()
        assert (touched.amax(0) - touched.amin(0) + 1).tolist() == [side, side]


def test_the_layers_are_those_of_the_paper():
    for side, widths in {
        1: [64, 128],
        16: [64, 128],
        70: [64, 128, 256, 512],
        286: [64, 128, 256, 512, 512, 512],
    }.items():
        network = PatchDiscriminator(256, 3, receptive_field=side)
        layers = [layer for layer in network.body if isinstance(layer, torch.nn.Conv2d)]
        assert [layer.out_channels for layer in layers] == widths
        assert sum(layer.stride == (2, 2) for layer in layers) == HALVINGS[side]
    assert PatchDiscriminator(256, 3, width=2)(torch.zeros(1, 3, 256, 256)).shape == (1, 30 * 30)


@pytest.mark.parametrize("norm", ["none", "spectral", "weight", "layer", "instance", "batch"])
def test_every_norm_scores_and_has_features(norm):
    torch.manual_seed(0)
    network = PatchDiscriminator(32, 1, SOURCE, 34, width=4, norm=norm, num_classes=3)
    told = {"source": torch.randn(2, 1, 32, 32), "label": torch.tensor([0, 2])}
    judged = network.judged(torch.randn(2, 1, 32, 32), told)
    assert judged.score.shape == (2, 36)
    assert judged.features.shape == (2, network.feature_count)
    assert network.output.bias is not None
    assert torch.isfinite(judged.score).all()
    assert set(network.reads) == {"label", "source"}
    other = {**told, "label": torch.tensor([1, 1])}
    assert not torch.equal(network(torch.zeros(2, 1, 32, 32), other), network(torch.zeros(2, 1, 32, 32), told))


def test_what_is_seen_of_the_batch_reaches_every_patch():
    torch.manual_seed(0)
    network = PatchDiscriminator(16, 1, receptive_field=16, width=4, diversity=MinibatchStd(group_size=2))
    image = torch.randn(2, 1, 16, 16)
    alone = network(image)[0]
    changed = network(torch.stack([image[0], 3 * image[1]]))[0]
    assert ((alone - changed).abs() > 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"receptive_field": 50}, "receptive_field must be one of 1, 16, 34, 70, 142, 286, got 50"),
        ({"receptive_field": 142}, "receptive_field must suit the image: 142 needs 48 pixels a side, got 32"),
        ({"norm": "group"}, "norm must be one of none, spectral, weight, layer, instance, batch, got 'group'"),
        (
            {"beside": {"source": Picture((1, 16, 24))}},
            "beside must hold pictures of the size of the images, 32 x 32, got source of 24 x 16",
        ),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PatchDiscriminator(32, 1, **arguments)
