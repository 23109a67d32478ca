"""Dynamic thresholding: its closed form, where it is static, what a sampler and its protocol make of it, refusals."""

import torch

from exact_denoisers import Gaussian
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.config.validation import find_problems
from genexp.diffusion.schedules import Cosine
from genexp.evaluation.protocol import describe
from genexp.sampling.clipping import Dynamic, clipped
from genexp.sampling.ddim import DDIM
from genexp.tensors import IndexedNoise


def test_it_divides_by_the_percentile_of_every_image_alone():
    ramp = torch.linspace(-5, 5, 101).view(1, 1, 1, 101)
    image = torch.cat([ramp, ramp / 10])  # |x| of the first: 0, 0.1, 0.1, ..., 5, 5
    found = Dynamic(0.8)(image)
    size = float(ramp.abs().flatten().sort().values[80])  # the 80th of 100 gaps
    torch.testing.assert_close(found[0], (ramp[0] / size).clamp(-1, 1))
    assert torch.equal(found[1], image[1])  # within [-1, 1] already: the threshold is at least 1
    torch.testing.assert_close(Dynamic(1.0)(image)[0], ramp[0] / 5)
    assert torch.equal(Dynamic(0.8)(image[:1]), found[:1])
    assert torch.equal(clipped(image, True), image.clamp(-1, 1))
    assert clipped(image, False) is image


def test_a_sampler_keeps_images_in_range_by_it_and_its_protocol_says_so():
    def drawn(clip, mean):
        model = Gaussian(Cosine(1000), mean, [[1e-6 * (i == j) for j in range(3)] for i in range(3)])
        noise, sampler = IndexedNoise(0, range(4)), DDIM(10, clip=clip)
        return sampler.run(model, sampler.start(model, noise).double(), noise)

    for clip, wanted in ((True, [1.0, 1, -1]), ({"percentile": 1.0}, [1.0, 0.25, -0.5]), (False, [4.0, 1, -2])):
        torch.testing.assert_close(drawn(clip, [4.0, 1, -2]), torch.tensor([wanted] * 4).double(), atol=0.02, rtol=0)
    assert torch.equal(drawn({"percentile": 0.9}, [0.4, 0.1, -0.2]), drawn(False, [0.4, 0.1, -0.2]))
    assert "clip=Dynamic(percentile=0.9)" in describe(DDIM(10, clip={"percentile": 0.9}))
    assert "clip=True" in describe(DDIM(10))


def test_it_is_typed_and_what_is_none_is_refused():
    config = compose("train", ["model=diffusion", "sampler=ddim", "sampler.clip={percentile:0.95}"])
    assert build(config.sampler).clip == Dynamic(0.95)
    for typed, told in (
        ("{percentile:1.5}", "must have a percentile in (0, 1], got 1.5"),
        ("{share:0.5}", "must be true, false or {percentile: p}, got {'share': 0.5}"),
    ):
        config = compose("train", ["model=diffusion", "sampler=ddim", f"sampler.clip={typed}"])
        assert [told in each.message for each in find_problems(config) if each.key.startswith("sampler.clip")] == [True]
