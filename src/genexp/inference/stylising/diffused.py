"""Painting by a diffusion model: from the noised content on, towards the style of a picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from genexp.inference.stylising.method import Painted, Painter, StylePicture, is_given
from genexp.runs.newest import newest_hint
from genexp.terminal import few_digits

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from genexp.contracts import Denoiser
    from genexp.inference.run import Run
    from genexp.sampling.base import DiffusionSampler
    from genexp.sampling.style_guidance import TowardsStyle


class Diffused:
    """Begin with the content and noise, and let a finished diffusion run go on, guided by the style.

    The model makes pictures of one size, so the content is cut to its central square and brought to that size. What
    the run draws with, its own guidance included, stays; the style guides beside it, by the features, the style loss
    and the style layers that `gatys` has. A style is read at twice the model's size, unless `style_size` says.
    """

    options = frozenset(["run", "strength", "style_scale"])
    wants_content = True
    wants_style = True
    tells_progress = False

    def require(self, config: DictConfig) -> None:
        """Raise ValueError where no run is named, or a key asks for what the model's own size does not let be."""
        if is_given(config, "size"):
            raise ValueError(f"size must be left as it is for method=diffusion, the run has its own; got {config.size}")
        if config.colours == "luminance":
            raise ValueError("colours must be style or matched for method=diffusion, got luminance")
        if "style_layers" not in config.model:
            raise ValueError(f"model must be style for method=diffusion, got {config.model['_target_']}")
        if config.run is None:
            hint = newest_hint("genexp stylize content=a.jpg style=b.jpg method=diffusion", model="diffusion")
            raise ValueError(f"run must name a run of model=diffusion for method=diffusion, got null; {hint}")

    def painter(self, config: DictConfig) -> Painter:
        """The model and its sampler, ready on their device."""
        from genexp.config.instantiate import build
        from genexp.contracts import Denoiser
        from genexp.contracts.codecs import codec_of
        from genexp.hardware import device_of
        from genexp.inference.editing import square
        from genexp.inference.run import load_run
        from genexp.sampling.base import DiffusionSampler

        run = load_run(config.run)
        device = device_of(config.device)
        source, sampler = run.model.to(device).source(), build(run.config.sampler)
        if not isinstance(source, Denoiser) or not isinstance(sampler, DiffusionSampler):
            raise ValueError(f"run must be a run of model=diffusion, got one of {type(run.model).__name__}")
        if codec_of(source) is not None:
            raise ValueError(
                f"run must be of images for method=diffusion, got {config.run}, of codes, which no style is read in; "
                f"genexp sample run={config.run} edit=noised images=<content> draws on from a picture"
            )
        square(run.config.data.shape)
        return _Painter(config, run, source, sampler, device)


class _Painter:
    def __init__(
        self,
        config: DictConfig,
        run: "Run",
        source: "Denoiser",
        sampler: "DiffusionSampler[Any]",
        device: "torch.device",
    ) -> None:
        from genexp.config.instantiate import build
        from genexp.inference.conditions import conditions_of
        from genexp.sampling.draw import told_by

        self.config, self.source, self.sampler, self.device = config, source, sampler, device
        told = told_by(sampler, source, run.model.conditioning)
        self.conditions = conditions_of(run, {}, told, config.seed)
        self.guidance = sampler.guidance
        self.features, self.style_loss = build(config.model.features), build(config.model.style_loss)

    def __call__(self, content: "Tensor | None", styles: Sequence[StylePicture]) -> Painted:
        """The content (1, 3, H, W) at the size of the model, in the style."""
        from genexp.sampling.draw import draw
        from genexp.sampling.editing import Noised, Originals

        (style,) = styles
        channels, _, size = self.source.image_shape
        towards = self._towards(style)
        self.sampler.guidance = lambda model: towards(self.guidance(model))
        given = _squared(content, size)
        if channels == 1:
            given = given.mean(1, keepdim=True)
        sampler = Noised(self.config.strength)(self.sampler, Originals(given))
        drawn = draw(self.source, sampler, [0], self.config.seed, self.conditions, self.device)["image"].cpu()
        words = f"strength {few_digits(self.config.strength)}, style {few_digits(self.config.style_scale)}"
        return Painted(drawn.expand(-1, 3, -1, -1), f"{sampler.evaluations_of(self.source)} evaluations, {words}")

    def _towards(self, style: StylePicture) -> "TowardsStyle":
        from genexp.sampling.style_guidance import TowardsStyle

        own = self.config.style_size is not None
        image = style.image if own else _squared(style.image, 2 * self.source.image_shape[-1])
        layers = list(self.config.model.style_layers)
        return TowardsStyle(self.features, self.style_loss, layers, image, self.config.style_scale)


def _squared(image: "Tensor", size: int) -> "Tensor":
    """The largest central square of (1, C, H, W) at `size` pixels a side."""
    from torch.nn import functional

    side = min(image.shape[-2:])
    top, left = ((each - side) // 2 for each in image.shape[-2:])
    cut = image[..., top : top + side, left : left + side]
    return functional.interpolate(cut, (size, size), mode="bilinear", antialias=True).clamp(-1, 1)
