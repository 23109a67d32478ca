"""Published weights of ESRGAN's generator: read from a file of any of their three layouts, with the sizes it has."""

import re
from pathlib import Path

import torch
from torch import Tensor

from genexp.conditioning.pictures import Picture
from genexp.networks.rrdb import SHRUNK, Rrdb
from genexp.weights_files import checked_digest, existing, read_state

_KIND = "a state dict of RRDBNet (ESRGAN, Real-ESRGAN, BasicSR)"
_WITHIN = ("params_ema", "params")
_SCALES = {shrunk**2: scale for scale, shrunk in SHRUNK.items()}
_TRUNK = {"trunk_conv": "conv_body", "upconv1": "conv_up1", "upconv2": "conv_up2", "HRconv": "conv_hr"}
_NUMBERED = {"0": "conv_first", "3": "conv_up1", "6": "conv_up2", "8": "conv_hr", "10": "conv_last"}


def published_rrdb(path: str, digest: str | None = None) -> tuple[Rrdb, str]:
    """The network of a file of weights, in evaluation mode without gradients, and the SHA-256 of the file.

    Depth, width, growth, channels and scale are those that the tensors have. A file may hold the state dict alone or,
    as BasicSR saves it, under `params_ema` or `params`; layers may be named as in BasicSR, in the ESRGAN repository
    (`RRDB_trunk`), or numbered as in its first release (`model.1.sub`).

    Args:
        path: A `.pth`, `.pt` or `.safetensors` file.
        digest: First digits, at least eight, that its SHA-256 must have, or None.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it is damaged, or holds something else.
        WrongDigest: it has another digest.
    """
    file = existing(path, _KIND)
    found_digest = checked_digest(file, digest)
    state = named_today(read_state(file, _KIND, _WITHIN))
    network = _of_sizes(state, file)
    own = network.state_dict()
    missing, more = [name for name in own if name not in state], [name for name in state if name not in own]
    other = [name for name in own if name in state and state[name].shape != own[name].shape]
    for word, names in (("lacks", missing), ("has more:", more), ("has other sizes:", other)):
        if names:
            rest = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ValueError(f"weights must be {_KIND}: {file} {word} {names[0]}{rest}")
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    return network.eval().requires_grad_(False), found_digest


def named_today(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of any of the layouts with the names of BasicSR; what belongs to none keeps its name."""
    return {_renamed(name): tensor for name, tensor in state.items()}


def _renamed(name: str) -> str:
    layer, _, kind = name.rpartition(".")
    if inner := re.fullmatch(r"RRDB_trunk\.(\d+)\.RDB([123])\.(conv[1-5])", layer):
        return f"body.{inner[1]}.rdb{inner[2]}.{inner[3]}.{kind}"
    if inner := re.fullmatch(r"model\.1\.sub\.(\d+)\.RDB([123])\.(conv[1-5])\.0", layer):
        return f"body.{inner[1]}.rdb{inner[2]}.{inner[3]}.{kind}"
    if re.fullmatch(r"model\.1\.sub\.\d+", layer):
        return f"conv_body.{kind}"
    if (numbered := re.fullmatch(r"model\.(\d+)", layer)) and numbered[1] in _NUMBERED:
        return f"{_NUMBERED[numbered[1]]}.{kind}"
    return f"{_TRUNK.get(layer, layer)}.{kind}"


def _of_sizes(state: dict[str, Tensor], path: Path) -> Rrdb:
    """A network without weights whose sizes are those of the tensors.

    Raises:
        ValueError: they are of no such network.
    """
    telling = ("conv_first.weight", "conv_last.weight", "body.0.rdb1.conv1.weight")
    lacking = [name for name in telling if name not in state or state[name].ndim != 4]
    if lacking:
        raise ValueError(f"weights must be {_KIND}: {path} lacks {lacking[0]}")
    first, last, dense = (state[name] for name in telling)
    channels, folded = last.shape[0], first.shape[1] // max(last.shape[0], 1)
    if first.shape[1] != channels * folded or folded not in _SCALES:
        raise ValueError(
            f"weights must be {_KIND}: {path} makes {channels} channels of {first.shape[1]}, which is none of its "
            "scales"
        )
    blocks = [int(each[1]) for name in state if (each := re.match(r"body\.(\d+)\.", name))]
    scale, side = _SCALES[folded], 4
    with torch.device("meta"):
        return Rrdb(
            side * scale,
            channels,
            {"source": Picture((channels, side, side))},
            depth=len(set(blocks)),
            width=first.shape[0],
            growth=dense.shape[0],
        )
