"""A folder in the layout of diffusers' `StableDiffusionPipeline`, read as what is typed after `genexp train`."""

from typing import TYPE_CHECKING, cast

from typing_extensions import TypedDict

from genexp.config.quoting import quoted
from genexp.extras import require_extra
from genexp.inference.importing.diffusers_folder import WEIGHTS
from genexp.inference.importing.pipelines import OpenedFolder

if TYPE_CHECKING:
    from genexp.families.diffusion import Diffusion

STABLE_DIFFUSION = "StableDiffusionPipeline"
_PARTS = ("vae", "text_encoder", "tokenizer", "unet", "scheduler")
_LEFT = ("safety_checker", "feature_extractor")
"""What judges finished pictures, and is left behind."""


class TextUNetConfig(TypedDict, total=False):
    """What is read of `unet/config.json` here; all else is diffusers' own affair."""

    sample_size: int
    in_channels: int
    out_channels: int


class AutoencoderConfig(TypedDict, total=False):
    """What is read of `vae/config.json` here."""

    in_channels: int
    latent_channels: int
    block_out_channels: list[int]


class StableDiffusionPipelineFolder:
    """The configurations of a pipeline that draws codes by a `UNet2DConditionModel` told by CLIP.

    Its networks are diffusers' and transformers' own, so that these must be installed.

    Args:
        opened: The folder.

    Raises:
        FileNotFoundError: it lacks a file.
        ValueError: the extra is not installed, a file cannot be read, or it has parts of other kinds.
    """

    def __init__(self, opened: OpenedFolder) -> None:
        self.opened, self.path = opened, opened.path
        for library in ("diffusers", "transformers"):
            require_extra(library, "folder")
        further = [
            name
            for name, value in opened.index.items()
            if isinstance(value, list) and name not in (*_PARTS, *_LEFT) and any(value)
        ]
        if further:
            raise ValueError(f"folder must be of a pipeline of {', '.join(_PARTS)}, got {further[0]} in {self.path}")
        self.network = cast(TextUNetConfig, opened.read("unet/config.json", TextUNetConfig))
        self.autoencoder = cast(AutoencoderConfig, opened.read("vae/config.json", AutoencoderConfig))
        codes, own = self.autoencoder.get("latent_channels", 4), self.network.get("in_channels", 4)
        if not codes == own == self.network.get("out_channels", 4):
            raise ValueError(
                f"in_channels and out_channels of unet/config.json must be the {codes} of codes, got {own}"
            )
        self.weights = self.path / "unet" / WEIGHTS

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels and sides of an image."""
        size = self.network.get("sample_size")
        if size is None:
            raise ValueError(f"sample_size of unet/config.json must be a whole number, got {size}")
        side = size * 2 ** (len(self.autoencoder.get("block_out_channels", [64])) - 1)
        return self.autoencoder.get("in_channels", 3), side, side

    def overrides(self) -> list[str]:
        """What is typed after `genexp train` for the model.

        Raises:
            ValueError: something of its scheduler has no counterpart here; names diffusers' word.
        """
        places = {
            "model.network.folder": "unet",
            "model.codec.folder": "vae",
            "model.conditions.caption.folder": "tokenizer",
            "model.network.attended.caption.folder": "text_encoder",
        }
        named = [f"{key}={quoted(self.path / name)}" for key, name in places.items()]
        return ["experiment=stable_diffusion/pipeline", *named, *self.opened.scheduler()]

    def fill(self, model: "Diffusion") -> None:
        """Give the weights to a model of these overrides.

        Raises:
            ValueError: a file cannot be read, or weights are missing or left over.
            FileNotFoundError: there are none but pickles.
        """
        from genexp.networks.diffusers_unet import KIND
        from genexp.networks.hub import hub_network

        network, _ = hub_network(str(self.weights.parent), (KIND,))
        model.network.unet.load_state_dict(network.state_dict())
