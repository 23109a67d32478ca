"""Whether the code computes what another commit's does, to the last bit: `python .ci/same_numbers.py [commit]`.

For moves and renamings. Both versions train every family for a moment, draw, measure and reproduce a small ablation on
this machine, each in a process of its own; lines, weights, pictures, values and tables must be equal. The other commit
is HEAD where none is named; it is checked out beside, and uses this environment's packages.
"""

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[1]
COMMON = ["trainer=cpu", "logger=none", "threads=1", "trainer.precision=32-true", "trainer.limit_val_batches=1"]
DRAWN = ["callbacks.sample_grid.num=2", "callbacks.sample_grid.columns=null", "callbacks.evaluate.num=8"]
SHORT = ["data.batch_size=32", "training.max_images=192", "training.evaluate_every=64", "training.checkpoint_every=64"]
SHORT = [*SHORT, "training.log_every=96", "data.limit=100"]
PICTURE = ["data.image_size=32", "training.max_images=6", "training.evaluate_every=2", "training.checkpoint_every=2"]
FAMILIES = {
    "diffusion": [*COMMON, *DRAWN, *SHORT, "model.network.width=16", "model.num_classes=10"],
    "gan": [*COMMON, *DRAWN, *SHORT, "model.generator.width=8", "model.critic.discriminator.width=8"],
    "vae": [*COMMON, *DRAWN, *SHORT],
    "classifier": [*COMMON, *SHORT, "model.network.widths=[8,8]"],
    "style": [*COMMON, *DRAWN, *PICTURE],
    "adain": [*COMMON, *DRAWN, *PICTURE, "data.batch_size=1"],
}
DRAWING = ("diffusion", "gan", "vae")
ABLATION = """
title: Noise
question: What does fresh noise cost?
experiment: ddim/digits
overrides: [metrics=none]
variants:
  eta: {"0": [sampler.eta=0], "1": [sampler.eta=1]}
evaluate: ["metrics=[fd,kid]"]
metrics: [fd, kid]
claims:
  - {claim: "fd[eta=0] < fd[eta=1]", ours: true}
scales:
  cpu:
    overrides: [model.network.width=16, training.max_images=256, data.batch_size=64]
    evaluate: [num=100]
    seeds: [0, 1]
"""
OWN = r"second|commit|date|command|hardware|versions|genexp|CPU|images/s|\.time$|\.run$"
"""What stands in names and lines of what a run says of itself and of the machine."""


def main() -> int:
    """Compare this checkout with another commit."""
    other = sys.argv[1] if len(sys.argv) > 1 else "HEAD"
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder, "other")
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", checkout, other], cwd=HOME, check=True)
        try:
            before, now = (recorded(place, Path(folder, name)) for place, name in ((checkout, "a"), (HOME, "b")))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", checkout], cwd=HOME, check=True)
    different = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    for name in different:
        print(f"{name}\n  {other}  {before.get(name)}\n  now   {now.get(name)}")
    print(f"{len(now) - len(set(different) & now.keys())} of {len(now)} are what they are at {other}")
    return bool(different)


def recorded(checkout: Path, folder: Path) -> dict[str, str]:
    """What a checkout computes, by name."""
    folder.mkdir()
    (folder / "noise.yaml").write_text(ABLATION)
    environment = os.environ | {"PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1", "GENEXP_CACHE": "cache"}
    command = [sys.executable, __file__, "--record"]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def record() -> dict[str, str]:
    """Run everything with the code that is imported here, in the current folder."""
    found: dict[str, str] = {}
    for family, overrides in FAMILIES.items():
        genexp("train", f"model={family}", *overrides, f"run_dir={family}")
        found |= {f"{family}: {name}": value for name, value in of_run(Path(family))}
    for family in DRAWING:
        genexp("sample", f"run={family}", "num=12", "seed=3", f"out={family}_drawn")
        found |= {f"sample of {family}: {name}": value for name, value in pictures(Path(f"{family}_drawn"))}
        genexp("evaluate", f"run={family}", "num=40", "metrics=[fd,kid,precision_recall]", f"out={family}_measured")
        found |= {f"evaluate of {family}: {name}": value for name, value in flat(measured(Path(family)))}
    genexp("reproduce", "ablation=noise.yaml", "scale=cpu", "train=[logger=none]")
    for path in sorted(Path("outputs/ablations").rglob("*")):
        if path.name in ("table.md", "table.csv", "table.tex", "claims.json"):
            lines = [each for each in path.read_text().splitlines() if not re.search(OWN, each)]
            found |= {f"ablation: {path.name} line {number}": line for number, line in enumerate(lines)}
    return found


def genexp(*arguments: str) -> None:
    """One command, as typed; what it prints is not compared."""
    from genexp.__main__ import main as command

    sys.argv = ["genexp", *arguments]
    with redirect_stdout(io.StringIO()):
        command()


def of_run(run: Path) -> Iterator[tuple[str, str]]:
    """Every line of the journal, the digests of the last weights and of everything drawn."""
    import torch

    for number, line in enumerate((run / "metrics.jsonl").read_text().splitlines()):
        yield f"line {number}", str({k: v for k, v in json.loads(line).items() if k != "seconds"})
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    for part in ("state_dict", "averaged", "optimizer_states", "counters"):
        yield part, digest(*leaves(checkpoint.get(part)))
    yield from pictures(run / "samples")


def measured(run: Path) -> dict[str, Any]:
    """What `genexp evaluate` has left in a run, by key; before `evaluations.jsonl` it stood with the closing values."""
    rows = json.loads((run / "metrics.json").read_text()).get("evaluations") or []
    if (kept := run / "evaluations.jsonl").is_file():
        rows += [row for line in kept.read_text().splitlines() if (row := json.loads(line))["source"] == "evaluate"]
    return {row["key"]: {name: each for name, each in row.items() if name != "source"} for row in rows}


def leaves(node: Any) -> Iterator[bytes]:
    """The content of nested containers in order, as bytes."""
    if isinstance(node, dict):
        for key in sorted(node, key=str):
            yield str(key).encode()
            yield from leaves(node[key])
    elif isinstance(node, list | tuple):
        for each in node:
            yield from leaves(each)
    else:
        yield node.numpy().tobytes() if hasattr(node, "numpy") else str(node).encode()


def pictures(folder: Path) -> Iterator[tuple[str, str]]:
    """The digest of every picture's pixels."""
    from PIL import Image

    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as image:
            yield path.relative_to(folder).as_posix(), digest(image.tobytes())


def flat(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a record, without what a run says of itself."""
    if isinstance(node, dict | list):
        for key, each in node.items() if isinstance(node, dict) else enumerate(node):
            yield from flat(each, f"{name}.{key}")
    elif not re.search(OWN, name):
        yield name, str(node)


def digest(*parts: str | bytes) -> str:
    """A short digest."""
    joined = hashlib.sha256()
    for part in parts:
        joined.update(part.encode() if isinstance(part, str) else part)
    return joined.hexdigest()[:16]


if __name__ == "__main__":
    if "--record" in sys.argv:
        print(json.dumps(record()))
    else:
        sys.exit(main())
