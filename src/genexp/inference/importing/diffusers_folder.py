"""A folder in the layout of diffusers' `DDPMPipeline`, read as what is typed after `genexp train`. Imports no torch."""

from typing import TYPE_CHECKING, cast

from typing_extensions import TypedDict

from genexp.inference.importing.pipelines import OpenedFolder

if TYPE_CHECKING:
    from genexp.families.diffusion import Diffusion

WEIGHTS = "diffusion_pytorch_model.safetensors"
PIPELINES = ("DDPMPipeline", "DDIMPipeline")


class UNetConfig(TypedDict, total=False):
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


class PipelineFolder:
    """The configurations of a pipeline that draws pixels by a `UNet2DModel`.

    Args:
        opened: The folder.

    Raises:
        FileNotFoundError: it lacks a file; weights of a pickle are not read.
        ValueError: a file cannot be read.
    """

    def __init__(self, opened: OpenedFolder) -> None:
        self.opened, self.path = opened, opened.path
        self.network = cast(UNetConfig, opened.read("unet/config.json", UNetConfig))
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
        return ["model=diffusion", *self._network(), *self.opened.scheduler()]

    def fill(self, model: "Diffusion") -> None:
        """Give the weights, converted, to a model of these overrides.

        Raises:
            ValueError: the network computes something that ours does not, or a weight is missing.
        """
        from genexp.networks.unet_weights import from_diffusers
        from genexp.weights_files import read_state

        model.network.load_state_dict(from_diffusers(read_state(self.weights), self.network, model.network))

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


def _typed(value: object) -> str:
    """A value as it is typed after a key."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value).replace(" ", "")
