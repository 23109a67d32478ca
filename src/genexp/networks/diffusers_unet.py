"""The UNet of diffusers that attends to texts, as a network of diffusion (the extra `hub`)."""

from typing import Annotated

from torch import Tensor, nn

from genexp.conditioning.base import UNCONDITIONAL, Condition
from genexp.files.trees import Tree
from genexp.networks.classes import ToldBy
from genexp.networks.hub import class_of, config_of
from genexp.networks.tokens import Tokens, together
from genexp.on_disk import OnDisk, require_folder

KIND = "UNet2DConditionModel"
_NULL = ("class_embed_type", "addition_embed_type", "encoder_hid_dim", "encoder_hid_dim_type", "num_class_embeds")
_NULL += ("time_cond_proj_dim",)
"""Settings by which a UNet is told more than a text."""


class DiffusersUNet(nn.Module):
    """A `UNet2DConditionModel` of the sizes that a folder says, with weights that are random until others are given.

    Its weights belong to the run, whose checkpoints have them; the folder's `config.json` alone is read.

    Reference: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models" (2022).

    Args:
        folder: The folder of the network, `unet/` of a pipeline.
        attended: Builds, from the size of a token, a module that maps a condition to `Tokens`; by the condition's name.

    Raises:
        FileNotFoundError: there is no such folder, or it has no `config.json`.
        ValueError: it is of another network, or of one that is told more than texts; or nothing is attended to.
    """

    def __init__(
        self,
        folder: Annotated[str, OnDisk("folder")],
        attended: ToldBy,
    ) -> None:
        super().__init__()
        require_folder(folder)
        _, config = config_of(folder, (KIND,))
        if not attended:
            raise ValueError("attended must hold a condition, for the network attends to texts, got none")
        told = [name for name in _NULL if config.get(name) is not None]
        if told:
            raise ValueError(f"folder must be of a UNet that is told texts alone, got {told[0]} {config[told[0]]}")
        size = config.get("cross_attention_dim", 1280)
        if isinstance(size, bool) or not isinstance(size, int):
            raise ValueError(f"folder must be of a UNet with one cross_attention_dim, got {size}")
        self.unet = _built(config, folder)
        self.attended = nn.ModuleDict({name: build(size) for name, build in attended.items()})

    @property
    def attends(self) -> tuple[str, ...]:
        """Names of the conditions that it attends to."""
        return tuple(self.attended)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the conditions it reads."""
        return self.attends

    def encode(self, condition: Condition) -> Tokens:
        """What the network attends to under a condition."""
        return together([module(condition[name]) for name, module in self.attended.items()])

    def forward(
        self, x_t: Tensor, t: Tensor, condition: Condition = UNCONDITIONAL, encoded: Tokens | None = None
    ) -> Tensor:
        """Its output (B, C, H, W) for noisy samples (B, C, H, W), times (B,) and a condition.

        Args:
            x_t: Noisy samples.
            t: Times.
            condition: What it reads.
            encoded: What `encode` has made of the condition, where that is known.
        """
        texts = self.encode(condition) if encoded is None else encoded
        mask = None if bool(texts.counted.all()) else texts.counted
        rows = texts.rows.to(x_t.dtype)
        return self.unet(x_t, t, encoder_hidden_states=rows, encoder_attention_mask=mask).sample


def _built(config: Tree, folder: str) -> nn.Module:
    try:
        return class_of(KIND, "diffusers").from_config(config)
    except Exception as error:  # whatever the library raises of a stranger's settings
        line = " ".join(str(error).split())[:200]
        raise ValueError(f"folder must have settings that make a {KIND}, got {folder}: {line}") from error
