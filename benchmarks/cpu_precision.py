"""One UNet training step on the CPU in float32 and bf16 autocast, with and without channels-last memory."""

import argparse
import statistics
import time

import torch
from quick import parsed

from genexp.hardware import cpu_features
from genexp.networks.unet import UNet


def step_seconds(network, optimizer, images, bf16: bool, repeats: int) -> float:
    """Median seconds of forward, backward and update."""
    times = []
    for _ in range(repeats + 2):
        begun = time.perf_counter()
        t = torch.randint(0, 1000, (len(images),))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = network(images, t).float().square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[2:])


def main() -> None:
    """Print milliseconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    given = parsed(parser, width=8, batch=2, repeats=1, turns=1)
    cpu = cpu_features()
    units = [key for key in ("amx_bf16", "avx512_bf16") if cpu[key]]
    print(f"{cpu['name']}, {torch.get_num_threads()} threads, {' '.join(units) or 'no bf16 units'}")
    rows: dict[tuple[bool, bool], list[float]] = {}
    for _ in range(given.turns):
        for last in (False, True):
            torch.manual_seed(0)
            form = torch.channels_last if last else torch.contiguous_format
            network = UNet(
                channels=3, image_size=given.size, width=given.width, multipliers=[1, 2], blocks=2, attention=[]
            ).to(memory_format=form)
            optimizer = torch.optim.AdamW(network.parameters())
            images = torch.randn(given.batch, 3, given.size, given.size).to(memory_format=form)
            for bf16 in (False, True):
                rows.setdefault((bf16, last), []).append(step_seconds(network, optimizer, images, bf16, given.repeats))
    base = statistics.median(rows[False, False])
    for (bf16, last), seconds in rows.items():
        name = f"{'bf16' if bf16 else 'float32'}{', channels last' if last else ''}"
        print(f"{name:<24}{statistics.median(seconds) * 1e3:>9.1f} ms   {base / statistics.median(seconds):>5.2f}x")


if __name__ == "__main__":
    main()
