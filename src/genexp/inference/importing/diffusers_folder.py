"""A folder in the layout of diffusers' `DDPMPipeline`, read as what is typed after `genexp train`. Imports no torch."""

import re
from pathlib import Path
from typing import Any, cast

from typing_extensions import TypedDict

from genexp.files.json_records import read_json

WEIGHTS = "diffusion_pytorch_model.safetensors"
_PREDICTIONS = {"epsilon": "epsilon", "sample": "sample", "v_prediction": "velocity"}
_VARIANCES = {"fixed_small": "fixed_small", "fixed_small_log": "fixed_small", "fixed_large": "fixed_large"}
_NAMED = {"linear": "linear", "scaled_linear": "scaled_linear", "squaredcos_cap_v2": "cosine"}
_PIPELINES = ("DDPMPipeline", "DDIMPipeline")
LEAST = 20
"""Steps from which on variances on straight lines, as they are shipped, stay below 1."""


class Network(TypedDict, total=False):
    """What is read of `unet/config.json`: the file is a stranger's, and only values of these types become overrides."""

    sample_size: int
    in_channels: int
    block_out_channels: list[int]
    down_block_types: list[str]
    layers_per_block: int
    norm_num_groups: int
    dropout: float
    attention_head_dim: int | None
    num_class_embeds: int | None
    resnet_time_scale_shift: str
    downsample_type: str


class Scheduler(TypedDict, total=False):
    """What is read of `scheduler/scheduler_config.json`."""

    num_train_timesteps: int
    beta_start: float
    beta_end: float
    beta_schedule: str
    trained_betas: list[float] | None
    prediction_type: str
    variance_type: str
    clip_sample: bool
    clip_sample_range: float
    thresholding: bool
    rescale_betas_zero_snr: bool


