"""Weights of files: as what a run begins with, and, published by others, as what restores pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from torch import nn, optim

from genexp.conditioning.degradations import Bicubic
from genexp.conditioning.degraded import Degraded
from genexp.conditioning.pictures import Picture
from genexp.families.restoration import Restoration
from genexp.families.transfer import transferred
from genexp.losses.picture_losses import Absolute
from genexp.networks.published_rrdb import published_rrdb
from genexp.networks.rrdb import Rrdb
from genexp.on_disk import OnDisk
from genexp.weights_files import checked_digest, existing, read_state


@dataclass(eq=False)
class PublishedWeights:
    """The weights of a file of ESRGAN's generator, with which `model.generator` begins; see `published_rrdb`.

    Args:
        weights: The file.
        digest: First digits, at least eight, that its SHA-256 must have, or None.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it holds something else.
        WrongDigest: it has another digest.
    """

    weights: Annotated[str, OnDisk("file")]
    digest: str | None = None

    def __post_init__(self) -> None:
        self._network, self._found = published_rrdb(self.weights, self.digest)

    def give(self, model: nn.Module) -> str:
        """Let a model's generator begin with the weights; says in a line what it took.

        Raises:
            ValueError: the generator is another network, or has other sizes.
        """
        generator = dict(model.named_children()).get("generator")
        if not isinstance(generator, Rrdb):
            found = type(generator or model).__name__
            raise ValueError(f"model.generator must be rrdb, of which weights are published, got {found}")
        ours, theirs = (f"x{each.scale}, {_told(each.sizes)}" for each in (generator, self._network))
        if ours != theirs:
            raise ValueError(f"model.generator must be as in {self.weights}, {theirs}, got {ours}")
        given = {f"generator.{name}": tensor for name, tensor in self._network.state_dict().items()}
        found = transferred(model, given, only=["generator"])
        return f"{self.weights}@{self._found[:12]}: {found.note()}"


@dataclass(eq=False)
class FileWeights:
    """The weights of a file, by the names of the model's own layers, with which a run of any family begins.

    `genexp export format=safetensors` writes such files. What the file has not, such as a critic, begins anew where
    `only` leaves it out.

    Args:
        weights: A state dict, `.safetensors`, `.pt` or `.pth`; none is unpickled.
        digest: First digits, at least eight, that its SHA-256 must have, or None.
        only: Layers of the new model that take over; None for those at the top that the file has anything of. A name
            stands for all below it, `*` for text.
        reset: Layers that begin anew.
        adapt_channels: Whether convolutions of grey pictures begin those of colours, and the other way.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it is damaged or holds something else.
        WrongDigest: it has another digest.
    """

    weights: Annotated[str, OnDisk("file")]
    digest: str | None = None
    only: Sequence[str] | None = None
    reset: Sequence[str] = ()
    adapt_channels: bool | None = None

    def __post_init__(self) -> None:
        path = existing(self.weights, "a state dict")
        self._found, self._state = checked_digest(path, self.digest), read_state(path)

    def give(self, model: nn.Module) -> str:
        """Let a model begin with the weights; says in a line what it took and what not.

        Raises:
            ValueError: the model has no such layers, or one is other than in the file and is not reset.
        """
        held = {name.split(".")[0] for name in self._state}
        only = self.only or [name for name, _ in model.named_children() if name in held] or None
        found = transferred(model, self._state, only, self.reset, bool(self.adapt_channels))
        return f"{self.weights}@{self._found[:12]}: {found.note()}"


def published_restoration(weights: str, digest: str | None = None) -> Restoration:
    """A model that restores pictures by the weights of a file, in evaluation mode; see `published_rrdb`.

    Its pictures are, as in the papers, bicubic reductions; at scale 1 what was taken away from them is not known.

    Raises:
        FileNotFoundError: there is no file.
        ValueError: it holds something else.
        WrongDigest: it has another digest.
    """
    network, _ = published_rrdb(weights, digest)
    side = 4 * network.scale
    shape = (network.conv_last.out_channels, side, side)
    whole = Picture(shape) if network.scale == 1 else Degraded(shape, Bicubic(network.scale), eight_bits=True)
    return Restoration(network, {"source": whole}, {"pixel": Absolute()}, partial(optim.Adam)).eval()


def _told(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name}={size}" for name, size in sizes.items())
