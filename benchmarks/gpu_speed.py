"""How fast a card trains, draws and measures, against plain loops: parts of `gpu.py`, which run on a CPU as well.

Training is that of real runs, without evaluation. The other side is diffusers' UNet where that package is there, and
for GAN and VAE the loops of `adversarial.py` and `step_overhead.py` over the same networks. Seconds are of the wall.
"""

import contextlib
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator

import torch
from lightning import Callback
from step_overhead import bare_vae, inside_lightning
from torch.utils.flop_counter import FlopCounterMode

from adversarial import dcgan_loop
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.sampling.dpm_solver import DPMSolver2M
from genexp.tensors import IndexedNoise

DCGAN = ["experiment=dcgan/digits", "data=shapes", "data.image_size=64", "model.critic.discriminator.base_size=4"]
CASES = {
    "UNet of CIFAR-10": (["experiment=ddpm/cifar10", "data=shapes"], 128),
    "UNet of the quickstart": (["experiment=quickstart", "model.num_classes=null"], 128),
    "DCGAN of 64 pixels": (DCGAN, 128),
    "VAE of digits": (["model=vae"], 128),
}
"""What is trained, with its batch on a card."""
TINY = {
    "UNet of CIFAR-10": ["model.network.width=32", "model.network.groups=8", "data.limit=64"],
    "DCGAN of 64 pixels": ["model.generator.width=8", "model.critic.discriminator.width=8", "data.limit=64"],
}
"""What makes a case small enough to be tried on a CPU."""
PRECISIONS = ("32-true", "bf16-mixed")
Told = Callable[[], str]


def finished(device: str) -> float:
    """The wall clock once the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def pace(step: Callable[[int], object], device: str, warm_up: int, batches: int) -> float:
    """Seconds a batch of a loop."""
    for number in range(warm_up + batches):
        if number == warm_up:
            begun = finished(device)
        step(number)
    return (finished(device) - begun) / batches


class Wall(Callback):
    """Wall-clock seconds a batch of a run, from batch `first` to batch `last`."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def on_train_batch_end(self, trainer, pl_module, *_):
        if pl_module.batches == self.first:
            self.begun = finished(pl_module.device.type)
        elif pl_module.batches == self.last:
            self.seconds = (finished(pl_module.device.type) - self.begun) / (self.last - self.first)


@contextlib.contextmanager
def peak_memory(device: str) -> Iterator[Callable[[], str]]:
    """Within, the memory of the card that was held at most; asked for at the end, in words."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    yield lambda: f"{torch.cuda.max_memory_allocated() / 2**20:,.0f} MiB" if device == "cuda" else "memory of a CPU"


def product_rate(device: str, precision: str, side: int) -> float:
    """Floating-point operations a second of a product of two square matrices, which is what a share is of."""
    kind = torch.float32 if precision == "32-true" else torch.bfloat16
    one, other = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    return 2 * side**3 / pace(lambda _: one @ other, device, 3, 10)


def operations(overrides: list[str]) -> float:
    """Floating-point operations of a UNet's forward and backward pass, an image."""
    model = build(compose("train", [*overrides, "trainer=cpu"]).model)
    image = torch.zeros(1, *model.denoiser.image_shape)
    told = model.denoiser.conditioning.whole({}, 1, image.device)
    with FlopCounterMode(display=False) as counted:
        model.network(image, torch.ones(1), told).sum().backward()
    return counted.get_total_flops()


def training(case: str, precision: str, device: str, quick: bool) -> str:
    """Images a second of a run of genexp, in words; of a UNet with its share of the rate of matrix products."""
    overrides, batch = CASES[case]
    overrides = [*overrides, *(TINY.get(case, []) if quick else [])]
    batch, warm_up, batches = (4, 1, 2) if quick else (batch, 10, 60)
    with peak_memory(device) as memory:
        sized, trainer = [*overrides, f"data.batch_size={batch}"], "gpu" if device == "cuda" else "cpu"
        seconds = inside_lightning(sized, batches, warm_up, precision, Wall, trainer)
        told = f"{batch / seconds:,.0f} images/s, {memory()}"
    if "UNet" not in case:
        return told
    share = operations(overrides) * batch / seconds / product_rate(device, precision, 256 if quick else 8192)
    return f"{told}, {100 * share:.1f} % of a matrix product's rate"


