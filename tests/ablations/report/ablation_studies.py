"""Studies with known truth: values are drawn around a mean for every variant, with a part that all variants share."""

import itertools
import random
from pathlib import Path

from genexp.ablations.report.claims import parse_claim
from genexp.ablations.report.study import Paper, Reported, Study, StudyValue
from genexp.runs.directions import metric_name

FD = "fd/digits_classifier@42f2cb7d"
PROTOCOL = {
    "metric": "fd",
    "settings": "FrechetDistance()",
    "extractor": "digits_classifier",
    "extractor_digest": "42f2cb7d" * 8,
    "input_size": 0,
    "resize": "none",
    "quantiser": "uint8",
    "reference": "train",
    "reference_digest": "89abcdef" * 8,
    "n_reference": 1438,
    "n_generated": 2000,
    "seed": 0,
    "weights": "averaged",
    "sampler": "DDIM(eta=0.0, steps=10)",
}


def labels_of(axes):
    return [tuple(zip(axes, each, strict=True)) for each in itertools.product(*axes.values())]


def value(labels, seed, number, key=FD, **more):
    protocol = more.pop("protocol", PROTOCOL | {"metric": key.split("/")[0], "seed": seed} if "@" in key else None)
    return StudyValue(labels=labels, seed=seed, key=key, value=number, source="evaluate", protocol=protocol, **more)


def study(axes, numbers, seeds=(0, 1, 2), claims=(), key=FD, better="lower", **more):
    """A study of one value; `numbers(place, seed)` gives it for a mapping of axis to value, or None for none."""
    values = []
    for labels, seed in itertools.product(labels_of(axes), seeds):
        number = numbers(dict(labels), seed)
        if number is not None:
            values.append(value(labels, seed, number, key, better=better))
    given = {"name": "small", "title": "A small study", "question": "Which is better?", "paper": None, "scale": "cpu"}
    given |= {"axes": axes, "search": None, "seeds": list(seeds), "metrics": [metric_name(key)], "reported": []}
    given |= {"claims": [parse_claim(each, axes) for each in claims], "values": values}
    return Study(**given | more)


ETAS = {"eta": ["0", "0.5", "1"], "steps": ["10", "20", "50", "100"]}


def ddim(folder: Path, lost=()) -> Study:
    """Two axes, two values, a paper's numbers, claims that hold, fail and stay open, and pictures."""
    random.seed(7)
    values, pictures = [], {}
    for seed in range(3):
        common = random.gauss(0, 0.12)
        for labels in labels_of(ETAS):
            if (labels, seed) in lost:
                continue
            eta, steps = (float(each) for _, each in labels)
            fd = 0.9 + 14 / steps + 26 * eta / steps + common + random.gauss(0, 0.05)
            recall = 0.78 - 0.5 / steps - 0.4 * eta / steps + random.gauss(0, 0.015)
            drawn = PROTOCOL | {"sampler": f"DDIM(eta={eta}, steps={steps:g})", "seed": seed}
            real = {"floor": 0.52, "floor_images": 400}
            values.append(value(labels, seed, fd, better="lower", error=0.03, protocol=drawn, **real))
            key = FD.replace("fd", "recall")
            settings = drawn | {"metric": "recall", "settings": "PrecisionRecall(k=5)"}
            values.append(value(labels, seed, recall, key, better="higher", floor=0.81, protocol=settings))
            path = folder / f"{eta:g}_{steps:g}_{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(grid(random.Random(seed), noise=0.08 + eta * 2 / steps))
            pictures.setdefault(labels, []).append(path)
    claims = [
        ("fd[eta=0,steps=10] < fd[eta=1,steps=10]", "Few steps: the deterministic sampler is far ahead (Table 1)"),
        ("recall[eta=0] > 0.9 * recall[eta=1]", "Diversity does not pay for it"),
        ("fd[steps=100] < fd[steps=10]", "More steps help at every noise level (Table 1)"),
        ("fd[eta=1,steps=100] < fd[eta=0,steps=100]", "With many steps noise no longer hurts"),
        ("recall[eta=0,steps=50] > recall[eta=0.5,steps=50]", ""),
        ("fd < 0.5", "Every variant beats real images"),
    ]
    reported = Reported(
        name="FID",
        source="An invented paper (2021), Table 1",
        protocol="FID of 50,000 samples, 32x32 images, Inception",
        values={
            tuple(zip(ETAS, each, strict=True)): number
            for each, number in {
                ("0", "10"): 13.4, ("0", "20"): 6.8, ("0", "50"): 4.7, ("0", "100"): 4.2, ("0", "1000"): 4.0,
                ("1", "10"): 41.1, ("1", "20"): 18.4, ("1", "50"): 8.0, ("1", "100"): 5.8, ("1", "1000"): 4.7,
            }.items()
        },
    )  # fmt: skip
    return Study(
        name="ddim_table1",
        title="How much fresh noise costs at few steps",
        question="One trained model draws with few steps, with and without fresh noise. What does the noise cost?",
        paper=Paper(
            "An Invented Paper on Fast Samplers", "Someone, Somebody", 2021, "Table 1", "https://example.org/a"
        ),
        scale="cpu",
        axes=ETAS,
        search=None,
        seeds=[0, 1, 2],
        metrics=["fd", "recall"],
        reported=[reported],
        claims=[parse_claim(text, ETAS, source) for text, source in claims],
        values=values,
        pictures=pictures,
        origin=ORIGIN,
        remarks="Digits of 8x8 pixels instead of photographs; a small network; features of a digit classifier.",
    )


