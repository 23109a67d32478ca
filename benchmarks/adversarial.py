"""What a step of DCGAN at 64 pixels and of WGAN-GP costs here, against the loops that most people write.

The loops are plain PyTorch on the same networks, optimisers, batches and losses, written out below: DCGAN after its
well-known example (real and fake batches apart, the fake of the critic's step judged again for the generator, whose
gradients fall into the critic's as well), WGAN-GP after common ports of the paper's code (fakes of their own in both
steps). Both sides are timed in turn in one process, in seconds of the processor, ours as `genexp train` runs it; a
ratio is the median over turns.
"""

import argparse
import statistics
import time

import torch
from quick import parsed
from step_overhead import inside_lightning, joined
from torch.nn import functional as F

from genexp.config.compose import compose
from genexp.config.instantiate import build

SIZES = ["data=shapes", "model.generator.width=32", "model.critic.discriminator.width=32", "callbacks.averaging=null"]
CASES = {
    "dcgan 64x64": ["experiment=dcgan/digits", *SIZES, "data.image_size=64", "model.critic.discriminator.base_size=4"],
    "wgan_gp 32x32": ["experiment=wgan_gp/digits", *SIZES, "data.image_size=32"],
}
WAYS = {
    "as it is": ([], "32-true"),
    "channels_last": (["training.channels_last=true"], "32-true"),
    "bf16": ([], "bf16-mixed"),
    "bf16, channels_last": (["training.channels_last=true"], "bf16-mixed"),
    "compile": (["training.compile=true"], "32-true"),
    "fakes made once": (["model.reuse_fakes=true"], "32-true"),
}
"""The last is what the loop of DCGAN does: one batch of fakes for both players. That of WGAN-GP has others for each."""


def dcgan_loop(generator, critic, generator_optimizer, critic_optimizer, config):
    """Radford et al. (2016), as the example of PyTorch steps: one critic and one generator step a batch."""

    def step(image, number):
        ones, zeros = image.new_ones(len(image)), image.new_zeros(len(image))
        critic_optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(critic(image), ones).backward()
        fake = generator(torch.randn(len(image), *generator.latent_shape, device=image.device))
        F.binary_cross_entropy_with_logits(critic(fake.detach()), zeros).backward()
        critic_optimizer.step()
        generator_optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(critic(fake), ones).backward()
        generator_optimizer.step()

    return step


def wgan_gp_loop(generator, critic, generator_optimizer, critic_optimizer, config):
    """Gulrajani et al. (2017), algorithm 1: a generator step in `critic_steps` batches."""
    weight, turns = config.model.critic.penalties.gradient_penalty.weight, config.model.critic_steps

    def step(image, number):
        fake = generator(torch.randn(len(image), *generator.latent_shape)).detach()
        share = torch.rand(len(image), 1, 1, 1)
        between = (share * image + (1 - share) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        penalty = weight * (slope.flatten(1).norm(dim=1) - 1).square().mean()
        critic_optimizer.zero_grad()
        (critic(fake).mean() - critic(image).mean() + penalty).backward()
        critic_optimizer.step()
        if (number + 1) % turns == 0:
            generator_optimizer.zero_grad()
            (-critic(generator(torch.randn(len(image), *generator.latent_shape))).mean()).backward()
            generator_optimizer.step()

    return step


LOOPS = {"dcgan 64x64": dcgan_loop, "wgan_gp 32x32": wgan_gp_loop}


def plain(name, overrides, batches, warm_up):
    """Seconds a batch of the plain loop."""
    config = compose("train", [*overrides, "trainer=cpu"])
    torch.manual_seed(0)
    model, data = build(config.model), build(config.data)
    data.setup()
    examples = joined(data.eval_loader("train"), config.data.batch_size * 16)["image"]
    networks = model.generator.train(), model.critic.discriminator.train()
    builders = build(config.model.generator_optimizer), build(config.model.critic_optimizer)
    optimizers = [make(network.parameters()) for make, network in zip(builders, networks, strict=True)]
    step = LOOPS[name](*networks, *optimizers, config)
    for number in range(warm_up + batches):
        if number == warm_up:
            begun = time.process_time()
        first = number * config.data.batch_size % (len(examples) - config.data.batch_size + 1)
        step(examples[first : first + config.data.batch_size], number)
    return (time.process_time() - begun) / batches


def main():
    """Print one row a case and way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=20, help="a multiple of 5, the critic steps of WGAN-GP")
    parser.add_argument("--warm-up", type=int, default=5, help="batches before the clock starts, likewise")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    given = parsed(parser, batches=5, warm_up=5, turns=1, batch_size=4, only="wgan", ways=["as it is"])
    torch.set_num_threads(given.threads)
    print(f"{'case':<16}{'way':<22}{'plain ms':>10}{'genexp ms':>11}{'ratio':>8}")
    for name in CASES:
        for way in given.ways if given.only in name else []:
            further, precision = WAYS[way]
            overrides = [*CASES[name], f"data.batch_size={given.batch_size}"]
            sides = []
            for _ in range(given.turns):
                ours = inside_lightning([*overrides, *further], given.batches, given.warm_up, precision)
                sides.append((plain(name, overrides, given.batches, given.warm_up) * 1e3, ours * 1e3))
            ratio = statistics.median(ours / reference for reference, ours in sides)
            reference, ours = (statistics.median(side) for side in zip(*sides, strict=True))
            print(f"{name:<16}{way:<22}{reference:>10.1f}{ours:>11.1f}{ratio:>8.3f}", flush=True)


if __name__ == "__main__":
    main()
