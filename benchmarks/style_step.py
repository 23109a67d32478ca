"""A step of Gatys' optimisation against the loop that people write: torchvision's layers in order, losses, Adam.

Both have the same weights, layers, terms and pictures, and give the same loss. Seconds are those of the processor.
"""

import argparse
import statistics
import time
import warnings

import torch
from lightning import Callback, Trainer
from quick import parsed
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision.models import vgg19

from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.networks.vgg import layer_names
from genexp.training.quiet import quiet_lightning

CONTENT, STYLE, LAST = ["relu3_1"], ["relu1_1", "relu2_1", "relu3_1"], "relu3_1"
STYLE_WEIGHT = 100.0


def ours(size):
    """The family as `genexp stylize` makes it, and its encoder."""
    overrides = ["experiment=gatys/adam", f"data.image_size={size}", f"model.content_layers=[{','.join(CONTENT)}]"]
    overrides += [f"model.style_layers=[{','.join(STYLE)}]", f"model.features.last={LAST}", "model.tv_weight=0"]
    overrides += ["model.features.padding=zeros", "model.features.pooling=max", f"model.style_weight={STYLE_WEIGHT}"]
    return build(compose("train", [*overrides, "model.range_weight=0"]).model)


class Clock(Callback):
    """Processor seconds a step from step `warm_up` on, and the loss of every step."""

    def __init__(self, warm_up):
        self.warm_up, self.losses = warm_up, []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.losses.append(pl_module.terms.flush()["train/loss"])
        if pl_module.batches == self.warm_up:
            self.begun = time.process_time()

    def on_train_end(self, trainer, pl_module):
        self.seconds = (time.process_time() - self.begun) / (pl_module.batches - self.warm_up)


def inside(model, batch, steps, warm_up):
    """Seconds a step of a family on one batch, and the losses."""
    clock = Clock(warm_up)
    with quiet_lightning(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = Trainer(
            accelerator="cpu",
            max_epochs=1,
            callbacks=[clock],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(model, DataLoader([batch] * (steps + warm_up), batch_size=None))
    return clock.seconds, clock.losses


def by_hand(pair, size, steps, warm_up):
    """Seconds a step of the loop written by hand, and the losses."""
    model = ours(size)
    encoder = plain_encoder(model.objective.features, LAST)
    mean, std = model.objective.features.mean, model.objective.features.std

    def maps(image):
        found, x = {}, ((image + 1) / 2 - mean) / std
        for name, layer in encoder:
            x = layer(x)
            if name in CONTENT or name in STYLE:
                found[name] = x
        return found

    def gram(x):
        rows = x.flatten(2)
        return rows @ rows.transpose(1, 2) / rows.shape[2]

    with torch.no_grad():
        content, style = maps(pair["content"]), {k: gram(v) for k, v in maps(pair["style"]).items()}
    image = pair["content"].clone().requires_grad_()
    optimizer, losses = torch.optim.Adam([image], lr=0.05), []
    for step in range(steps + warm_up):
        if step == warm_up:
            begun = time.process_time()
        optimizer.zero_grad()
        found = maps(image)
        loss = sum(functional.mse_loss(found[k], content[k]) for k in CONTENT)
        loss = loss + STYLE_WEIGHT * sum(functional.mse_loss(gram(found[k]), style[k]) for k in STYLE)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            image.clamp_(-1, 1)
        losses.append(float(loss.detach()))
    return (time.process_time() - begun) / steps, losses


def plain_encoder(source, last):
    """torchvision's layers of VGG-19 to the layer `last` with the weights of ours, by name."""
    layers = []
    for name, layer in zip(layer_names(19), vgg19(weights=None).features, strict=False):
        if name.startswith("conv"):
            layer.load_state_dict({kind: source.get_buffer(f"{name}_{kind}") for kind in ("weight", "bias")})
        elif name.startswith("relu"):
            layer = torch.nn.ReLU()  # in place it would overwrite the map before it
        layers.append((name, layer.requires_grad_(False)))
        if name == last:
            return layers
    raise ValueError(f"last must be a layer of VGG-19, got {last}")


def main():
    """Print seconds a step of both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    given = parsed(parser, size=64, steps=1, warm_up=1, turns=1)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    pair = {
        name: torch.rand(1, 3, given.size, given.size, generator=generator) * 2 - 1 for name in ("content", "style")
    }
    pairs = []
    for _ in range(given.turns):
        theirs, expected = by_hand(pair, given.size, given.steps, given.warm_up)
        own, found = inside(ours(given.size), pair, given.steps, given.warm_up)
        torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), rtol=1e-3, atol=0)
        pairs.append((theirs, own))
    plain, lightning = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(own / theirs for theirs, own in pairs)
    print(f"{given.size} px: by hand {plain:.3f} s, ours {lightning:.3f} s a step, ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
