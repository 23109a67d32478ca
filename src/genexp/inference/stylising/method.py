"""What a method of `genexp stylize` is, and which keys of the command belong to it. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from omegaconf import DictConfig, OmegaConf

from genexp.config.compose import conf_dir, several

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class StylePicture:
    """A style picture as a method is given it.

    Attributes:
        image: (1, 3, h, w) in [-1, 1].
        weight: How much of it, where there are several; they sum to 1.
        mask: Where the content is painted so, (1, 1, H, W) in [0, 1] of the content's size; None for everywhere.
    """

    image: "Tensor"
    weight: float = 1.0
    mask: "Tensor | None" = None


@dataclass(frozen=True)
class Painted:
    """A painted picture.

    Attributes:
        image: (1, 3, H, W) in [-1, 1], on the CPU.
        how: What was done, in words for a person.
    """

    image: "Tensor"
    how: str


class Painter(Protocol):
    """A method made ready: its networks are there, and it paints one picture after the other."""

    def __call__(self, content: "Tensor | None", styles: Sequence[StylePicture]) -> Painted:
        """The content (1, 3, H, W) in [-1, 1], sides multiples of 8, in the styles; None for a texture alone."""
        ...


class Method(Protocol):
    """A way to paint.

    Attributes:
        options: Keys of the command that it reads and some other method does not: `style_weights` where it blends
            several styles, `masks` where each may have a region.
        wants_content: Whether it paints a content; else it makes a texture of the style alone.
        wants_style: Whether it is given styles; else its network has one.
        tells_progress: Whether it shows how far it is with a picture.
    """

    options: frozenset[str]
    wants_content: bool
    wants_style: bool
    tells_progress: bool

    def require(self, config: DictConfig) -> None:
        """Raise ValueError where a run or a model does not go with the method; without torch, before any work."""
        ...

    def painter(self, config: DictConfig) -> Painter:
        """Build what paints.

        Raises:
            ValueError: a run is of another family, or an option does not fit it.
        """
        ...


def require_own_options(config: DictConfig, methods: Mapping[str, Method]) -> None:
    """Raise ValueError where a key was set that belongs to other methods, or a picture lacks that the method wants.

    Args:
        config: The configuration of the command.
        methods: All methods by name.
    """
    name = str(config.method)
    method = methods[name]
    for key in sorted(frozenset().union(*(each.options for each in methods.values())) - method.options):
        if is_given(config, key):
            owners = " and ".join(f"method={other}" for other in methods if key in methods[other].options)
            raise ValueError(f"{key} belongs to {owners}, got {config[key]} with method={name}")
    for key, wanted in (("content", method.wants_content), ("style", method.wants_style)):
        if wanted and config[key] is None:
            what = "a picture" if key == "style" else "a picture or a folder of them"
            raise ValueError(f"{key} must name {what} for method={name}: genexp stylize content=a.jpg style=b.jpg")
        if not wanted and config[key] is not None:
            raise ValueError(f"{key} must be null for method={name}, which reads none, got {config[key]}")
    _require_styles(config, method)


def _require_styles(config: DictConfig, method: Method) -> None:
    count = len(several(config.style)) if method.wants_style else 0
    if method.wants_style and not count:
        raise ValueError(f"style must name at least one picture for method={config.method}, got {config.style}")
    if count > 1 and "style_weights" not in method.options:
        raise ValueError(f"style must be one picture for method={config.method}, got {count}")
    if config.colours != "style" and not method.wants_content:
        raise ValueError(f"colours must be style for method={config.method}, without content, got {config.colours}")
    if config.colours == "matched" and not count:
        raise ValueError(f"colours must be style or luminance for method={config.method}, without style, got matched")
    for key, what in (("style_weights", "number"), ("masks", "picture")):
        if config[key] is not None and len(several(config[key])) != count:
            given = several(config[key])
            raise ValueError(f"{key} must have one {what} for each of {count} styles, got {len(given)}")


def is_given(config: DictConfig, key: str) -> bool:
    """Whether a key of the command was set to something else than what conf/stylize.yaml says."""
    return _raw(config).get(key) != _shipped().get(key)


@cache
def _shipped() -> Mapping[str, Any]:
    return _raw(OmegaConf.load(conf_dir() / "stylize.yaml"))


def _raw(config: object) -> Mapping[str, Any]:
    return {key: value for key, value in OmegaConf.to_container(config, resolve=False).items() if key != "defaults"}
