"""How long `genexp compare` takes over hundreds of runs, and how long its page takes to open in Chromium."""

import argparse
import json
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import yaml
from quick import parsed

from genexp.config.compose import compose
from genexp.training.settle import settled

KEY = "fd/digits_classifier@42f2cb7d"


def main() -> None:
    """Print seconds of the command, whether it loaded torch, and seconds until the page shows its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500, help="run folders to make")
    parser.add_argument("--points", type=int, default=200, help="logged lines of each")
    parser.add_argument("--keep", type=Path, help="folder to make them in and leave; by default a temporary one")
    given = parsed(parser, runs=10, points=20)
    folder = given.keep or Path(tempfile.mkdtemp(prefix="compare-"))
    write_runs(folder / "outputs", given.runs, given.points)
    command = [sys.executable, "-X", "importtime", "-m", "genexp", "compare", f"runs={folder}/outputs"]
    command += [f"out={folder}/compare"]
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    print(f"genexp compare, {given.runs} runs  {time.monotonic() - begun:>8.2f} s")
    print(f"imported torch              {'yes' if '| torch' in done.stderr else 'no':>10}")
    page = folder / "compare/compare.html"
    print(f"page                        {page.stat().st_size / 1e6:>7.1f} MB")
    seconds = opening_time(page)
    for what, opened in zip(("table stands after", "curves are drawn after"), seconds or (None, None), strict=True):
        print(f"{what:<28}{'no Chromium' if opened is None else f'{opened:.2f} s':>10}")
    if given.keep is None:
        shutil.rmtree(folder)


def opening_time(page: Path, turns: int = 5) -> tuple[float, float] | None:
    """Median seconds from asking for the page until its table stands and until its curves do; None without Chromium."""
    browser = next((path for path in map(shutil.which, ("chromium", "google-chrome")) if path), None)
    if browser is None:
        return None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        times = []
        for _ in range(turns):
            tab = chromium.new_page(viewport={"width": 1280, "height": 1600})
            tab.goto("about:blank")
            begun = time.monotonic()
            tab.goto(page.as_uri(), wait_until="commit")
            tab.wait_for_selector("#table tbody tr")
            table = time.monotonic() - begun
            tab.wait_for_selector("#chart .main-svg")
            times.append((table, time.monotonic() - begun))
            tab.close()
        chromium.close()
    return tuple(statistics.median(column) for column in zip(*times, strict=True))


def write_runs(outputs: Path, count: int, points: int, seeds: int = 5) -> None:
    """Write run folders as training leaves them: a search over width and learning rate with several seeds each."""
    base = settled(compose("train", ["experiment=quickstart"]))
    generator = random.Random(0)
    for i in range(count):
        seed, choice = i % seeds, i // seeds
        width, rate = 16 * (1 + choice % 5), round(0.001 * 1.05**choice, 6)
        config = json.loads(json.dumps(base))
        config["seed"] = config["data"]["seed"] = seed
        config["callbacks"]["sample_grid"]["seed"] = config["callbacks"]["evaluate"]["seed"] = seed
        config["model"]["network"]["width"], config["model"]["optimizer"]["lr"] = width, rate
        folder = outputs / "quickstart" / f"2026-11-21_10-{i // 60 % 60:02d}-{i % 60:02d}_{i:08d}"
        _write_run(folder, i, config, [f"model.network.width={width}", f"model.optimizer.lr={rate}"], points, generator)


def _write_run(
    folder: Path, number: int, config: dict, typed: list[str], points: int, generator: random.Random
) -> None:
    (folder / "samples").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "overrides.yaml").write_text(yaml.safe_dump([*typed, f"seed={config['seed']}"]))
    record = {"id": f"{number:08d}", "name": "quickstart", "state": "finished", "started": f"2026-11-21T{number:06d}"}
    (folder / "run.json").write_text(json.dumps(record))
    level = 60 / config["model"]["network"]["width"] + generator.random()
    rows = [
        {
            "images_seen": 1000 * (i + 1),
            "seconds": 0.1 * i,
            "train/loss": 0.2 + 0.5 / (i + 1) + 0.02 * generator.random(),
            "train/learning_rate": 0.001 * (1 - i / points),
            **({KEY: level * (1 + 10 / (i + 1)), f"{KEY.replace('fd', 'fd_floor', 1)}": 0.9} if i % 10 == 9 else {}),
        }
        for i in range(points)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    protocol = {
        "metric": "fd", "settings": "FrechetDistance()", "extractor": "digits_classifier",
        "extractor_digest": "42f2cb7d" * 8, "resize": "torch_antialias", "quantiser": "uint8", "reference": "train",
        "reference_digest": "5e193f23" * 8, "n_reference": 1197, "n_generated": 1000, "seed": config["seed"],
        "weights": "averaged", "sampler": "DDIM(steps=25)",
    }  # fmt: skip
    values = {key: value for row in rows for key, value in row.items() if key.startswith("fd")}
    closing = {"images_seen": 1000 * points, "seconds": 60.0, "best": None, "values": values, "evaluations": []}
    (folder / "metrics.json").write_text(json.dumps({**closing, "protocols": {KEY: protocol}}))
    for i in range(1, 5):
        picture = bytes(generator.randrange(256) if p % (4 * i) < 2 else 128 for p in range(80 * 60))
        (folder / f"samples/samples_{250 * i * points:010d}.png").write_bytes(png(picture, 80, 60))


def png(pixels: bytes, width: int, height: int) -> bytes:
    """A grey PNG file of `width * height` bytes."""
    rows = b"".join(b"\0" + pixels[y * width : (y + 1) * width] for y in range(height))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    chunks = (struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


if __name__ == "__main__":
    main()
