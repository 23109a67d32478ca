"""What a training step costs inside Lightning, against a bare loop over the same modules and the same maths.

The bare loop is plain PyTorch: no Trainer, no hooks, no logging. Both are timed in turn in one process; the ratio is
the median over the turns. The Lightning side is the real thing: data module, averaged weights, loss terms, journal.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from lightning import Callback
from omegaconf import OmegaConf
from quick import parsed

from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.runs.run_folder import RunFolder
from genexp.training.assemble import assemble
from genexp.training.quiet import quiet_lightning
from genexp.training.settle import settled

CASES = {
    "diffusion 32x32": ["model=diffusion", "model/network=unet_small", "data=shapes", "data.batch_size=16"],
    "gan 32x32": ["model=gan", "data=shapes", "data.batch_size=64"],
    "vae 32x32": ["model=vae", "data=shapes", "data.batch_size=64", "model/encoder=conv", "model/decoder=conv"],
    "style 32x32": ["model=style", "data.image_size=32"],
    "vae 8x8 (smallest)": ["model=vae", "model/encoder=mlp", "model/decoder=mlp", "data.batch_size=32"],
}


class Clock(Callback):
    """Seconds a batch, from batch `first` to the end."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def on_train_batch_end(self, trainer, pl_module, *_):
        if pl_module.batches == self.first:
            self.begun = time.process_time()
        elif pl_module.batches == self.last:
            self.seconds = (time.process_time() - self.begun) / (self.last - self.first)


def inside_lightning(overrides, batches, warm_up, precision="32-true", clock=Clock, trainer="cpu"):
    """Seconds a batch of a real run without its evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        length = [f"training.max_images={10**9}", "training.monitor=null", "trainer.limit_val_batches=0"]
        config = compose(
            "train",
            [
                *overrides,
                *length,
                f"trainer={trainer}",
                f"threads={torch.get_num_threads()}",
                f"trainer.precision={precision}",
                "logger=none",
                "metrics=none",
                f"paths.outputs={folder}",
                "training.checkpoint_every=1000000000",
            ],
        )
        plain = settled(config)
        run = RunFolder.claim(Path(folder) / "run", {"id": "benchmark", "name": "benchmark"})
        experiment = assemble(OmegaConf.create(plain), run)
        clock = clock(warm_up, warm_up + batches)
        experiment.trainer.callbacks.append(clock)
        experiment.callbacks["stop"].images = (warm_up + batches) * plain["data"]["batch_size"]
        with quiet_lightning():
            experiment.trainer.fit(experiment.model, datamodule=experiment.data)
        return clock.seconds


def bare(overrides, batches, warm_up):
    """Seconds a batch of a plain loop: batches cut from tensors, loss, backward, clip, step."""
    config = compose("train", [*overrides, "trainer=cpu"])
    torch.manual_seed(0)
    model, data = build(config.model), build(config.data)
    data.setup()
    size = config.data.batch_size
    examples = joined(data.eval_loader("train"), size * 64)
    step = BARE[config.model._target_.rsplit(".", 1)[-1]](model, config)
    for i in range(warm_up + batches):
        if i == warm_up:
            begun = time.process_time()
        first = i * size % (len(next(iter(examples.values()))) - size + 1)
        step({name: values[first : first + size] for name, values in examples.items()})
    return (time.process_time() - begun) / batches


def joined(batches, count):
    """The first `count` examples, or a few more, as one batch."""
    found, total = [], 0
    for batch in batches:
        found.append(batch)
        total += len(next(iter(batch.values())))
        if total >= count:
            break
    return {name: torch.cat([batch[name] for batch in found]) for name in found[0]}


def bare_diffusion(model, config):
    """Noise a batch at random times, step on the denoising loss."""
    optimizer = build(config.model.optimizer)(model.network.parameters())
    denoiser = model.denoiser

    def step(batch):
        image = batch["image"]
        t = torch.randint(1, denoiser.schedule.last + 1, (len(image),))
        loss = denoiser.loss(image, t, torch.randn_like(image), {}).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.network.parameters(), config.model.clip)
        optimizer.step()

    return step


def bare_vae(model, config):
    """One ELBO step with the family's own networks, likelihood and posterior."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = build(config.model.optimizer)(parameters)

    def step(batch):
        image = batch["image"]
        image = model.reconstruction.observe(image, torch.rand_like(image))
        posterior = model.posterior(image)
        raw = model.decoder(posterior.rsample(torch.randn_like(posterior.mean)), {})
        loss = (model.reconstruction(raw, image) + posterior.kl()).mean()
        optimizer.zero_grad()
        loss.backward()
        if config.model.clip is not None:
            torch.nn.utils.clip_grad_norm_(parameters, config.model.clip)
        optimizer.step()

    return step


def bare_gan(model, config):
    """One critic step and one generator step."""
    generator, critic = model.generator, model.critic
    generator_optimizer = build(config.model.generator_optimizer)(generator.parameters())
    critic_optimizer = build(config.model.critic_optimizer)(critic.parameters())

    def step(batch):
        image = batch["image"]
        with torch.no_grad():
            fake = generator(torch.randn(len(image), *model.latent_shape), {})
        critic_optimizer.zero_grad()
        critic.loss(image, fake)["loss"].mean().backward()
        critic_optimizer.step()
        critic.constrain()
        critic.requires_grad_(False)
        generator_optimizer.zero_grad()
        critic.generator_loss(image, generator(torch.randn(len(image), *model.latent_shape), {})).mean().backward()
        generator_optimizer.step()
        critic.requires_grad_(True)

    return step


def bare_style(model, config):
    """One L-BFGS iteration on the pixels of one picture, with targets computed once."""
    picture, targets = torch.nn.Parameter(torch.zeros(*config.model.image_shape)), []
    optimizer = build(config.model.optimizer)([picture])

    def evaluate():
        optimizer.zero_grad()
        loss = model.objective(picture[None], *targets)["loss"].mean()
        loss.backward()
        return loss

    def step(batch):
        if not targets:
            with torch.no_grad():
                picture.copy_(batch["content"][0])
                targets.extend([model.objective.content_of(batch["content"]), model.objective.style_of(batch["style"])])
        optimizer.step(evaluate)

    return step


BARE = {"Diffusion": bare_diffusion, "VAE": bare_vae, "GAN": bare_gan, "StyleOptimisation": bare_style}


def main():
    """Print one row a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=150)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--warm-up", type=int, default=20, help="batches before the clock starts")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    given = parsed(parser, batches=5, turns=1, warm_up=2, only="smallest")
    torch.set_num_threads(given.threads)
    print(f"{'case':<22}{'bare ms':>10}{'Lightning ms':>14}{'ratio':>8}{'fixed ms':>10}")
    for name, overrides in CASES.items():
        if given.only not in name:
            continue
        batches = given.batches * (4 if "smallest" in name else 1)
        pairs = [
            (bare(overrides, batches, given.warm_up) * 1e3, inside_lightning(overrides, batches, given.warm_up) * 1e3)
            for _ in range(given.turns)
        ]
        ratio = statistics.median(b / a for a, b in pairs)
        fixed = statistics.median(b - a for a, b in pairs)
        plain, lightning = (statistics.median(side) for side in zip(*pairs, strict=True))
        print(f"{name:<22}{plain:>10.2f}{lightning:>14.2f}{ratio:>8.3f}{fixed:>10.2f}", flush=True)


if __name__ == "__main__":
    main()