class PipelineFolder:
    """The configurations of a pipeline that draws pixels by a `UNet2DModel`.

    Args:
        path: The folder.

    Raises:
        FileNotFoundError: there is no such folder, or it lacks a file; weights of a pickle are not read.
        ValueError: it is of another pipeline, or a file cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path).expanduser().resolve()
        if not self.path.is_dir():
            name = re.fullmatch(r"[\w.-]+/[\w.-]+", path)
            hint = f"; hf download {path} --local-dir <folder> fetches one of the hub" if name else ""
            raise FileNotFoundError(f"folder must be a folder that diffusers has saved, got {path}{hint}")
        kind = self._read("model_index.json", dict[str, Any]).get("_class_name")
        if kind not in _PIPELINES:
            raise ValueError(f"folder must be of {' or '.join(_PIPELINES)}, got {kind} in {self.path}")
        self.network = cast(Network, self._read("unet/config.json", Network))
        self.scheduler = cast(Scheduler, self._read("scheduler/scheduler_config.json", Scheduler))
        self.weights = self.path / "unet" / WEIGHTS
        if not self.weights.is_file():
            pickled = (
                ", and .bin files are not read: they are pickles" if any(self.weights.parent.glob("*.bin")) else ""
            )
            raise FileNotFoundError(f"folder must hold unet/{WEIGHTS}, got {self.path} without it{pickled}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels and sides of an image."""
        channels, size = self.network.get("in_channels", 3), self.network.get("sample_size")
        if size is None:
            raise ValueError(f"sample_size of unet/config.json must be a whole number, got {size}")
        return channels, size, size

    def overrides(self) -> list[str]:
        """What is typed after `genexp train` for the model.

        Raises:
            ValueError: something of it has no counterpart here; names diffusers' word.
        """
        return ["model=diffusion", *self._network(), *self._schedule()]

    def _network(self) -> list[str]:
        """The sizes of the network; what else it is, is compared when the weights are converted."""
        given, (_, size, _) = self.network, self.shape
        widths = given.get("block_out_channels", [224, 448, 672, 896])
        kinds = given.get("down_block_types", ["DownBlock2D", *["AttnDownBlock2D"] * 3])
        if any(width % widths[0] for width in widths):
            raise ValueError(f"block_out_channels must be multiples of the first, got {widths}")
        attended = [size // 2**i for i, kind in enumerate(kinds) if kind.startswith("Attn")]
        head, classes = given.get("attention_head_dim", 8), given.get("num_class_embeds")
        found = {
            "width": widths[0],
            "multipliers": [width // widths[0] for width in widths],
            "blocks": given.get("layers_per_block", 2),
            "attention": attended,
            "groups": given.get("norm_num_groups", 32),
            "dropout": given.get("dropout", 0.0),
        }
        typed = ["model/network=unet", *(f"model.network.{key}={_typed(value)}" for key, value in found.items())]
        further = {"head_channels": head}
        further |= {"scale_shift": given.get("resnet_time_scale_shift") == "scale_shift"}
        further |= {"residual_resize": given.get("downsample_type") == "resnet"}
        typed += [f"+model.network.{key}={_typed(value)}" for key, value in further.items() if value]
        return [*typed, f"model.num_classes={_typed(classes and classes - 1)}"]

    def _schedule(self) -> list[str]:
        given = self.scheduler
        for name in ("thresholding", "rescale_betas_zero_snr"):
            if given.get(name):
                raise ValueError(f"{name} of the scheduler must be false, got true")
        if given.get("clip_sample_range", 1.0) != 1.0:
            raise ValueError(f"clip_sample_range of the scheduler must be 1, got {given['clip_sample_range']}")
        prediction, variance = given.get("prediction_type", "epsilon"), given.get("variance_type", "fixed_small")
        for name, value, known in (("prediction", prediction, _PREDICTIONS), ("variance", variance, _VARIANCES)):
            if value not in known:
                raise ValueError(f"{name}_type of the scheduler must be one of {', '.join(known)}, got {value}")
        clip = _typed(bool(given.get("clip_sample", True)))
        told = [f"model/prediction={_PREDICTIONS[prediction]}", f"model.variance={_VARIANCES[variance]}"]
        return [*told, *self._betas(), f"sampler.clip={clip}"]

    def _betas(self) -> list[str]:
        """The schedule of the variances of steps."""
        given = self.scheduler
        if given.get("trained_betas") is not None:
            return _recognised(given["trained_betas"])
        kind, steps = given.get("beta_schedule", "linear"), given.get("num_train_timesteps", 1000)
        if kind not in _NAMED:
            raise ValueError(f"beta_schedule of the scheduler must be one of {', '.join(_NAMED)}, got {kind}")
        typed = [f"model/schedule={_NAMED[kind]}", f"model.schedule.steps={steps}"]
        if kind == "squaredcos_cap_v2":
            return typed
        ends = {"start": given.get("beta_start", 1e-4), "end": given.get("beta_end", 0.02)}
        return [*typed, *(f"model.schedule.{key}={value * steps / 1000!r}" for key, value in ends.items())]

    def _read(self, name: str, shape: object) -> dict[str, Any]:
        if not (self.path / name).is_file():
            raise FileNotFoundError(f"folder must hold {name}, as diffusers saves it, got {self.path} without it")
        return read_json(self.path / name, shape)


def _recognised(betas: list[float]) -> list[str]:
    """The shipped schedule of variances that are listed one by one, as genexp exports them.

    Raises:
        ValueError: they are of none.
    """
    import torch

    from genexp.diffusion.schedules import Cosine, Linear, ScaledLinear, Sigmoid

    listed = torch.tensor(betas, dtype=torch.float64)
    known = {"cosine": Cosine, "sigmoid": Sigmoid}
    known |= {"linear": Linear, "scaled_linear": ScaledLinear} if len(listed) > LEAST else {}
    for name, schedule in known.items():
        if torch.allclose(schedule(len(listed)).betas, listed, rtol=1e-6, atol=1e-9):
            return [f"model/schedule={name}", f"model.schedule.steps={len(listed)}"]
    raise ValueError(
        "trained_betas of the scheduler must be those of cosine, sigmoid, linear or scaled_linear, got others"
    )


def _typed(value: object) -> str:
    """A value as it is typed after a key."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value).replace(" ", "")
