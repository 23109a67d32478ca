"""Painting by optimising the pixels."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from genexp.inference.stylising.method import Painted, Painter, Style

if TYPE_CHECKING:
    from torch import Tensor


class Gatys:
    """Optimise the pixels with the family that `train model=style` trains, on the pictures at hand."""

    options = frozenset(["steps"])
    wants_content = True
    wants_style = True
    tells_progress = True

    def require(self, config: DictConfig) -> None:
        """Raise ValueError unless the model is one that optimises pixels."""
        if "image_shape" not in config.model:
            raise ValueError(f"model must be style for method=gatys, got {config.model['_target_']}")

    def painter(self, config: DictConfig) -> Painter:
        """What optimises one picture after the other; each has a model of its own."""

        def paint(content: "Tensor | None", styles: Sequence[Style]) -> Painted:
            (style,) = styles
            return _optimised(config, {"content": content, "style": style.image})

        return paint


def _optimised(config: DictConfig, images: dict[str, Any]) -> Painted:
    import warnings

    from lightning import Trainer, seed_everything
    from torch.utils.data import DataLoader

    from genexp.callbacks.progress import ImageProgress
    from genexp.config.instantiate import build
    from genexp.training.quiet import quiet_lightning

    shapes = {f"{key}_shape": list(images[name].shape[1:]) for key, name in (("image", "content"), ("style", "style"))}
    model = build(OmegaConf.merge(config.model, shapes))
    model.seed = config.seed
    with quiet_lightning(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(val_dataloader|eval mode|does not have many workers).*")
        seed_everything(config.seed, verbose=False)
        trainer = Trainer(
            accelerator={"cuda": "gpu"}.get(config.device, config.device),
            devices=1,
            max_epochs=1,
            callbacks=[ImageProgress(config.steps, name="stylize", unit="steps")],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(model, DataLoader([images] * config.steps, batch_size=None))
    model.terms.flush()  # a non-finite loss ends here, not in a picture
    if trainer.interrupted:
        print("interrupted; this is the picture so far", file=sys.stderr)
    how = f"{model.steps['image']} steps, {model.evaluations} evaluations of the loss"
    return Painted(model.render(images).detach().cpu(), how)
