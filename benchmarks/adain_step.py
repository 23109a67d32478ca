"""A step of AdaIN's training against the loop that people write: three passes of the encoder, the style encoded once.

Both have the same encoder, decoder, terms and pictures, and give the same loss. Seconds are those of the processor.
"""

import argparse
import statistics
import time

import torch
from quick import parsed
from style_step import inside, plain_encoder
from torch.nn import functional

from genexp.config.compose import compose
from genexp.config.instantiate import build

STYLE, LAST, RATE = ["relu1_1", "relu2_1", "relu3_1", "relu4_1"], "relu4_1", 1e-4


def ours(size):
    """The family of the paper's recipe with random features, and the plainest borders."""
    overrides = ["experiment=adain/paper", f"data.image_size={size}", "model.features.weights=random"]
    torch.manual_seed(0)
    return build(compose("train", [*overrides, "model.features.padding=zeros", f"model.optimizer.lr={RATE}"]).model)


def statistics_of(x, eps=1e-5):
    """Means and deviations (B, C, 1, 1) of the channels of maps (B, C, H, W)."""
    return x.mean((2, 3), keepdim=True), (x.var((2, 3), correction=0, keepdim=True) + eps).sqrt()


def by_hand(batch, size, steps, warm_up):
    """Seconds a step of the loop written by hand, and the losses."""
    model = ours(size)
    encoder, decoder = plain_encoder(model.objective.features, LAST), model.stylizer
    mean, std, weight = model.objective.features.mean, model.objective.features.std, model.objective.weights["style"]

    def maps(image):
        found, x = {}, ((image + 1) / 2 - mean) / std
        for name, layer in encoder:
            x = layer(x)
            if name in STYLE:
                found[name] = x
        return found

    optimizer, losses = torch.optim.Adam(decoder.parameters(), lr=RATE), []
    for step in range(steps + warm_up):
        if step == warm_up:
            begun = time.process_time()
        optimizer.zero_grad()
        style, content = maps(batch["style"]), maps(batch["content"])[LAST]
        (own_mean, own_std), (new_mean, new_std) = statistics_of(content), statistics_of(style[LAST])
        target = (content - own_mean) / own_std * new_std + new_mean
        found = maps(decoder(target))
        loss = functional.mse_loss(found[LAST], target)
        for layer in STYLE:
            pairs = zip(statistics_of(found[layer]), statistics_of(style[layer]), strict=True)
            loss = loss + weight * sum(functional.mse_loss(*pair) for pair in pairs)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return (time.process_time() - begun) / steps, losses


def main():
    """Print seconds a step of both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5)
    given = parsed(parser, size=32, batch=2, steps=1, warm_up=1, turns=1)
    torch.set_num_threads(1)
    generator, shape = torch.Generator().manual_seed(0), (given.batch, 3, given.size, given.size)
    batch = {name: torch.rand(shape, generator=generator) * 2 - 1 for name in ("content", "style")}
    pairs = []
    for _ in range(given.turns):
        theirs, expected = by_hand(batch, given.size, given.steps, given.warm_up)
        own, found = inside(ours(given.size), batch, given.steps, given.warm_up)
        torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), rtol=1e-3, atol=0)
        pairs.append((theirs, own))
        print(f"by hand {theirs:.3f} s, ours {own:.3f} s a step, ratio {own / theirs:.3f}", flush=True)
    ratios = sorted(own / theirs for theirs, own in pairs)
    spread = f"{ratios[0]:.3f} to {ratios[-1]:.3f}"
    print(f"{given.size} px, {given.batch} pairs: ratio {statistics.median(ratios):.3f} ({spread})")


if __name__ == "__main__":
    main()
