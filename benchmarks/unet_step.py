"""A training step of the CIFAR-10 DDPM UNet (35.7 million parameters) against diffusers' and lucidrains' packages.

Every side is a process of its own, as its users start it: genexp keeps freed memory as its commands do, the others have
what Python gives them. The processes take turns, so that no two compute at once; times are CPU-seconds of the process.
A step is the loss, its gradient clipped to norm 1, and Adam. The two packages are no dependencies: `uv run --with
diffusers --with denoising-diffusion-pytorch python benchmarks/unet_step.py`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from quick import parsed
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.hardware import cpu_features, keep_freed_memory

OPTIONS = {"fused": "model.optimizer.fused=true", "channels-last": "training.channels_last=true"}
"""Options of genexp that a side may have, behind a plus sign: `genexp+fused+channels-last`."""

Loss = Callable[[Tensor], Tensor]


def genexp(options: list[str]) -> tuple[nn.Module, Loss, torch.optim.Optimizer]:
    """The network of `experiment=ddpm/cifar10`, its loss, and its optimiser."""
    overrides = [OPTIONS[each] for each in options if each in OPTIONS]
    config = compose("train", ["experiment=ddpm/cifar10", "trainer=cpu", *overrides])
    model = build(config.model)
    if config.training.channels_last:
        model.to(memory_format=torch.channels_last)
    denoiser = model.denoiser

    def loss(images: Tensor) -> Tensor:
        t = torch.randint(1, denoiser.schedule.last + 1, (len(images),))
        return denoiser.loss(images, t, torch.randn_like(images)).mean()

    return model.network, loss, model.configure_optimizers()[0]


def diffusers(_: list[str]) -> tuple[nn.Module, Loss, torch.optim.Optimizer]:
    """The same network as UNet2DModel, and the loss and optimiser of a loop over it."""
    from diffusers import DDPMScheduler, UNet2DModel

    from genexp.networks.unet_weights import diffusers_config

    twin = diffusers_config(build(compose("train", ["experiment=ddpm/cifar10", "trainer=cpu"]).model).network)
    network, scheduler = UNet2DModel(**{**twin, "dropout": 0.1}), DDPMScheduler(1000)

    def loss(images: Tensor) -> Tensor:
        t, noise = torch.randint(0, 1000, (len(images),)), torch.randn_like(images)
        said = network(scheduler.add_noise(images, noise, t), t, return_dict=False)[0]
        return mse_loss(said.float(), noise)

    return network, loss, torch.optim.Adam(network.parameters(), lr=2e-4)


def lucidrains(_: list[str]) -> tuple[nn.Module, Loss, torch.optim.Optimizer]:
    """The package's Unet of equal width, which has a fifth fewer parameters and another attention."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    network = Unet(dim=128, dim_mults=(1, 2, 2, 2), channels=3)
    process = GaussianDiffusion(network, image_size=32, objective="pred_noise", beta_schedule="linear")
    return network, lambda images: process((images + 1) / 2), torch.optim.Adam(network.parameters(), lr=2e-4)


def serve(side: str, given: argparse.Namespace) -> None:
    """Take a step for every line that is read, and print its CPU-seconds; the count of parameters before the first."""
    torch.set_num_threads(given.threads)
    name, *options = side.split("+")
    if name == "genexp":
        keep_freed_memory()
    torch.manual_seed(0)
    network, loss, optimizer = {"genexp": genexp, "diffusers": diffusers, "lucidrains": lucidrains}[name](options)
    images = torch.rand(given.batch, 3, given.size, given.size) * 2 - 1
    if "channels-last" in options:
        images = images.contiguous(memory_format=torch.channels_last)
    if "compiled" in options:
        network.compile(dynamic=False)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=given.bf16):
            value = loss(images)
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    for _ in range(2):
        step()
    print(sum(each.numel() for each in network.parameters()), flush=True)
    for _ in sys.stdin:
        begun = time.process_time()
        step()
        print(time.process_time() - begun, flush=True)


def measured(sides: list[str], given: argparse.Namespace) -> dict[str, tuple[int, list[float]]]:
    """The parameters of every side and its CPU-seconds in every turn."""
    command = [sys.executable, __file__, *sys.argv[1:], "--serve"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = {side: subprocess.Popen([*command, side], **pipes) for side in sides}
    asked = {side: (process.stdin, process.stdout) for side, process in running.items()}
    found = {side: (int(answer.readline()), []) for side, (_, answer) in asked.items()}
    for _ in range(given.turns):
        for side, (line, answer) in asked.items():
            print(file=line, flush=True)
            found[side][1].append(float(answer.readline()))
    for process in running.values():
        process.communicate()
    return found


def main() -> None:
    """Print the median of every side with its quartiles, and its ratio to the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sides = ["genexp", "genexp+fused+channels-last", "diffusers", "lucidrains"]
    parser.add_argument("--sides", nargs="+", default=sides, help="+fused, +channels-last (genexp), +compiled")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", type=int, default=32, help="pixels a side")
    parser.add_argument("--bf16", action="store_true", help="loss under autocast to bfloat16")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    given = parsed(parser, turns=2, batch=1, size=8, sides=sides[:2])
    if given.serve:
        serve(given.serve, given)
        return
    print(
        f"{cpu_features()['name']}, {given.threads} threads, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}"
    )
    found = measured(given.sides, given)
    base = found[given.sides[0]][1]
    for side, (count, seconds) in found.items():
        low, middle, high = statistics.quantiles(seconds, n=4)
        ratio = statistics.median(other / own for other, own in zip(seconds, base, strict=True))
        print(f"  {side:<28}{count:>12,}{middle * 1e3:>9.0f} ms ({low * 1e3:.0f} to {high * 1e3:.0f}){ratio:>8.3f}")


if __name__ == "__main__":
    main()
