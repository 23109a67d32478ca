"""Painting by one pass of a trained network."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from genexp.config.compose import several
from genexp.inference.stylising.method import Painted, Painter, StylePicture
from genexp.runs.newest import newest_hint
from genexp.terminal import few_digits

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from genexp.contracts.blending import Blender


class OnePass:
    """One pass of the network of a finished run.

    Args:
        model: The `model` that the run must be of.
        any_style: Whether it paints in given styles; else in the one that it has learned.
    """

    wants_content = True
    tells_progress = False

    def __init__(self, model: str, any_style: bool) -> None:
        self.model, self.wants_style = model, any_style
        self.options = frozenset(["run", "alpha", "style_weights", "masks"] if any_style else ["run"])

    def require(self, config: DictConfig) -> None:
        """Raise ValueError where no run is named."""
        if config.run is None:
            given = {name: config[name] for name in ("content", "style") if config[name] is not None}
            typed = " ".join(f"{name}={_typed(value)}" for name, value in given.items())
            outputs = Path(config.paths.outputs).expanduser().resolve()
            hint = newest_hint(f"genexp stylize {typed} method={self.model}", outputs, self.model)
            raise ValueError(f"run must name a run of model={self.model} for method={self.model}, got null; {hint}")
        if config.masks is not None and config.style_weights is not None:
            raise ValueError("style_weights must be null with masks, which say how much of a style is where")

    def painter(self, config: DictConfig) -> Painter:
        """The network, ready on its device."""
        from genexp.contracts.blending import Blender
        from genexp.hardware import device_of
        from genexp.inference.run import load_run

        model = load_run(config.run).model
        named = type(model).__name__
        if isinstance(model, Blender):
            named += " of any style" if model.any_style else " of one style"
        if not isinstance(model, Blender) or model.any_style != self.wants_style:
            raise ValueError(f"run must be a run of model={self.model}, got one of {named}")
        device = device_of(config.device)
        model = model.to(device)
        alpha = model.alpha if config.alpha is None else config.alpha
        return _Painter(model.to(device), device, alpha)


class _Painter:
    """A network that paints; the styles of the last picture are known, which are those of the next one as a rule."""

    def __init__(self, model: "Blender", device: "torch.device", alpha: float) -> None:
        self.model, self.device, self.alpha = model, device, alpha
        self._images: list[Tensor] = []
        self._told: list[Tensor] = []

    def __call__(self, content: "Tensor | None", styles: Sequence[StylePicture]) -> Painted:
        """The content (1, 3, H, W) in the styles."""
        import torch

        with torch.inference_mode():
            if [id(style.image) for style in styles] != [id(image) for image in self._images]:
                self._images = [style.image for style in styles]
                self._told = [self.model.described(image.to(self.device)) for image in self._images]
            masks = [style.mask.to(self.device) for style in styles if style.mask is not None]
            weights = [style.weight for style in styles]
            image = self.model.painted(content.to(self.device), self._told, weights, masks, self.alpha)
        strength = f", strength {few_digits(self.alpha)}" if self.model.any_style else ""
        return Painted(image.cpu(), f"one pass{strength}")


def _typed(value: object) -> str:
    names = several(value)
    return shlex.quote(names[0] if len(names) == 1 else f"[{','.join(names)}]")
