"""What codes, captions and few steps save: training steps and drawing against pixels, guidance, students.

Both sides of a ratio run in turn in one process with one number of threads; times are CPU-seconds of the process, and
ratios are medians over the turns. Networks are as their recipes have them, with random weights where these do not
matter; codes are those of the shipped first stage. `--student <run>` adds a run that has a teacher, as those of
`experiment=lcm/shapes_captions`: how long it takes to draw, and the share of what it draws that is true of captions.
"""

import argparse
import os
from collections import deque

import torch
from omegaconf import OmegaConf
from peers import Work, in_turn, tell
from quick import parsed
from step_overhead import inside_lightning
from torch import Tensor

from genexp.conditioning.base import Condition
from genexp.config.compose import compose
from genexp.config.instantiate import build
from genexp.contracts import Denoiser
from genexp.data.shapes import ShapeCaptions
from genexp.evaluation.extractors.shape_reader import ShapeReader
from genexp.hardware import cpu_features, keep_freed_memory
from genexp.inference.conditions import conditions_of
from genexp.inference.run import Run, load_run
from genexp.networks.text_encoder import TextEncoder
from genexp.sampling.base import DiffusionSampler
from genexp.sampling.ddim import DDIM
from genexp.sampling.draw import draw
from genexp.sampling.guidance import ClassifierFree
from genexp.tensors import IndexedNoise

CODES = ["experiment=ldm/shapes"]
PIXELS = [*CODES, "model.codec=null", "model.network.channels=3", "model.network.image_size=64"]
"""The same network, width and images of 64 pixels, without a codec."""

CAPTIONED = "experiment=ldm/shapes_captions"
CAPTION = "a small red circle at the top left on a white background"


def step(given: argparse.Namespace) -> None:
    """A training step of a real run without its evaluations, once all codes are known."""
    found: dict[str, list[float]] = {"codes, factor 4": [], "pixels": []}
    sides = dict(zip(found, ((CODES, 8 * given.batches), (PIXELS, given.batches)), strict=True))
    for _ in range(given.turns):
        for name, (typed, batches) in sides.items():
            few = ["data.batch_size=16", "data.limit=64"]  # codes of all four batches are made before the clock starts
            found[name].append(inside_lightning([*typed, *few], batches, 5))
    tell("training step, UNet of width 32, 16 images of 64 pixels", found, "codes, factor 4")


def guidance(given: argparse.Namespace) -> None:
    """Guidance away from no caption, both in one call of twice the batch, against none."""
    for experiment in (CAPTIONED, "experiment=captions/attended"):
        denoiser, told = denoiser_of([experiment]), captioned(given.images)
        sides = {
            "unguided": drawing(denoiser, DDIM(10, clip=False), given.images, told),
            "guided": drawing(denoiser, guided_by(10), given.images, told),
        }
        tell(f"guidance of {experiment}, {given.images} images, 10 steps", in_turn(sides, given.turns), "unguided")


def drawn(given: argparse.Namespace) -> None:
    """Images in 20 steps, and decoded, against the same network in pixels."""
    sides = {
        name: drawing(denoiser_of(typed), DDIM(given.steps, clip=False), given.images, {})
        for name, typed in (("codes, decoded", CODES), ("pixels", PIXELS))
    }
    title = f"{given.images} images of 64 pixels drawn in {given.steps} steps"
    tell(title, in_turn(sides, given.slow_turns), "codes, decoded")


def captions(given: argparse.Namespace) -> None:
    """How often a guided drawing encodes its captions, and what it would cost to do so at every step."""
    denoiser, told, sampler = denoiser_of([CAPTIONED]), captioned(given.images), guided_by(20)
    calls: list[int] = []
    encoder = next(each for each in denoiser.network.modules() if isinstance(each, TextEncoder))
    hook = encoder.register_forward_hook(lambda *_: calls.append(1))
    draw_once = drawing(denoiser, sampler, given.images, told)
    draw_once()
    hook.remove()
    print(f"captions of {given.images} images, 20 guided steps: encoded {len(calls)} time(s)")
    found = in_turn(
        {"once": draw_once, "every step": drawing(Forgetful(denoiser), sampler, given.images, told)}, given.turns
    )
    tell("the same drawing with captions encoded", found, "once")


