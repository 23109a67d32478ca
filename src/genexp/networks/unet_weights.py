"""Weights of our UNet from and to the names of diffusers' `UNet2DModel`, the layout of `google/ddpm-cifar10-32`."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_NAMES = [  # diffusers, ours; a group number stands for what both share
    (r"time_embedding.linear_1", "time.first"),
    (r"time_embedding.linear_2", "time.second"),
    (r"class_embedding", "label"),
    (r"conv_in", "stem"),
    (r"conv_norm_out", "norm"),
    (r"conv_out", "head"),
    (r"down_blocks.{n}", "down.{n}"),
    (r"up_blocks.{n}", "up.{n}"),
    (r"mid_block", "middle"),
]
_PARTS = [  # inside a level
    (r"resnets.{n}", "blocks.{n}"),
    (r"attentions.{n}", "attentions.{n}"),
    (r"downsamplers.0.conv", "resize.conv"),
    (r"upsamplers.0.conv", "resize.conv"),
]
