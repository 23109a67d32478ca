"""Densities of every network: probabilities that sum to one, and the same images with and without memory."""

import itertools
import math
from functools import partial

import pytest
import torch

from genexp.conditioning.kinds import Words
from genexp.contracts import Autoregressive, Density
from genexp.contracts.in_order import Stepwise
from genexp.densities.autoregressive import AutoregressiveCategorical
from genexp.densities.in_order import WholeImages
from genexp.densities.logistic import AutoregressiveLogistic
from genexp.logistics import numbers_of
from genexp.networks.embeddings import WordEmbedding, WordTokens
from genexp.networks.gated_pixelcnn import GatedPixelCNN
from genexp.networks.image_transformer import ImageTransformer
from genexp.networks.made import MADE
from genexp.networks.pixelcnn import PixelCNN
from genexp.networks.pixelcnn_pp import PixelCNNPlusPlus
from genexp.networks.pixelsnail import PixelSNAIL
from genexp.sampling.ancestral import Ancestral
from genexp.tensors import IndexedNoise, from_levels, to_levels

GATED = partial(GatedPixelCNN, width=6, depth=3)
TRANSFORMER = partial(ImageTransformer, width=16, depth=2, heads=2)
NETWORKS = {
    "pixelcnn": partial(PixelCNN, width=6, depth=1, kernel_size=3),
    "gated_pixelcnn": GATED,
    "made": partial(MADE, width=40),
    "image_transformer": TRANSFORMER,
    "image_transformer_row_pieces": partial(TRANSFORMER, block=2),
    "pixelsnail": partial(PixelSNAIL, width=8, blocks=1, depth=1),
    "pixelcnn_pp": partial(PixelCNNPlusPlus, width=8, depth=1, halvings=1),
}
REMEMBERING = {
    "gated_pixelcnn": GATED,
    "image_transformer": TRANSFORMER,
    "image_transformer_rotary": partial(TRANSFORMER, positions="rotary"),
    "image_transformer_row_pieces": partial(TRANSFORMER, block=5),
}
TEXT = Words(("red", "blue"), 2)


def density_of(build, shape, levels, mixtures=None, **options):
    torch.manual_seed(1)
    further = {} if mixtures is None else {"mixtures": mixtures}
    words = WordTokens if build.func is ImageTransformer else WordEmbedding
    told = {"caption": partial(words, text=TEXT)} if options.get("conditions") else None
    network = build(shape, levels, num_classes=options.get("num_classes"), told=told, **further)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    kind = AutoregressiveCategorical if mixtures is None else partial(AutoregressiveLogistic, mixtures=mixtures)
    return kind(network, shape, levels, **options).double().eval()


def every_image(shape, levels):
    values = itertools.product(range(levels), repeat=math.prod(shape))
    return from_levels(torch.tensor(list(values)).view(-1, *shape), levels).double()


CASES = [(name, None, (1, 2, 2), 3) for name in NETWORKS] + [(name, None, (2, 2, 2), 2) for name in NETWORKS]
CASES += [
    (name, 2, shape, 2) for name in ("gated_pixelcnn", "pixelsnail", "pixelcnn_pp") for shape in [(1, 2, 2), (2, 2, 2)]
]


