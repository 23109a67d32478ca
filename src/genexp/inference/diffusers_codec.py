"""An autoencoder of diffusers as a codec, from a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, cast

from torch import Tensor, nn

from genexp.inference.codes import FrozenCodec
from genexp.networks.hub import FromFolder, hub_network
from genexp.on_disk import OnDisk, require_folder


@dataclass(eq=False)
class DiffusersCodec(FromFolder, FrozenCodec):
    """The `AutoencoderKL` of a folder between images and codes (m - shift) scale, with m the mean of its posterior.

    The codes are those that diffusers' pipelines denoise; scale and shift are `scaling_factor` and `shift_factor` of
    its `config.json`. Its decoder looks at the whole image, so that tiles are blended.

    Reference: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022), section 3.

    Args:
        folder: The folder of the autoencoder: `config.json` and safetensors, `vae/` of a pipeline.
        image_shape: Shape (c, H, W) of the images, of any size that its factor divides.
        scale: Codes over latents, above 0; None for the one of its configuration.
        tile: Side in pixels of the parts in which images are decoded, see `in_tiles`; None for whole.
        digest: Of the folder that is meant; None for the one that is there. A run's configuration has it.

    Raises:
        FileNotFoundError: there is no such folder, or it lacks a file.
        ValueError: it is of another network, of images of other channels, or normalises every channel by itself; or an
            argument is out of range.
    """

    folder: Annotated[str, OnDisk("folder")]
    image_shape: Sequence[int]
    scale: float | None = None
    tile: int | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        require_folder(self.folder, self.digest)
        network, self.digest = hub_network(self.folder, ("AutoencoderKL",), digest=self.digest)
        settings = network.config
        for name in ("latents_mean", "latents_std"):
            if settings[name] is not None:
                raise ValueError(f"folder must be of an autoencoder with {name} null, got one with {settings[name]}")
        channels = {settings["in_channels"], settings["out_channels"]}
        if channels != {self.image_shape[0]}:
            given = f"in_channels {settings['in_channels']}, out_channels {settings['out_channels']}"
            raise ValueError(
                f"folder must be of an autoencoder of images of {self.image_shape[0]} channels, got {given}"
            )
        self.network, self.configured_scale = network, settings["scaling_factor"]
        scale = self.configured_scale if self.scale is None else self.scale
        self._begin(cast(nn.Module, _Maps(network)), scale, settings["shift_factor"] or 0.0)


class _Maps(nn.Module):
    """An `AutoencoderKL` as a `genexp.contracts.maps.MapCoder`."""

    reach = None

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.latent_maps = network.config["latent_channels"]
        self.factor = 2 ** (len(network.config["block_out_channels"]) - 1)

    def encode(self, image: Tensor) -> Tensor:
        return self.network.encode(image).latent_dist.mode()

    def decode(self, maps: Tensor) -> Tensor:
        return self.network.decode(maps).sample.clamp(-1, 1)
