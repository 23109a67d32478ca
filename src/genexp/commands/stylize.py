"""genexp stylize: paint one photograph in the style of another."""

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from genexp.runs.newest import newest_hint
from genexp.terminal import few_digits

if TYPE_CHECKING:
    from torch import Tensor

STRIDE = 8


def stylize(config: DictConfig) -> None:
    """Make the picture that `config` asks for, write it as PNG, and say where it is and how long it took.

    Raises:
        ValueError: an option is out of range, or a picture cannot be used.
        FileNotFoundError: a picture, a run or a file of weights does not exist.
    """
    files = required_pictures(config)

    from genexp.config.validation import require_options, require_valid

    require_options(config, "stylize")
    require_method(config)

    import torch

    from genexp.hardware import chosen_threads
    from genexp.tensors import to_uint8
    from genexp.tracking.journal import save_png

    torch.set_num_threads(chosen_threads(config.threads))
    require_valid(config, "stylize")
    out = _result_file(config.out, files)
    images = {
        "content": _read(files["content"], config.size),
        "style": _read(files["style"], config.style_size or config.size),
    }
    begun = time.monotonic()
    image, how = (_optimised if config.method == "gatys" else _mapped)(config, images)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_png(to_uint8(image[0]), out)
    _report(out, image, how, time.monotonic() - begun)


def required_pictures(config: DictConfig) -> dict[str, Path]:
    """The files of the two pictures by the keys that name them.

    Raises:
        ValueError: one is not named, or is no picture.
        FileNotFoundError: one does not exist.
    """
    for name in ("content", "style"):
        if OmegaConf.is_missing(config, name):
            raise ValueError(f"{name} must name a picture: genexp stylize content=a.jpg style=b.jpg")
    return {name: _picture_file(name, str(config[name])) for name in ("content", "style")}


def require_method(config: DictConfig) -> None:
    """Raise ValueError where the method lacks a run or a model, or has a key of the other one."""
    if config.method == "adain" and config.run is None:
        pictures = " ".join(f"{name}={shlex.quote(str(config[name]))}" for name in ("content", "style"))
        outputs = Path(config.paths.outputs).expanduser().resolve()
        hint = newest_hint(f"genexp stylize {pictures} method=adain", outputs, "adain")
        raise ValueError(f"run must name a run of model=adain for method=adain, got null; {hint}")
    if config.method == "gatys" and (config.run is not None or config.alpha is not None):
        raise ValueError("run and alpha belong to method=adain; for method=gatys change model.style_weight")
    if config.method == "gatys" and "image_shape" not in config.model:
        raise ValueError(f"model must be style for method=gatys, got {config.model['_target_']}")


def _picture_file(name: str, given: str) -> Path:
    """The file of a picture; the photographs that ship with scikit-learn are known by name."""
    from genexp.data.embedded import PHOTOGRAPHS, scikit_learn_file

    path = Path(given).expanduser()
    if path.exists() and not path.is_dir():  # what is no regular file is refused where it is opened
        return path
    if given in PHOTOGRAPHS:
        return scikit_learn_file("images", given)
    raise FileNotFoundError(f"{name} must be a picture file (or {' or '.join(PHOTOGRAPHS)}), got {given}")


def _result_file(given: str | None, files: dict[str, Path]) -> Path:
    out = Path(given or f"{files['content'].stem}_as_{files['style'].stem}.png").expanduser()
    if out.suffix.lower() != ".png":
        raise ValueError(f"out must end in .png, got {out}")
    for name, path in files.items():
        if out.resolve() == path.resolve():
            raise ValueError(f"out must not be the {name} picture itself, got {out}")
    return out


def _read(path: Path, size: int) -> "Tensor":
    """A picture as floats (1, 3, H, W) whose longer side is about `size`; both sides are multiples of the stride."""
    from PIL import Image

    from genexp.data.decoding import SEVERAL, open_picture
    from genexp.data.picture_files import first_frames
    from genexp.data.pictures import to_tensor, with_channels
    from genexp.tensors import to_float

    opened = open_picture(str(path))
    for line in first_frames([str(path)] if opened.info[SEVERAL] else []):
        print(line, file=sys.stderr)
    picture = with_channels(opened, 3)
    scale = size / max(picture.size)
    sides = [max(2, round(side * scale / STRIDE)) * STRIDE for side in picture.size]
    return to_float(to_tensor(picture.resize(sides, Image.Resampling.LANCZOS)))[None]


def _optimised(config: DictConfig, images: dict[str, Any]) -> tuple[Any, str]:
    """Optimise the pixels with the family that `train model=style` trains, on the one pair."""
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
    return model.render(images).detach().cpu(), how


def _mapped(config: DictConfig, images: dict[str, Any]) -> tuple[Any, str]:
    """One pass of a trained network."""
    import torch

    from genexp.hardware import device_of
    from genexp.inference.run import load_run

    model = load_run(config.run).model
    if not hasattr(model, "stylize"):
        raise ValueError(f"run must be a run of model=adain, got one of {type(model).__name__}")
    device = device_of(config.device)
    model, images = model.to(device), {name: image.to(device) for name, image in images.items()}
    alpha = model.alpha if config.alpha is None else config.alpha
    with torch.inference_mode():
        return model.stylize(images["content"], images["style"], alpha).cpu(), f"one pass, strength {few_digits(alpha)}"


def _report(out: Path, image: "Tensor", how: str, seconds: float) -> None:
    from genexp.terminal import duration, print_table, shown_path

    height, width = image.shape[-2:]
    print_table(
        [
            ("picture", shown_path(out)),
            ("pixels", f"{width} x {height}"),
            ("time", f"{duration(seconds)}, {how}"),
        ]
    )
