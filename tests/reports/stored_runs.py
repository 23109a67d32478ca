"""Run folders with known content, written without training anything."""

import json
import struct
import zlib
from pathlib import Path

import yaml

FD = "fd/features@01234567"
PROTOCOL = {
    "metric": "fd",
    "settings": "FrechetDistance()",
    "extractor": "features",
    "extractor_digest": "01234567" * 8,
    "resize": "none",
    "quantiser": "uint8",
    "reference": "train",
    "reference_digest": "89abcdef" * 8,
    "n_reference": 1000,
    "n_generated": 500,
    "seed": 0,
    "weights": "averaged",
    "sampler": "DDIM(steps=10)",
}


def write_run(
    outputs: Path,
    identity: str,
    values: dict[str, float] | None = None,
    *,
    state: str = "finished",
    typed: tuple[str, ...] = (),
    choices: dict[str, str] | None = None,
    protocol: dict | None = None,
    evaluations: tuple[dict, ...] = (),
    history: tuple[dict, ...] = (),
    pictures: tuple[int, ...] = (),
    record: dict | None = None,
    **settings,
) -> Path:
    """Write one run folder; `settings` are dotted keys with `__` for the dot, and change a small configuration."""
    folder = outputs / "study" / identity
    (folder / "samples").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    config = {
        "name": "study",
        "threads": 1,
        "seed": 0,
        "paths": {"cache": f"/home/{identity}/cache", "outputs": f"/home/{identity}/outputs"},
        "data": {"_target_": "genexp.Data", "seed": 0, "cache_dir": f"/home/{identity}/cache/data", "size": 8},
        "model": {"_target_": "genexp.Model", "width": 16, "lr": 0.1, "betas": [0.5, 0.9]},
        "training": {"max_images": 1000, "monitor": "fd", "monitor_mode": "min"},
        "sampler": {"_target_": "genexp.Sampler"},
        "trainer": {"precision": "32-true"},
        "callbacks": {"stop": {"images": 1000}, "sample_grid": {"seed": 0}},
    }
    for key, value in settings.items():
        *path, last = key.split("__")
        node = config
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value
    config["data"]["seed"] = config["callbacks"]["sample_grid"]["seed"] = config["seed"]
    config["callbacks"]["stop"]["images"] = config["training"]["max_images"]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "overrides.yaml").write_text(yaml.safe_dump([f"{key}=any" for key in typed]))
    told = {"id": identity, "name": "study", "state": state, "started": identity, "choices": choices or {}}
    (folder / "run.json").write_text(json.dumps(told | (record or {})))
    rows = history or ({"images_seen": 1000, "seconds": 5.0, **(values or {})},)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if state == "finished":
        protocols = {key: protocol or PROTOCOL for key in values or {} if key.startswith("fd/")}
        closing = {"images_seen": 1000, "seconds": 5.0, "values": values or {}, "protocols": protocols}
        (folder / "metrics.json").write_text(json.dumps(closing | {"evaluations": list(evaluations)}))
    for images in pictures:
        (folder / f"samples/samples_{images:010d}.png").write_bytes(png(8, 8, images % 251))
    return folder


def evaluation(value: float, key: str = FD, time: str = "2026-01-01", images_seen: int = 1000, **changes) -> dict:
    """One entry of what `genexp evaluate` leaves in metrics.json."""
    protocol = PROTOCOL | changes
    told = {"checkpoint": "best.ckpt", "images_seen": images_seen, "time": time, "better": "lower", "error": 0.25}
    return {"key": key, "value": value, "protocol": protocol, **told}


def png(width: int, height: int, level: int) -> bytes:
    """A PNG file of one grey."""
    rows = (b"\0" + bytes([level]) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