ORIGIN = {
    "command": "genexp reproduce ablation=ddim_table1 scale=cpu",
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": False,
    "hardware": "A processor, 2 cores, Linux",
    "threads": [1],
    "versions": {"genexp": "0.1.0", "torch": "2.15.0"},
    "training_seconds": 284.2,
    "measuring_seconds": 112.9,
    "trainings": 3,
    "measurements": 36,
    "date": "2026-01-01",
    "images": [60000],
}


def searched(seeds=(0, 1, 2, 3), lost=()) -> Study:
    """One axis of names and a search over learning rates; at the largest, training without a penalty diverges."""
    random.seed(3)
    axes = {"penalty": ["none", "gradient", "r1"], "lr": ["1e-4", "3e-4", "1e-3", "3e-3", "1e-2"]}
    level = {"none": 3.4, "gradient": 2.1, "r1": 2.0}

    def numbers(place, seed):
        if (place["penalty"], place["lr"], seed) in lost:
            return None
        if (place["penalty"], place["lr"]) == ("none", "1e-2"):
            return float("nan")
        away = {"1e-4": 1.6, "3e-4": 0.5, "1e-3": 0.1, "3e-3": 0.9, "1e-2": 14.0}[place["lr"]]
        return level[place["penalty"]] + away * random.uniform(0.8, 1.2) + random.gauss(0, 0.08)

    claims = ["fd[penalty=r1] < fd[penalty=none]", "fd[penalty=r1] < fd[penalty=gradient]", "fd[penalty=none] > 3"]
    more = {"search": "lr", "name": "penalties", "title": "Do penalties pay once learning rates are searched?"}
    return study(axes, numbers, seeds, claims, origin=ORIGIN, **more)


def grid(source: random.Random, noise: float, tiles: int = 6, side: int = 8, factor: int = 4) -> bytes:
    """A grid of blobs on black, with two white pixels around every tile, as a PNG file."""
    import io

    import numpy as np
    from PIL import Image

    draw = np.random.default_rng(source.randrange(2**32))
    step = side * factor + 2
    canvas = np.full((tiles * step + 2, tiles * step + 2), 255, np.uint8)
    places = np.arange(side)
    for row, column in itertools.product(range(tiles), repeat=2):
        y, x = draw.uniform(2, 5, 2)
        blob = np.exp(-((places[:, None] - y) ** 2 + (places[None] - x) ** 2) / 3) + draw.normal(0, noise, (side, side))
        tile = (blob.clip(0, 1) * 254).astype(np.uint8).repeat(factor, 0).repeat(factor, 1)
        canvas[row * step + 2 :, column * step + 2 :][: side * factor, : side * factor] = tile
    file = io.BytesIO()
    Image.fromarray(canvas).convert("RGB").save(file, format="PNG")
    return file.getvalue()
