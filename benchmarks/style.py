"""What a style costs: optimised pixels against networks, by one loss and by seconds of one core.

Every method paints the same content in the same style at the same size. All results are judged by one loss, that of
`experiment=gatys/offline`: its features, layers and weights. Seconds are those of the processor, so that a machine with
other work gives the same; a network is run often, and its median told.

    python benchmarks/style.py --johnson <run> --adain <run> --size 256 --steps 50 100 300
"""

import argparse
import statistics
import time
from functools import partial
from pathlib import Path

import torch
from quick import parsed
from torch import Tensor

from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.data.scikit_learn_files import scikit_learn_file
from genexp.inference.run import load_run
from genexp.inference.stylising.painting_jobs import read_picture
from genexp.tensors import to_uint8
from genexp.tracking.journal import save_png


def optimised(model, optimizer, content: Tensor, style: Tensor, steps: list[int]) -> dict[int, tuple[Tensor, float]]:
    """Pictures and seconds after so many steps of the optimiser, as `genexp stylize method=gatys` takes them."""
    objective = model.objective
    found, seconds = {}, 0.0
    image = content.clone().requires_grad_()
    own = optimizer([image])
    with torch.no_grad():
        kept, described = objective.content_of(content), objective.style_of(style)

    def closure() -> Tensor:
        own.zero_grad(set_to_none=True)
        loss = objective(image, kept, described)["loss"].mean()
        loss.backward()
        return loss

    for step in range(1, max(steps, default=0) + 1):
        begun = time.process_time()
        own.step(closure)
        seconds += time.process_time() - begun
        if step in steps:
            found[step] = (image.detach().clamp(-1, 1), seconds)
    return found


def timed(paint, turns: int) -> tuple[Tensor, float]:
    """A picture, and the median of the seconds of several turns after a first one."""
    taken = []
    with torch.inference_mode():
        for _ in range(turns + 1):
            begun = time.process_time()
            image = paint()
            taken.append(time.process_time() - begun)
    return image, statistics.median(taken[1:])


@torch.no_grad()
def judged(model, image: Tensor, content: Tensor, style: Tensor) -> dict[str, float]:
    """The common loss and its terms, and the distances that no weight enters."""
    objective = model.objective
    terms = objective(image, objective.content_of(content), objective.style_of(style))
    distances = objective.distances(objective.style_layers, image, content, style)
    return {name: float(value.mean()) for name, value in (terms | distances).items()}


def main() -> None:
    """Print the table; write the pictures where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--johnson", help="run of experiment=johnson/offline")
    parser.add_argument("--adain", help="run of experiment=adain/offline")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, nargs="*", default=[50, 100, 300])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parsed(parser, size=64, steps=[2], turns=1)
    torch.set_num_threads(1)
    content, style = (
        read_picture(scikit_learn_file("images", f"{name}.jpg"), args.size) for name in ("china", "flower")
    )
    config = compose("train", ["experiment=gatys/offline"])
    shapes = {"image_shape": list(content.shape[1:]), "style_shape": list(style.shape[1:])}
    model = build(config.model, **shapes)
    rows = {"the content": (content, 0.0)}
    for name, paint in networks(args, content, style).items():
        rows[name] = timed(paint, args.turns)
    for steps, row in optimised(model, build(config.model.optimizer), content, style, args.steps).items():
        rows[f"gatys, {steps} steps"] = row
    columns = ("loss", "content", "style", "tv", "content_distance", "style_distance")
    print(f"{args.size} pixels, one thread, seconds of the processor")
    print("method".ljust(20) + "".join(each.rjust(18) for each in ("seconds", *columns)))
    for name, (image, seconds) in rows.items():
        values = judged(model, image, content, style)
        print(name.ljust(20) + f"{seconds:18.3f}" + "".join(f"{values[each]:18.5f}" for each in columns), flush=True)
        if args.out:
            args.out.mkdir(parents=True, exist_ok=True)
            save_png(to_uint8(image[0]), args.out / f"{name.replace(', ', '_').replace(' ', '_')}_{args.size}.png")


def networks(args: argparse.Namespace, content: Tensor, style: Tensor) -> dict[str, partial[Tensor]]:
    """What paints in one pass, by name."""
    found = {}
    if args.johnson:
        found["johnson"] = partial(load_run(args.johnson).model.painted, content, (), ())
    if args.adain:
        model = load_run(args.adain).model
        with torch.inference_mode():
            told = [model.described(style)]
        found["adain"] = partial(model.painted, content, told, [1.0])
    return found


if __name__ == "__main__":
    main()
