"""Networks of one value after the other: what an output sees, shown by changing and by differentiating its inputs."""

from functools import partial

import pytest
import torch

from genexp.conditioning.kinds import Words
from genexp.networks.embeddings import WordEmbedding, WordTokens
from genexp.networks.gated_pixelcnn import GatedPixelCNN
from genexp.networks.image_transformer import ImageTransformer
from genexp.networks.made import MADE
from genexp.networks.pixelcnn import PixelCNN
from genexp.networks.pixelcnn_pp import PixelCNNPlusPlus
from genexp.networks.pixelsnail import PixelSNAIL
from genexp.tensors import from_levels

LEVELS = 3
NETWORKS = {
    "pixelcnn": partial(PixelCNN, width=6, depth=2, kernel_size=5),
    "gated_pixelcnn": partial(GatedPixelCNN, width=6, depth=4),
    "made": partial(MADE, width=40, depth=2),
    "made_narrow": partial(MADE, width=5, depth=1),
    "image_transformer": partial(ImageTransformer, width=16, depth=2, heads=2),
    "image_transformer_rotary": partial(ImageTransformer, width=16, depth=2, heads=2, positions="rotary"),
    "image_transformer_row_pieces": partial(ImageTransformer, width=16, depth=2, heads=4, block=4),
    "pixelsnail": partial(PixelSNAIL, width=8, blocks=2, depth=1, heads=2, key_size=4),
    "pixelcnn_pp": partial(PixelCNNPlusPlus, width=8, depth=1, halvings=1),
}
BLIND = ("pixelcnn",)
"""Networks that never see some of the earlier pixels."""
OF_MIXTURES = ("gated_pixelcnn", "pixelsnail", "pixelcnn_pp")
TEXT = Words(("red", "blue"), 2)


def network_of(name, channels=1, **options):
    torch.manual_seed(0)
    network = NETWORKS[name]((channels, 6, 4), LEVELS, **options)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return network.double().eval()


def order(channels):
    return torch.arange(channels * 24).view(6, 4, channels).movedim(-1, 0)  # rows from the top, channels inside


@torch.no_grad()
def seen(network, channels):
    """Which value (row) changes anything of the outputs at which value (column), over several images."""
    found = torch.zeros(24 * channels, 24 * channels, dtype=torch.bool)
    places = order(channels).flatten().argsort()
    for seed in range(3):
        levels = torch.randint(LEVELS, (channels, 6, 4), generator=torch.Generator().manual_seed(seed))
        images = levels.flatten().repeat(24 * channels + 1, 1)
        turned = torch.arange(24 * channels)
        images[turned + 1, places] = (images[turned + 1, places] + 1) % LEVELS
        outputs = network(from_levels(images.view(-1, channels, 6, 4), LEVELS).double())
        if outputs.ndim == 4:  # of a pixel, for all of its channels
            outputs = outputs[:, :, None].expand(-1, -1, channels, -1, -1)
        changed = ((outputs[1:] - outputs[:1]).abs() > 1e-9).any(1).flatten(1)  # rows of a batch round differently
        found |= changed[:, places]
    return found


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_an_output_sees_no_value_that_is_not_before_it_and_all_that_are(name, channels):
    found = seen(network_of(name, channels), channels)
    before = torch.ones_like(found).triu(1)
    assert not (found & ~before).any()
    if name in BLIND:
        assert not found[before].all()
    else:
        assert found[before].all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OF_MIXTURES)
def test_the_numbers_of_a_mixture_see_all_earlier_pixels_and_nothing_of_their_own(name, channels):
    found = seen(network_of(name, channels, mixtures=2), channels)
    pixel = torch.arange(24 * channels) // channels
    assert torch.equal(found, pixel[:, None] < pixel)


@pytest.mark.parametrize("name", [each for each in NETWORKS if "transformer" not in each])
def test_no_output_has_a_slope_by_its_own_value_or_by_a_later_one(name):
    """Transformers look up levels, which have no slope; the test above changes them."""
    network = network_of(name, 3)
    image = torch.rand(1, 3, 6, 4, dtype=torch.float64).requires_grad_()
    outputs = network(image)
    for place in [(0, 0, 0), (1, 0, 3), (0, 3, 2), (2, 5, 3)]:
        (slope,) = torch.autograd.grad(outputs[0, :, *place].square().sum(), image, retain_graph=True)
        assert not (slope[0] != 0)[order(3) >= order(3)[place]].any()
        assert (slope[0] != 0)[order(3) < order(3)[place]].any() or place == (0, 0, 0)


