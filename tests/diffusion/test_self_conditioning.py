import pytest
import torch
from torch import nn

from genexp.conditioning.base import Conditioning
from genexp.conditioning.degraded import Degraded
from genexp.conditioning.estimate import Estimate
from genexp.config.check import problems_of
from genexp.diffusion.denoiser import NetworkDenoiser
from genexp.diffusion.objective import Hybrid
from genexp.diffusion.prediction import Sample
from genexp.diffusion.schedules import Cosine
from genexp.diffusion.self_conditioning import SelfConditioning
from genexp.diffusion.weighting import UniformSample
from genexp.networks.dit import DiT
from genexp.networks.mlp import MLPDenoiser
from genexp.networks.unet import UNet
from genexp.sampling.classifier_guidance import ClassifierGuidance
from genexp.sampling.ddim import DDIM
from genexp.sampling.ddpm import DDPM
from genexp.sampling.dpm_solver import DPMSolver, DPMSolver2M
from genexp.sampling.guidance import Autoguidance, ClassifierFree, Interval
from genexp.sampling.heun import Heun
from genexp.sampling.inversion import inverted
from genexp.sampling.pndm import PNDM
from genexp.sampling.unipc import UniPC
from genexp.tensors import IndexedNoise

SHAPE = (1, 2, 2)
WITH_A_GOAL = ["experiment=consistency/digits", "model/self_conditioning=estimate"]


class Linear(nn.Module):
    """a x + b estimate + the class: its answers in closed form, and what it was told."""

    def __init__(self, num_classes=None):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(0.7)), nn.Parameter(torch.tensor(0.4))
        self.num_classes, self.estimates, self.answers = num_classes, [], []

    @property
    def reads(self):
        return ("estimate",) if self.num_classes is None else ("label", "estimate")

    def forward(self, x, t, condition):
        self.estimates.append(condition["estimate"])
        label = condition.get("label", torch.zeros(len(x)))
        self.answers.append(self.a * x + self.b * condition["estimate"] + 0.1 * label.view(-1, 1, 1, 1))
        return self.answers[-1]


def denoiser_of(network, num_classes=None, clip=True):
    conditioning = Conditioning.of(num_classes, None, 0.1, {"estimate": Estimate(SHAPE, clip)})
    return NetworkDenoiser(network.double(), Cosine(), Sample(), UniformSample(), SHAPE, conditioning)


def batch(num=5):
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, num, *SHAPE, generator=generator, dtype=torch.float64)
    return x, torch.arange(100, 100 + 150 * num, 150), noise


def test_the_loss_is_that_of_a_second_pass_which_is_told_the_first_without_a_gradient_through_it():
    network, (x, t, noise) = Linear(), batch()
    denoiser = denoiser_of(network)
    reads = torch.tensor([True, False, True, True, False])
    loss = denoiser.loss(x, t, noise, reads=reads)
    alpha, sigma = (level.view(-1, 1, 1, 1) for level in denoiser.schedule(t, torch.float64))
    x_t = alpha * x + sigma * noise
    told = (network.a.detach() * x_t).clamp(-1, 1) * reads.view(-1, 1, 1, 1)
    error = network.a.detach() * x_t + network.b.detach() * told - x
    torch.testing.assert_close(loss, error.square().mean((1, 2, 3)))
    loss.sum().backward()
    torch.testing.assert_close(network.a.grad, (2 * error * x_t).mean((1, 2, 3)).sum())
    torch.testing.assert_close(network.b.grad, (2 * error * told).mean((1, 2, 3)).sum())
    assert [each.any().item() for each in network.estimates] == [False, True]
    assert not network.estimates[1].requires_grad
    denoiser.loss(x, t, noise)
    assert len(network.answers) == 3  # without anyone who reads, one pass


def test_no_sample_depends_on_the_others_of_its_batch():
    network, (x, t, noise) = Linear(), batch()
    denoiser, reads = denoiser_of(network), torch.tensor([True, False, True, True, False])
    whole = denoiser.loss(x, t, noise, reads=reads)
    for i in range(len(x)):
        alone = slice(i, i + 1)
        torch.testing.assert_close(denoiser.loss(x[alone], t[alone], noise[alone], reads=reads[alone]), whole[alone])
    sampler = DDIM(5, eta=0.5)
    several, one = IndexedNoise(0, [3, 1, 2]), IndexedNoise(0, [1])
    drawn = sampler.run(denoiser, sampler.start(denoiser, several).double(), several)
    alone = sampler.run(denoiser, sampler.start(denoiser, one).double(), one)
    torch.testing.assert_close(drawn[1:2], alone)