@pytest.mark.parametrize(("name", "mixtures", "shape", "levels"), CASES)
def test_the_probabilities_of_all_images_sum_to_one_and_are_products_of_conditionals(name, mixtures, shape, levels):
    model, images = density_of(NETWORKS[name], shape, levels, mixtures), every_image(shape, levels)
    with torch.no_grad():
        joint = model.log_prob({"image": images})
        each = model.logits(images).log_softmax(1).gather(1, to_levels(images, levels)[:, None])
    assert float(joint.exp().sum()) == pytest.approx(1, abs=1e-9)
    assert joint.std() > 0.1
    torch.testing.assert_close(each.flatten(1).sum(1), joint, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_an_untrained_model_needs_log2_of_its_levels_bits_a_value_exactly(levels):
    for build in NETWORKS.values():
        model = AutoregressiveCategorical(build((1, 4, 4), levels), (1, 4, 4), levels).eval()
        image = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
        bits = -model.log_prob({"image": image}) / (16 * math.log(2))
        assert bits.tolist() == pytest.approx([math.log2(levels)] * 2, rel=1e-6)


def drawn(model, count, told=None, dtype=torch.float64, whole=False, temperature=0.8):
    sampler, noise = Ancestral(temperature), IndexedNoise(5, range(count))
    start = sampler.start(model, noise).to(dtype)
    if whole:
        model.outputs = lambda num, condition: WholeImages(model.network, condition)
    return sampler.run(model, start, noise, told or {})


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 3, 5)])
@pytest.mark.parametrize("name", REMEMBERING)
def test_images_are_the_same_with_and_without_memory(name, shape):
    """In float64 and in float32; under a class and a text."""
    for dtype in (torch.float64, torch.float32):
        model = density_of(REMEMBERING[name], shape, 9, num_classes=2, conditions={"caption": TEXT}).to(dtype)
        assert isinstance(model.network, Stepwise)
        told = {"label": torch.tensor([0, 1, 1, 0]), "caption": torch.tensor([[1, 2], [2, 0], [1, 1], [0, 0]])}
        images = drawn(model, 4, told, dtype)
        assert torch.equal(images, drawn(model, 4, told, dtype, whole=True))
        assert len(to_levels(images, 9).unique()) > 4


@pytest.mark.parametrize("shape", [(1, 6, 5), (3, 3, 5)])
def test_mixtures_are_drawn_the_same_with_and_without_memory_at_one_run_of_the_network_a_pixel(shape):
    model = density_of(GATED, shape, 32, mixtures=3)
    assert model.evaluations == shape[1] * shape[2]
    assert torch.equal(drawn(model, 4), drawn(model, 4, whole=True))
    count, forward = [], model.network.forward
    model.network.forward = lambda *given: count.append(1) or forward(*given)
    drawn(model, 1, whole=True)
    assert len(count) == model.evaluations


@pytest.mark.parametrize("name", [*REMEMBERING])
def test_the_steps_say_what_the_whole_network_says_and_places_may_be_left_out(name):
    model = density_of(REMEMBERING[name], (3, 4, 5), 9)
    image = from_levels(torch.randint(9, (2, 3, 4, 5), generator=torch.Generator().manual_seed(0)), 9).double()
    whole = model.logits(image).detach()
    for some in (
        [(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 0, 1)],
        [(1, 0, 3), (0, 1, 0), (2, 3, 1), (2, 3, 4)],
        [(2, 2, 2)],
    ):
        steps = model.steps(2)
        for place in some:
            torch.testing.assert_close(steps(image, place), whole[:, :, *place], rtol=1e-10, atol=1e-10)


def test_the_logits_of_a_mixture_are_those_of_its_steps():
    model = density_of(GATED, (3, 3, 3), 8, mixtures=2)
    image = from_levels(torch.randint(8, (2, 3, 3, 3), generator=torch.Generator().manual_seed(0)), 8).double()
    steps, whole = model.steps(2), model.logits(image)
    for row, column, channel in itertools.product(range(3), repeat=3):
        torch.testing.assert_close(steps(image, (channel, row, column)), whole[:, :, channel, row, column])
    assert isinstance(model, Density)
    assert isinstance(model, Autoregressive)


def test_frequencies_of_drawn_images_are_their_probabilities_with_memory_too():
    model, images, count = density_of(TRANSFORMER, (1, 2, 2), 3), every_image((1, 2, 2), 3), 6000
    found = (drawn(model, count, temperature=1).flatten(1)[:, None] == images.flatten(1)).all(2).double().mean(0)
    expected = model.log_prob({"image": images}).detach().exp()
    assert float(((found - expected) ** 2 / expected).sum() * count) < 123  # chi squared, 80 degrees of freedom, 0.1 %