@pytest.mark.parametrize("name", ["image_transformer", "image_transformer_rotary", "image_transformer_row_pieces"])
def test_no_output_of_a_transformer_has_a_slope_by_the_vector_of_its_own_value_or_of_a_later_one(name):
    network, looked_up = network_of(name, 3), []
    network.values.register_forward_hook(lambda module, inputs, vectors: looked_up.append(vectors))
    outputs = network(torch.zeros(1, 3, 6, 4, dtype=torch.float64)).movedim(2, -1).flatten(2, 4)  # (1, levels, values)
    for value in (0, 5, 30, 71):
        (slope,) = torch.autograd.grad(outputs[0, :, value].square().sum(), looked_up[0], retain_graph=True)
        block = value // network.block
        reached = slope[0].flatten(1).abs().sum(1) != 0  # vectors of all tokens but the last
        assert not reached[block:].any()
        assert reached[:block].all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_an_untrained_network_finds_all_levels_equally_likely(name, channels):
    torch.manual_seed(0)
    network = NETWORKS[name]((channels, 6, 4), LEVELS)
    assert network(torch.rand(2, channels, 6, 4) * 2 - 1).abs().max() == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_a_class_and_a_text_change_every_output(name):
    network = network_of(name, num_classes=3, told={"caption": partial(WordEmbedding, text=TEXT)})
    assert network.reads == ("label", "caption")
    image = torch.zeros(3, 1, 6, 4, dtype=torch.float64)
    told = {"label": torch.tensor([0, 1, 0]), "caption": torch.tensor([[1, 2], [1, 2], [2, 0]])}
    first, other_class, other_text = network(image, told)
    assert (first != other_class).any(0).all()
    assert (first != other_text).any(0).all()
    with pytest.raises(ValueError, match=r"label must be given to .*, which reads it, got none"):
        network(image, {"caption": told["caption"]})


def test_every_word_of_a_text_is_a_token_before_the_image():
    network = network_of("image_transformer", told={"caption": partial(WordTokens, text=TEXT)})
    image = torch.zeros(3, 1, 6, 4, dtype=torch.float64)
    first, second, turned = network(image, {"caption": torch.tensor([[1, 2], [1, 1], [2, 1]])})
    assert (first != second).any(0).all()
    assert (first != turned).any(0).all()  # the order of words is seen


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("made", {"width": 0}, "width must be at least 1, got 0"),
        ("gated_pixelcnn", {"kernel_size": 4}, "kernel_size must be odd and at least 3, got 4"),
        ("image_transformer", {"heads": 5}, "width must be a multiple of heads=5, got 16"),
        ("image_transformer", {"block": 3}, "block must divide the 4 values of a row, got 3"),
        ("image_transformer", {"positions": "none"}, "positions must be one of learned, rotary, got none"),
        ("image_transformer_rotary", {"width": 6}, "width must be a multiple of 4 times heads for rotary positions"),
        ("pixelsnail", {"heads": 3}, "key_size and half of width must be multiples of heads=3, got 4 and 8"),
        ("pixelcnn_pp", {"halvings": 2}, "halvings must let 6 x 4 pixels be halved evenly, got 2"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(name, options, told):
    with pytest.raises(ValueError, match=told):
        NETWORKS[name]((1, 6, 4), LEVELS, **options)


def test_a_shape_or_levels_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"shape must be that of images, \[C, H, W\], got \[2\]"):
        MADE((2,), 4)
    with pytest.raises(ValueError, match="levels must be at least 2, got 1"):
        MADE((1, 2, 2), 1)


def test_the_words_of_a_text_are_tokens_of_a_transformer_alone():
    with pytest.raises(ValueError, match="told must make one vector of caption, as WordEmbedding does, got WordTokens"):
        NETWORKS["made"]((1, 6, 4), LEVELS, told={"caption": partial(WordTokens, text=TEXT)})