def test_who_reads_is_drawn_by_sample_from_the_generator_of_training():
    part = SelfConditioning(share=0.3)
    torch.manual_seed(5)
    first = part.chosen(20_000, "cpu")
    torch.manual_seed(5)
    assert torch.equal(part.chosen(20_000, "cpu"), first)
    torch.manual_seed(5)
    assert torch.equal(first, torch.rand(20_000) < 0.3)
    assert first.float().mean() == pytest.approx(0.3, abs=4 * (0.21 / 20_000) ** 0.5)
    assert SelfConditioning(share=1.0).chosen(100, "cpu").all()


SAMPLERS = [
    DDIM(6),
    DDPM(6),
    DDIM(6, eta=1, variance="sigma_hat"),
    Heun(4),
    Heun(4, churn=2.0),
    DPMSolver(6),
    DPMSolver2M(6),
    UniPC(6),
    PNDM(20),
]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda each: type(each).__name__)
@torch.no_grad()
def test_every_evaluation_is_told_the_last_answer_and_the_first_zeros(sampler):
    network, noise = Linear(), IndexedNoise(0, [0, 1])
    denoiser = denoiser_of(network)
    sampler.run(denoiser, sampler.start(denoiser, noise).double(), noise)
    assert len(network.answers) == sampler.evaluations_of(denoiser)
    assert not network.estimates[0].any()
    for answer, estimate in zip(network.answers, network.estimates[1:], strict=False):
        assert torch.equal(estimate, answer.clamp(-1, 1))


@torch.no_grad()
def test_each_drawing_begins_with_zeros_and_an_inversion_hands_on_too():
    network, noise = Linear(), IndexedNoise(0, [0, 1])
    denoiser, sampler = denoiser_of(network), DDIM(4)
    start = sampler.start(denoiser, noise).double()
    first = sampler.run(denoiser, start, noise)
    assert torch.equal(sampler.run(denoiser, start, noise), first)
    assert not network.estimates[4].any()
    network.estimates.clear()
    inverted(sampler, denoiser, first)
    assert [bool(each.any()) for each in network.estimates] == [False, True, True]


@pytest.mark.parametrize("guidance", [ClassifierFree(3.0), Interval(ClassifierFree(3.0), 0.5, 5.0)])
@torch.no_grad()
def test_both_sides_of_a_guidance_are_told_the_guided_answer(guidance):
    network, noise = Linear(num_classes=3), IndexedNoise(0, [0, 1])
    denoiser, sampler = denoiser_of(network, 3), DDIM(6, guidance=guidance)
    label = {"label": torch.tensor([1, 2])}
    start = sampler.start(denoiser, noise).double()
    told = [each.x_0 for each in sampler.walk(denoiser, start, noise, label)]
    for x_0, estimate in zip(told, network.estimates[1:], strict=False):
        assert torch.equal(estimate, torch.cat([x_0, x_0]) if len(estimate) == 4 else x_0)


@torch.no_grad()
def test_a_guide_is_told_the_same_and_one_that_reads_nothing_is_refused():
    network, guide, noise = Linear(), Linear(), IndexedNoise(0, [0])
    guide.a.data.fill_(0.5)
    denoiser = denoiser_of(network)
    sampler = DDIM(4, guidance=Autoguidance(denoiser_of(guide)))
    sampler.run(denoiser, sampler.start(denoiser, noise).double(), noise)
    assert len(guide.answers) == len(network.answers) == 4
    assert all(map(torch.equal, guide.estimates, network.estimates))
    plain = MLPDenoiser(SHAPE, width=4, depth=1)
    other = NetworkDenoiser(plain, Cosine(), Sample(), UniformSample(), SHAPE)
    with pytest.raises(ValueError, match="guide must have shape and conditions of the model"):
        DDIM(4, guidance=Autoguidance(other)).require(denoiser)


NETWORKS = [
    lambda told: UNet(1, 4, width=8, multipliers=(1,), blocks=1, groups=4, attention=(), self_conditioned=told),
    lambda told: DiT(1, 4, width=8, depth=1, heads=2, self_conditioned=told),
    lambda told: MLPDenoiser((1, 4, 4), width=8, depth=1, self_conditioned=told),
]


@pytest.mark.parametrize("build", NETWORKS)
def test_networks_read_an_estimate_where_they_say_so_and_gradients_reach_all_of_them(build):
    network = build(True)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    x, t = torch.randn(2, 3, 1, 4, 4)[0], torch.rand(3)
    estimate = torch.randn(3, 1, 4, 4, requires_grad=True)
    network(x, t, {"estimate": estimate}).square().sum().backward()
    assert all(each.grad.abs().sum() > 0 for each in (*network.parameters(), estimate))
    with pytest.raises(ValueError, match="estimate must be given to"):
        network(x, t)
    with pytest.raises(ValueError, match="estimate must not be given to"):
        build(False)(x, t, {"estimate": estimate})


