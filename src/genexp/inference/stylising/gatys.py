"""Painting by optimising the pixels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from genexp.inference.stylising.method import Painted, Painter, StylePicture

if TYPE_CHECKING:
    from torch import Tensor

    from genexp.contracts import Batch


class Gatys:
    """Optimise the pixels with the family that `train model=style` trains, on the pictures at hand."""

    options = frozenset(["steps", "style_weights", "masks"])
    wants_content = True
    wants_style = True
    tells_progress = True

    def require(self, config: DictConfig) -> None:
        """Raise ValueError unless the model is one that optimises pixels."""
        if "image_shape" not in config.model:
            raise ValueError(f"model must be style for method=gatys, got {config.model['_target_']}")

    def painter(self, config: DictConfig) -> Painter:
        """What optimises one picture after the other; each has a model of its own."""

        def paint(content: "Tensor | None", styles: Sequence[StylePicture]) -> Painted:
            return _optimised(config, _batch(content, styles), [style.weight for style in styles])

        return paint


def _batch(content: "Tensor", styles: Sequence[StylePicture]) -> "Batch":
    """The images as the family takes them; masks say where the content is painted, and whole styles are read."""
    import torch

    from genexp.inference.stylising.painting_jobs import in_strides

    names = ["style", *(f"style_{number}" for number in range(2, len(styles) + 1))]
    batch = {"content": content} | {name: style.image for name, style in zip(names, styles, strict=True)}
    masks = [style.mask for style in styles if style.mask is not None]
    if masks:
        batch["content_guides"] = in_strides(torch.cat(masks, dim=1))
        batch |= {f"{name}_guide": torch.ones_like(batch[name][:, :1]) for name in names}
    return batch


def _optimised(config: DictConfig, images: "Batch", shares: Sequence[float]) -> Painted:
    import warnings

    from lightning import Trainer, seed_everything
    from torch.utils.data import DataLoader

    from genexp.callbacks.progress import ImageProgress
    from genexp.config.instantiate import build
    from genexp.training.quiet import quiet_lightning

    given = {
        "image_shape": list(images["content"].shape[1:]),
        "style_shape": list(images["style"].shape[1:]),
        "more_style_shapes": [list(images[f"style_{number}"].shape[1:]) for number in range(2, len(shares) + 1)],
        "style_shares": list(shares),
        "guided": "content_guides" in images,
    }
    model = build(OmegaConf.merge(config.model, given))
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
        try:
            trainer.fit(model, DataLoader([images] * config.steps, batch_size=None))
        except SystemExit as end:  # how Lightning ends at a Ctrl-C, without a word
            raise KeyboardInterrupt from end
    model.terms.flush()  # a non-finite loss ends here, not in a picture
    how = f"{model.steps['image']} steps, {model.evaluations} evaluations of the loss"
    return Painted(model.render(images).detach().cpu(), how)