def test_what_is_known_stays_at_its_level_and_the_rest_follows_from_what_is_before_it():
    model = density_of(TRANSFORMER, (2, 4, 4), 5)
    sampler, noise = Ancestral(), IndexedNoise(0, range(3))
    start = sampler.start(model, noise).double()
    image = torch.rand(3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    known = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    known[..., :2, :] = True
    completed = sampler.completed(model, start, image, known)
    kept = from_levels(to_levels(image, 5), 5).double()
    assert torch.equal(completed[..., :2, :], kept[..., :2, :])
    assert not torch.equal(completed[..., 2:, :], kept[..., 2:, :])
    other = image.clone()
    other[..., 2:, :] = 0.3  # what is not kept is not looked at
    assert torch.equal(sampler.completed(model, start, other, known), completed)
    logits = model.logits(completed)[0, :, 1, 2, 1].detach()  # the quantile given everything before it, kept and drawn
    share = torch.special.ndtr(start[0, 1, 2, 1])
    assert to_levels(completed, 5)[0, 1, 2, 1] == (logits.softmax(0).cumsum(0) < share).sum()


def test_what_is_drawn_before_the_known_pixels_does_not_see_them():
    model, sampler, noise = density_of(GATED, (1, 4, 4), 5), Ancestral(), IndexedNoise(0, range(2))
    start, known = sampler.start(model, noise).double(), torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    known[..., 2:, :] = True
    first, second = (sampler.completed(model, start, torch.full_like(start, value), known) for value in (-1, 1))
    assert torch.equal(first[..., :2, :], second[..., :2, :])
    assert torch.equal(first[..., :2, :], sampler.run(model, start, noise)[..., :2, :])


def test_a_mask_may_differ_from_image_to_image():
    model, sampler, noise = density_of(GATED, (1, 3, 3), 5), Ancestral(), IndexedNoise(0, range(2))
    start, image = sampler.start(model, noise).double(), torch.ones(2, 1, 3, 3, dtype=torch.float64)
    known = torch.stack([torch.ones(1, 3, 3), torch.zeros(1, 3, 3)]).bool()
    both = sampler.completed(model, start, image, known)
    assert torch.equal(both[0], image[0])
    assert torch.equal(both[1], sampler.run(model, start, noise)[1])


def test_a_network_without_numbers_of_mixtures_is_refused():
    with pytest.raises(ValueError, match=r"network must give the numbers of 4 mixtures a pixel, .* got PixelCNN"):
        AutoregressiveLogistic(NETWORKS["pixelcnn"]((1, 4, 4), 8), (1, 4, 4), 8, mixtures=4)
    with pytest.raises(ValueError, match="network must give the numbers of 4 mixtures a pixel"):
        AutoregressiveLogistic(GATED((1, 4, 4), 8, mixtures=3), (1, 4, 4), 8, mixtures=4)


def test_components_begin_apart_so_that_they_can_become_different():
    model = AutoregressiveLogistic(GATED((1, 4, 4), 256, mixtures=5), (1, 4, 4), 256, mixtures=5)
    image = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    model.log_prob({"image": image}).sum().backward()
    slopes = model.network.head.last.bias.grad[5:].view(5, 2)
    assert numbers_of(1, 5) == 15
    assert len({round(float(each), 3) for each in slopes[:, 0]}) == 5


def test_a_grid_of_many_codes_has_a_density_too():
    """Codes of a trained codec: integers of one channel, more of them than a pixel has levels."""
    model = AutoregressiveCategorical(TRANSFORMER((1, 4, 4), 512), (1, 4, 4), 512).eval()
    codes = from_levels(torch.randint(512, (2, 1, 4, 4), generator=torch.Generator().manual_seed(0)), 512)
    assert -float(model.log_prob({"image": codes})[0].detach()) == pytest.approx(16 * math.log(512), rel=1e-6)
    assert to_levels(drawn(model, 2, dtype=torch.float32), 512).max() > 256
