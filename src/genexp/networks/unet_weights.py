"""Weights of `UNet` from and to diffusers' `UNet2DModel`, whose layout published checkpoints such as
`google/ddpm-cifar10-32` have.

The two are one function if the model has positional time embeddings with `flip_sin_to_cos` false and `freq_shift` 1,
`downsample_padding` 0, `norm_eps` 1e-6, and attention wherever ours has it.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

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


def from_diffusers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of our `UNet` that computes what a `UNet2DModel` with these weights computes.

    Raises:
        ValueError: a name belongs to no part of the network, as with another architecture.
    """
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


def to_diffusers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a `UNet2DModel` that computes what our `UNet` with these weights computes.

    Raises:
        ValueError: a name belongs to no part of the network.
    """
    theirs: dict[str, Tensor] = {}
    for name, value in weights.items():
        name = _renamed(name, 1, 0)
        if _JOINED in name:
            for part, share in zip(_SEPARATE, value.chunk(3), strict=True):
                theirs[name.replace(_JOINED, part)] = share
        else:
            theirs[name] = value
    return theirs


def _renamed(name: str, source: int, target: int) -> str:
    for pair in _NAMES:
        pattern = re.escape(pair[source]).replace(r"\#", r"(\d+)")
        renamed, found = re.subn(f"^{pattern}", pair[target].replace("#", r"\1"), name)
        if found:
            for part in _PARTS:
                renamed = renamed.replace(part[source], part[target])
            return renamed
    raise ValueError(f"weights must have the names of a UNet with time embedding, got {name!r}")
