"""Weights of `UNet` from and to diffusers' `UNet2DModel`, whose layout published checkpoints such as
`google/ddpm-cifar10-32` have.

Weights alone do not say what they compute: numbers of heads and of normalisation groups, paddings and the order of the
time embedding leave no trace in them. So both directions take or give the model's configuration (`config.json`), and
refuse one that is another function.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genexp.files.trees import Tree
from genexp.networks.attention import PixelAttention
from genexp.networks.blocks import ResidualBlock
from genexp.networks.unet import UNet

_FIXED = {  # what every twin has, whatever its sizes
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "freq_shift": 1,
    "flip_sin_to_cos": False,
    "mid_block_type": "UNetMidBlock2D",
    "mid_block_scale_factor": 1,
    "downsample_padding": 0,
    "act_fn": "silu",
    "norm_eps": 1e-6,
    "add_attention": True,
    "class_embed_type": None,
}
_DEFAULTS = {  # of `UNet2DModel`, where they differ from the above or depend on sizes; a published file may lack a key
    "in_channels": 3,
    "out_channels": 3,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [224, 448, 672, 896],
    "layers_per_block": 2,
    "downsample_padding": 1,
    "downsample_type": "conv",
    "upsample_type": "conv",
    "resnet_time_scale_shift": "default",
    "dropout": 0.0,
    "attention_head_dim": 8,
    "attn_norm_num_groups": None,
    "norm_num_groups": 32,
    "norm_eps": 1e-5,
    "num_class_embeds": None,
}
_WITHOUT_EFFECT = ("sample_size", "num_train_timesteps", "dropout")
"""Arguments that do not change what a trained model computes."""

_NAMES = (  # diffusers' name, ours; # stands for a number that both share
    ("time_embedding.linear_1.", "time.first."),
    ("time_embedding.linear_2.", "time.second."),
    ("class_embedding.", "label."),
    ("conv_in.", "stem."),
    ("conv_norm_out.", "norm."),
    ("conv_out.", "head."),
    ("down_blocks.#.downsamplers.0.", "down.#.resize."),
    ("up_blocks.#.upsamplers.0.", "up.#.resize."),
    ("down_blocks.#.", "down.#."),
    ("up_blocks.#.", "up.#."),
    ("mid_block.", "middle."),
)
_PARTS = (
    (".resnets.", ".blocks."),
    (".time_emb_proj.", ".embedding."),
    (".conv_shortcut.", ".shortcut."),
    (".group_norm.", ".norm."),
    (".to_out.0.", ".project_out."),
)
_JOINED, _SEPARATE = ".project_in.", (".to_q.", ".to_k.", ".to_v.")


def diffusers_config(network: UNet) -> Tree:
    """The arguments of the `UNet2DModel` that computes what the network computes.

    Raises:
        ValueError: there is none: the layers of a `UNet2DModel` share one number of normalisation groups and one number
            of channels a head.
    """
    widths = [level.blocks[0].conv1.out_channels for level in network.down]
    attended = [isinstance(level.attentions[0], PixelAttention) for level in network.down]
    layers = [module for module in network.modules() if isinstance(module, PixelAttention)]
    groups = {module.num_groups for module in network.modules() if isinstance(module, nn.GroupNorm)}
    sizes = {layer.norm.num_channels // layer.heads for layer in layers}
    scales = network.middle.blocks[0].scale_shift
    residual = isinstance(network.down[0].resize, ResidualBlock)
    resizing, plain = ("resnet", "Resnet{}sampleBlock2D") if residual else ("conv", "{}Block2D")
    one_head = all(layer.heads == 1 for layer in layers)
    if len(groups) > 1:
        raise ValueError(
            f"groups must be one number in all layers of a UNet2DModel, got {', '.join(map(str, sorted(groups)))}; "
            f"with groups={min(groups)} they are"
        )
    for name, more in (("told", network.told), ("beside", network.beside)):
        if more:
            raise ValueError(f"{name} must be empty, for a UNet2DModel is told classes alone, got {', '.join(more)}")
    if len(sizes) > 1 and not one_head:
        raise ValueError(f"heads must have one number of channels in a UNet2DModel, got {sorted(sizes)}")
    return {
        **_FIXED,
        "in_channels": network.stem.in_channels,
        "out_channels": network.head.out_channels,
        "block_out_channels": widths,
        "layers_per_block": len(network.down[0].blocks),
        "down_block_types": ["AttnDownBlock2D" if each else plain.format("Down") for each in attended],
        "up_block_types": ["AttnUpBlock2D" if each else plain.format("Up") for each in reversed(attended)],
        "downsample_type": resizing,
        "upsample_type": resizing,
        "resnet_time_scale_shift": "scale_shift" if scales else "default",
        "attn_norm_num_groups": min(groups) if scales else None,  # a scaling one has none by default
        "attention_head_dim": None if one_head else sizes.pop(),
        "norm_num_groups": groups.pop(),
        "dropout": network.middle.blocks[0].dropout.p,
        "num_class_embeds": None if network.label is None else network.label.num_embeddings,
    }


def from_diffusers(weights: Mapping[str, Tensor], config: Mapping[str, Any], network: UNet) -> dict[str, Tensor]:
    """The state dict with which `network` computes what a `UNet2DModel` of this configuration and weights computes.

    Args:
        weights: State dict of the `UNet2DModel`.
        config: Its configuration: `model.config`, or the content of its `config.json`.
        network: The network that is to take the weights; it is not changed.

    Raises:
        ValueError: the network computes another function, or a weight belongs to no part of it.
    """
    _require_equal(config, diffusers_config(network))
    ours: dict[str, Tensor] = {}
    for name, value in weights.items():
        query, key, content = _SEPARATE
        if key in name or content in name:
            continue
        if query in name:
            value = torch.cat([weights[name.replace(query, part)] for part in _SEPARATE])
            name = name.replace(query, _JOINED)
        ours[_renamed(name, 0, 1)] = value
    return ours


def to_diffusers(network: UNet) -> tuple[Tree, dict[str, Tensor]]:
    """Arguments and state dict of the `UNet2DModel` that computes what the network computes.

    Raises:
        ValueError: there is none.
    """
    theirs: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        name = _renamed(name, 1, 0)
        if _JOINED in name:
            for part, share in zip(_SEPARATE, value.chunk(3), strict=True):
                theirs[name.replace(_JOINED, part)] = share
        else:
            theirs[name] = value
    return diffusers_config(network), theirs


def _require_equal(config: Mapping[str, Any], twin: Tree) -> None:
    given = {**_FIXED, **_DEFAULTS, **{key: value for key, value in config.items() if not key.startswith("_")}}
    unknown = sorted(set(given) - set(twin) - set(_WITHOUT_EFFECT))
    if unknown:
        raise ValueError(f"config must hold arguments of UNet2DModel, got {', '.join(unknown)}")
    given["attention_head_dim"] = _head_size(given, twin)
    if given["resnet_time_scale_shift"] == "default" and given["attn_norm_num_groups"] == given["norm_num_groups"]:
        given["attn_norm_num_groups"] = None
    different = [key for key in twin if key not in _WITHOUT_EFFECT and _plain(given[key]) != _plain(twin[key])]
    if different:
        listed = ", ".join(f"{key} {_plain(given[key])} (the UNet: {_plain(twin[key])})" for key in different)
        raise ValueError(f"config must be of a UNet2DModel that computes what the UNet computes, got {listed}")


def _head_size(given: Tree, twin: Tree) -> int | None:
    """Channels a head; None where that is all channels of every layer with attention, which null says in short."""
    size, widths, kinds = given["attention_head_dim"], given["block_out_channels"], given["down_block_types"]
    attended = {widths[-1], *(width for width, kind in zip(widths, kinds, strict=False) if "Attn" in kind)}
    return None if attended == {size} and twin["attention_head_dim"] is None else size


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _renamed(name: str, source: int, target: int) -> str:
    for pair in _NAMES:
        pattern = re.escape(pair[source]).replace(r"\#", r"(\d+)")
        renamed, found = re.subn(f"^{pattern}", pair[target].replace("#", r"\1"), name)
        if found:
            for part in _PARTS:
                renamed = renamed.replace(part[source], part[target])
            return renamed
    raise ValueError(f"weights must have the names of a UNet with time embedding, got {name!r}")