def plain(case: str, precision: str, device: str, quick: bool) -> str:
    """Images a second of the loop that `training` is held against, in words."""
    overrides, batch = CASES[case]
    overrides = [*overrides, *(TINY.get(case, []) if quick else []), "trainer=cpu"]
    batch, warm_up, batches = (4, 1, 2) if quick else (batch, 10, 60)
    config = compose("train", overrides)
    model = build(config.model).to(device).train()
    image = torch.rand(batch, *config.data.shape, device=device) * 2 - 1
    if "UNet" in case:
        step = diffusers_step(model, device)
    elif "GAN" in case:
        networks = model.generator, model.critic.discriminator
        builders = build(config.model.generator_optimizer), build(config.model.critic_optimizer)
        step = dcgan_loop(*networks, *(make(each.parameters()) for make, each in zip(builders, networks)), config)
    else:
        step = bare_vae(model, config)

    def work(number: int) -> None:
        with torch.autocast(device, torch.bfloat16, enabled=precision != "32-true"):
            step(image, number) if "VAE" not in case else step({"image": image})

    with peak_memory(device) as memory:
        seconds = pace(work, device, warm_up, batches)
        return f"{batch / seconds:,.0f} images/s, {memory()}"


def diffusers_step(model, device: str):
    """A step of a loop over diffusers' UNet2DModel of the same shape: noise, loss, clipped gradient, Adam."""
    from diffusers import DDPMScheduler, UNet2DModel

    from genexp.networks.unet_weights import diffusers_config

    network, scheduler = UNet2DModel(**diffusers_config(model.network)).to(device), DDPMScheduler(1000)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-4)

    def step(image, number):
        t, noise = torch.randint(0, 1000, (len(image),), device=device), torch.randn_like(image)
        said = network(scheduler.add_noise(image, noise, t), t, return_dict=False)[0]
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(said.float(), noise).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    return step


def drawing(way: str, device: str, quick: bool) -> str:
    """Images a second of the CIFAR-10 UNet, drawn as it comes, in bf16, or with its network in CUDA graphs."""
    overrides = ["experiment=ddpm/cifar10", "trainer=cpu", *(TINY["UNet of CIFAR-10"] if quick else [])]
    model = build(compose("train", overrides).model).to(device).eval().requires_grad_(False)
    steps, precision, count = 2 if quick else 15, "32-true" if way == "float32" else "bf16-mixed", 2 if quick else 256
    sampler = DPMSolver2M(steps, precision=precision)
    if way == "bf16, graphs":
        model.network.compile(mode="reduce-overhead")
    source = model.source()

    def work(number: int) -> None:
        noise = IndexedNoise(number, range(count), device)
        sampler.run(source, sampler.start(source, noise), noise)

    return f"{count / pace(work, device, 1, 1 if quick else 3):,.1f} images/s of {steps} evaluations"


def features(device: str, quick: bool) -> str:
    """Images a second through the shipped features."""
    extractor, count = build(compose("train", ["data=shapes", "extractor=cifar_vgg"]).extractor), 4 if quick else 1024
    image = torch.rand(count, 3, 32, 32, device=device) * 2 - 1
    with torch.no_grad():
        return f"{count / pace(lambda _: extractor(image), device, 1, 2 if quick else 20):,.0f} images/s"


def speeds(device: str, quick: bool) -> Iterator[tuple[str, Told]]:
    """Every figure by its words, each a function that measures it and tells it."""
    for case in CASES:
        for precision in PRECISIONS:
            yield f"{case}, {precision}", lambda case=case, way=precision: training(case, way, device, quick)
            if "UNet" in case and importlib.util.find_spec("diffusers") is None:
                print(f"{case}, diffusers: not installed", file=sys.stderr)
                continue
            words = "diffusers" if "UNet" in case else "plain loop"
            yield f"  {words}, {precision}", lambda case=case, way=precision: plain(case, way, device, quick)
    for way in ("float32", "bf16", *(["bf16, graphs"] if device == "cuda" else [])):
        yield f"drawing, {way}", lambda way=way: drawing(way, device, quick)
    yield "features of cifar_vgg", lambda: features(device, quick)
