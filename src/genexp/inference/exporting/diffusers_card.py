"""What the card of a folder for diffusers says."""

from typing import TYPE_CHECKING

from genexp.inference.exporting.card import Card

if TYPE_CHECKING:
    from genexp.inference.exporting.diffusers_folder import DiffusersFolder
    from genexp.inference.exporting.stable_diffusion import StableDiffusionFolder

    Exported = DiffusersFolder | StableDiffusionFolder


def card_of(exported: "Exported", difference: float, steps: int) -> Card:
    """The card.

    Args:
        exported: What is written.
        difference: Largest difference of a pixel to what the run draws.
        steps: In how many steps of DDIM.
    """
    shape = " x ".join(map(str, exported.run.config.data.shape))
    says = (
        "A diffusion model trained with genexp and exported for diffusers. "
        f"From the same noise, by DDIM in {steps} steps, no pixel differs by more than {difference:.1g} of [-1, 1] "
        "from what the run draws."
    )
    front: dict[str, object] = {"tags": ["genexp", "diffusion"]}
    if exported.kind in _TASKS:
        front["pipeline_tag"] = _TASKS[exported.kind]
    facts = [("samples", f"{shape}, values from -1 to 1"), ("classes", _classes(exported))]
    return Card(says, "diffusers", _DRAWING[exported.kind], facts, front)


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