def test_under_autocast_the_first_pass_takes_no_gradient_from_the_second():
    torch.manual_seed(0)
    network, x, reads = (
        MLPDenoiser(SHAPE, 8, 1, self_conditioned=True),
        torch.rand(4, *SHAPE),
        torch.ones(4, dtype=bool),
    )
    conditioning = Conditioning(own={"estimate": Estimate(SHAPE, True)})
    denoiser = NetworkDenoiser(network, Cosine(), Sample(), UniformSample(), SHAPE, conditioning)
    with torch.autocast("cpu", torch.bfloat16):
        denoiser.loss(x, torch.full((4,), 500), torch.rand(4, *SHAPE), reads=reads).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_what_does_not_fit_is_refused():
    reads = MLPDenoiser(SHAPE, width=4, depth=1, self_conditioned=True)
    with pytest.raises(ValueError, match=r"network must read the conditions of the model, none, got one .* estimate"):
        NetworkDenoiser(reads, Cosine(), Sample(), UniformSample(), SHAPE)
    plain, told = MLPDenoiser(SHAPE, width=4, depth=1), Conditioning(own={"estimate": Estimate(SHAPE, True)})
    with pytest.raises(ValueError, match="of the model, estimate, got one that reads nothing"):
        NetworkDenoiser(plain, Cosine(), Sample(), UniformSample(), SHAPE, told)
    with pytest.raises(ValueError, match=r"self_conditioning\.clip must be false for points and codes"):
        SelfConditioning().kind((2,), bounded=False)
    assert SelfConditioning(clip=False).kind((2,), bounded=False).of(torch.full((1, 2), 3.0)).max() == 3
    for share in (0.0, 1.1):
        with pytest.raises(ValueError, match=r"share must lie in \(0, 1\]"):
            SelfConditioning(share=share)
    with pytest.raises(ValueError, match=r"conditions must have names other than .*got estimate"):
        Conditioning.of(None, {"estimate": Estimate(SHAPE, True)})


class Slope:
    """A classifier whose logits are linear in the image."""

    image_shape, num_classes, schedule = SHAPE, 2, Cosine()

    def logits(self, x_t, t):
        return torch.stack([x_t.flatten(1).sum(1), -x_t.flatten(1).sum(1)], 1)


@torch.no_grad()
def test_a_model_that_a_classifier_guides_is_told_the_guided_answer():
    network, noise = Linear(), IndexedNoise(0, [0, 1])
    denoiser, sampler = denoiser_of(network), DDIM(5, guidance=ClassifierGuidance(Slope()))
    start, label = sampler.start(denoiser, noise).double(), {"label": torch.tensor([0, 1])}
    told = [each.x_0 for each in sampler.walk(denoiser, start, noise, label)]
    assert len(network.estimates) == 5
    assert all(map(torch.equal, network.estimates[1:], told))
    assert any(not torch.equal(a.clamp(-1, 1), b) for a, b in zip(network.answers, told, strict=False))


@torch.no_grad()
def test_a_learned_variance_is_told_the_last_answer_too():
    class Twice(Linear):
        outputs = 2

        def forward(self, x, t, condition):
            return torch.cat([super().forward(x, t, condition), torch.zeros_like(x)], 1)

    network, noise = Twice().double(), IndexedNoise(0, [0, 1])
    conditioning = Conditioning(own={"estimate": Estimate(SHAPE, True)})
    parts = (network, Cosine(), Sample(), UniformSample(), SHAPE, conditioning, "learned_range", Hybrid())
    denoiser, sampler = NetworkDenoiser(*parts), DDPM(5, variance="learned_range")
    sampler.run(denoiser, sampler.start(denoiser, noise).double(), noise)
    assert len(network.answers) == 5
    assert not network.estimates[0].any()
    for answer, estimate in zip(network.answers, network.estimates[1:], strict=False):
        assert torch.equal(estimate, answer.clamp(-1, 1))


def test_a_goal_and_a_low_resolution_picture_meet_an_estimate():
    """A goal is refused; pictures and the estimate are both seen, in further channels of their own."""
    (problem,) = problems_of("train", WITH_A_GOAL)
    assert problem.startswith("model.self_conditioning: must be null with a goal")
    network = UNet(1, 4, 8, (1,), 1, (), groups=4, beside={"low_res": Degraded((1, 4, 4))}, self_conditioned=True)
    assert network.reads == ("low_res", "estimate")
    assert network.stem.in_channels == 3
    told = {"low_res": torch.ones(2, 1, 2, 2), "estimate": torch.full((2, 1, 4, 4), 7.0)}
    assert torch.equal(network.seen(torch.zeros(2, 1, 4, 4), told)[:, 2:], told["estimate"])