def student(given: argparse.Namespace) -> None:
    """A student in few steps, its teacher as that is drawn, and the teacher in as few steps."""
    if given.student is None:
        print("students: none given, --student <run>")
        return
    run = load_run(given.student)
    goal = run.config.model.get("goal")
    if goal is None:
        raise SystemExit(f"--student must be a run that has model.goal.teacher, got {given.student}")
    teacher, own = load_run(goal.teacher.run), OmegaConf.to_container(run.config.sampler)
    usual = OmegaConf.to_container(teacher.config.sampler)
    ways = {
        **{f"student, {count} step(s)": (run, build({**own, "steps": count})) for count in (4, 2, 1)},
        f"teacher, {usual['steps']} guided steps": (teacher, build(usual)),
        "teacher, 4 guided steps": (teacher, build({**usual, "steps": 4})),
    }
    told = captioned(given.images)
    for title, whole in ((f"{given.images} images by captions, decoded", True), ("the same, codes alone", False)):
        sides = {
            name: drawing(each.model.source(), sampler, given.images, told, whole)
            for name, (each, sampler) in ways.items()
        }
        tell(title, in_turn(sides, given.slow_turns), "student, 4 step(s)")
    for name, (each, sampler) in ways.items():
        true = truth(each, sampler, given.truth)
        half = 1.96 * (true * (1 - true) / given.truth) ** 0.5
        print(
            f"  {name:<40}{100 * true:>9.1f} % +- {100 * half:.1f} of {given.truth} true of test captions", flush=True
        )


class Forgetful:
    """A denoiser that is not made ready for one drawing, so that every call encodes what it is told."""

    def __init__(self, model: Denoiser) -> None:
        self.model, self.codec = model, model.codec
        self.image_shape, self.conditioning, self.schedule = model.image_shape, model.conditioning, model.schedule

    def __call__(self, x_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Clean codes from noisy ones."""
        return self.model(x_t, t, condition)


def denoiser_of(typed: list[str]) -> Denoiser:
    """The denoiser of a recipe, with random weights."""
    torch.manual_seed(0)
    return build(compose("train", [*typed, "trainer=cpu"]).model).eval().requires_grad_(False).source()


def guided_by(steps: int) -> DiffusionSampler:
    """DDIM with guidance, which needs both evaluations."""
    return DDIM(steps, clip=False, guidance=ClassifierFree(2.0))


def captioned(images: int) -> dict[str, Tensor]:
    """The same caption for all."""
    return {"caption": ShapeCaptions().read(CAPTION).expand(images, -1)}


def drawing(model: Denoiser, sampler: DiffusionSampler, images: int, told: Condition, decoded: bool = True) -> Work:
    """What draws images from a model, codes decoded or left as they are."""
    noise = IndexedNoise(0, range(images))
    start = sampler.start(model, noise)
    if decoded:
        return lambda: sampler.run(model, start, noise, told)
    return torch.no_grad()(lambda: deque(sampler.walk(model, start, noise, told), maxlen=1))


def truth(run: Run, sampler: DiffusionSampler, num: int) -> float:
    """The share of images under captions of the test split that show all that these say."""
    told, reader, source, right = conditions_of(run, split="test"), ShapeReader(), build(run.data.source), []
    for begin in range(0, num, 100):
        found = draw(run.model.source(), sampler, range(begin, min(begin + 100, num)), 0, told)
        shown, said = reader.read(reader(found["image"])), source.said(found["caption"])
        right.append(torch.stack([(said[name] < 0) | (said[name] == shown[name]) for name in said]).all(0))
    return float(torch.cat(right).double().mean())


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {each.__name__: each for each in (step, guidance, drawn, captions, student)}
    parser.add_argument("--only", choices=parts, help="one part; all by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--slow-turns", type=int, default=3, help="of what takes long: drawing in pixels, runs")
    parser.add_argument("--batches", type=int, default=4, help="of training in pixels; of codes 8 times as many")
    parser.add_argument("--images", type=int, default=64, help="drawn at a time")
    parser.add_argument("--steps", type=int, default=20, help="of drawing against pixels")
    parser.add_argument("--student", help="a run with a teacher, of captions of shapes")
    parser.add_argument("--truth", type=int, default=1000, help="images whose captions are read")
    given = parsed(parser, turns=2, slow_turns=2, batches=1, images=2, steps=2, truth=4)
    keep_freed_memory()  # as every command does
    torch.set_num_threads(given.threads)
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{cpu_features()['name']}, {given.threads} thread(s), torch {torch.__version__}, load {load}")
    for name, part in parts.items():
        if given.only in (None, name):
            part(given)


if __name__ == "__main__":
    main()
