"""The model card of an exported run: what it was trained on, what was measured and how, and how it is drawn from."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from genexp.runs.markup import digest_text, markdown_row, markdown_text
from genexp.runs.measurements import Measurement, measurements
from genexp.runs.stored import read_run

if TYPE_CHECKING:
    from genexp.inference.exporting.diffusers_folder import DiffusersFolder
    from genexp.inference.exporting.stable_diffusion import StableDiffusionFolder

    Exported = DiffusersFolder | StableDiffusionFolder

_PROTOCOL = ("n_generated", "reference", "weights", "sampler", "seed")


def model_card(exported: "Exported", difference: float, steps: int, weights: Path) -> str:
    """The text of `README.md`.

    Args:
        exported: What is written.
        difference: Largest difference of a pixel to what the run draws.
        steps: In how many steps of DDIM.
        weights: The file of weights.
    """
    run, shape = exported.run, " x ".join(map(str, exported.run.config.data.shape))
    stored = read_run(run.folder.path)
    front = {"license": exported.licence or "unknown", "library_name": "diffusers", "tags": ["genexp", "diffusion"]}
    if exported.kind in _TASKS:
        front["pipeline_tag"] = _TASKS[exported.kind]
    data = str(stored.choices.get("data") or run.config.data.get("_target_") or "not recorded")
    facts = [
        ("data", data),
        ("samples", f"{shape}, values from -1 to 1"),
        ("classes", _classes(exported)),
        ("images seen", f"{run.model.images_seen:,}"),
        ("weights", f"{run.weights}, {run.checkpoint.name}"),
        ("run", str(stored.id)),
        ("sha256 of the checkpoint", run.digest),
        (f"sha256 of {weights.name}", hashlib.sha256(weights.read_bytes()).hexdigest()),
        ("licence", exported.licence or "not stated"),
    ]
    found = [each for each in measurements(stored) if each.protocol is not None]
    parts = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        f"# {markdown_text(stored.name)}",
        "A diffusion model trained with genexp and exported for diffusers. "
        f"From the same noise, by DDIM in {steps} steps, no pixel differs by more than {difference:.1g} of [-1, 1] "
        "from what the run draws.",
        "\n".join([markdown_row(("what", "value")), "|---|---|", *(markdown_row(each) for each in facts)]),
        "## Drawing\n\n```python\n" + _DRAWING[exported.kind] + "```",
        "## Measured\n\n" + (_table(found) if found else "Nothing was measured under a protocol."),
    ]
    return "\n\n".join(parts) + "\n"


def _classes(exported: "Exported") -> str:
    classes = exported.denoiser.conditioning.num_classes
    if classes is None:
        return "none"
    if exported.label is not None:
        return f"class {exported.label} alone, of {classes}"
    return f"{classes}, numbered from 0; {classes} stands for none"


_ALONE = """from diffusers import DDIMPipeline

pipeline = DDIMPipeline.from_pretrained("<this folder>")
image = pipeline(num_inference_steps=50, use_clipped_model_output=True).images[0]
"""
_TOLD = """import torch
from diffusers import DDIMPipeline

pipeline = DDIMPipeline.from_pretrained("<this folder>")
unet, scheduler = pipeline.unet, pipeline.scheduler
scheduler.set_timesteps(50)
labels = torch.arange(4)
shape = unet.config.in_channels, unet.config.sample_size, unet.config.sample_size
x = torch.randn(len(labels), *shape)
for t in scheduler.timesteps:
    with torch.no_grad():
        output = unet(x, t, class_labels=labels).sample
    x = scheduler.step(output, t, x, use_clipped_model_output=True).prev_sample
"""


_BY_WORDS = """from diffusers import StableDiffusionPipeline

pipeline = StableDiffusionPipeline.from_pretrained("<this folder>")
image = pipeline("<what it shows>", num_inference_steps=50).images[0]
"""
_DRAWING = {"nothing": _ALONE, "classes": _TOLD, "words": _BY_WORDS}
"""Lines that draw: with classes a loop, for the pipelines of diffusers do not tell any."""

_TASKS = {"nothing": "unconditional-image-generation", "words": "text-to-image"}


def _table(found: list[Measurement]) -> str:
    rows = [("metric", "value", "error", "real images", "images seen", *(name.replace("n_", "") for name in _PROTOCOL))]
    for each in found:
        numbers = (each.value, each.error, each.floor)
        told = ("" if number is None else f"{number:.4g}" for number in numbers)
        seen = "" if each.images_seen is None else f"{each.images_seen:,}"
        rows.append((each.key, *told, seen, *(digest_text((each.protocol or {}).get(name)) for name in _PROTOCOL)))
    head, *others = [markdown_row(row) for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *others])
