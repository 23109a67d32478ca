"""What of a model is exported: one function of tensors, chosen by the contract that the model fulfils."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from genexp.conditioning.base import Conditioning, ConditionKind
from genexp.conditioning.kinds import Classes, Words
from genexp.contracts import Denoiser, LatentDecoder, LatentEncoder, Sampler, Stylizer
from genexp.contracts.blending import Blender
from genexp.contracts.generating import HasGenerator
from genexp.contracts.in_order import Autoregressive
from genexp.contracts.restoring import LocalNetwork
from genexp.inference.exporting.given_noise import CountedNoise, GivenNoise
from genexp.sampling.base import DiffusionSampler
from genexp.sampling.draw import told_by
from genexp.sampling.latent import LatentPrior

if TYPE_CHECKING:
    from genexp.families.base import Family
    from genexp.inference.run import Run

EXAMPLES = 3
"""Rows of the inputs that a graph is traced with; more than one, and no size that networks have."""


@dataclass(frozen=True)
class Input:
    """An input of a graph: an example (B, ...), what it means, and which of its axes may differ beside the batch.

    `free` says of which number the sides on such an axis must be multiples, by the axis.
    """

    example: Tensor
    meaning: str
    free: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """A function of named tensors with the batch on axis 0, whose one output is `output`."""

    part: str
    call: Callable[..., Tensor]
    inputs: dict[str, Input]
    output: str
    meaning: str

    @property
    def examples(self) -> tuple[Tensor, ...]:
        """The examples in the order of the inputs."""
        return tuple(each.example for each in self.inputs.values())


def graph_of(run: "Run", part: str | None = None, sampler: DictConfig | None = None) -> Graph:
    """What is exported of a run.

    Args:
        run: The run.
        part: One of `PARTS`; None for the first of them that the model has.
        sampler: Configuration of the sampler, for the part of that name.

    Raises:
        ValueError: the model has no such part.
    """
    model = run.model
    if part == "sampler":
        return _sampler(model, run, sampler)
    has = [name for name, (contract, _) in PARTS.items() if contract(model) is not None]
    if not has:
        raise ValueError(f"run must be of a model with a part to export, {', '.join(PARTS)}, got {_kind(model)}")
    name = has[0] if part is None else part
    if name not in has:
        raise ValueError(f"part must be {', '.join([*has, 'sampler'])} for a run of {_kind(model)}, got {name}")
    contract, build = PARTS[name]
    return build(contract(model), run)


def _kind(model: object) -> str:
    return type(model).__name__


def _with_conditions(conditioning: Conditioning, inputs: dict[str, Input]) -> dict[str, Input]:
    """Inputs with one more for every condition."""
    return inputs | {name: _condition(name, kind) for name, kind in conditioning.kinds.items()}


def _condition(name: str, kind: ConditionKind) -> Input:
    nothing, generator = kind.nothing(EXAMPLES, "cpu"), torch.Generator().manual_seed(1)
    if isinstance(kind, Classes):
        none = f"; {kind.num_classes} = none" if kind.left_out else ""
        return Input(torch.arange(EXAMPLES) % kind.num_classes, f"class from 0 to {kind.num_classes - 1}{none}")
    if isinstance(kind, Words):
        some = torch.randint(1, len(kind.words) + 1, nothing.shape, generator=generator)
        return Input(some, f"numbers from 1 of the words {', '.join(kind.words)}; 0 fills up")
    if nothing.is_floating_point():
        return Input(torch.rand(nothing.shape, generator=generator) * 2 - 1, f"condition {name}; zeros = none")
    return Input(nothing, f"condition {name}, as the run is told it")


def _normal(*shape: int) -> Tensor:
    return torch.randn(EXAMPLES, *shape, generator=torch.Generator().manual_seed(0))


def _pictures(*shape: int) -> Tensor:
    return torch.rand(EXAMPLES, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def _decoder(model: LatentDecoder, run: "Run") -> Graph:
    names = model.conditioning.names
    normal = model.standard_normal if isinstance(model, LatentPrior) else True
    law = "standard normal noise" if normal else "a latent of the model's own prior, which is not N(0, I)"
    inputs = _with_conditions(model.conditioning, {"latent": Input(_normal(*model.latent_shape), law)})
    return Graph("decoder", lambda latent, *told: model.decode(latent, dict(zip(names, told))), inputs, "image", _IMAGE)


def _encoder(model: LatentEncoder, run: "Run") -> Graph:
    names = model.conditioning.names
    shape = _decoder(model, run).call(*_decoder(model, run).examples).shape[1:]
    inputs = _with_conditions(model.conditioning, {"image": Input(_pictures(*shape), _IMAGE)})
    return Graph(
        "encoder", lambda image, *told: model.encode(image, dict(zip(names, told))), inputs, "latent", "its latent"
    )


def _denoiser(model: Denoiser, run: "Run") -> Graph:
    names, schedule = model.conditioning.names, model.schedule
    kind = torch.int64 if schedule.discrete else torch.float32
    times = schedule.times(torch.linspace(0.1, 0.9, EXAMPLES)).to(kind)
    until = f"time from {schedule.first:g} to {schedule.last:g}" + (", whole numbers" if schedule.discrete else "")
    inputs = {
        "x_t": Input(_normal(*model.image_shape), "alpha(t) x + sigma(t) noise, of images or codes x"),
        "t": Input(times, until),
    }
    return Graph(
        "denoiser",
        lambda x_t, t, *told: model(x_t, t, dict(zip(names, told))),
        _with_conditions(model.conditioning, inputs),
        "x_0",
        "the posterior mean of x, not clipped",
    )


def _stylizer(model: Stylizer, run: "Run") -> Graph:
    side = int(run.config.data.image_size)
    content = Input(_pictures(3, side, side), "picture, values from -1 to 1")
    if isinstance(model, Blender) and not model.any_style:
        return Graph("stylizer", lambda picture: model.stylize(picture, picture, 1.0), {"content": content}, *_PICTURE)
    inputs = {"content": content, "style": Input(_pictures(3, side, side).flip(0), "picture of the style")}
    alpha = model.alpha if isinstance(model, Blender) else 1.0
    return Graph("stylizer", lambda content, style: model.stylize(content, style, alpha), inputs, *_PICTURE)


def _restorer(model: HasGenerator, run: "Run") -> Graph:
    """A network of pictures of any size."""
    network, (kind,) = model.generator, model.conditioning.pictures.values()
    fixed = network.enlarges_first
    free = {} if fixed else {2: network.multiple, 3: network.multiple}
    meaning = "of the size of training, as it is enlarged first" if fixed else f"sides multiples of {network.multiple}"
    picture = Input(_pictures(*kind.row), f"picture, {meaning}", free)
    return Graph("restorer", lambda picture: network.restored(picture).clamp(-1, 1), {"picture": picture}, *_PICTURE)


_IMAGE = "values from -1 to 1"
_PICTURE = ("image", _IMAGE)


def _sampler(model: "Family", run: "Run", node: DictConfig) -> Graph:
    """The whole way from noise to images: every step of a sampler, one after the other."""
    from genexp.config.instantiate import build

    source, sampler = model.source(), build(node)
    if not isinstance(sampler, Sampler):
        raise ValueError(f"part must not be sampler for {type(sampler).__name__}, which grows no images from noise")
    try:
        sampler.require(source)
    except TypeError as error:
        raise ValueError(f"sampler must fit the run: {error}") from error
    if isinstance(source, Autoregressive):
        rule = "part must not be sampler for a model of one value after the other"
        raise ValueError(f"{rule}, whose network stands in a graph once for each of {source.evaluations:,} evaluations")
    if isinstance(sampler, DiffusionSampler):  # numbers of a grid, which no graph can compute
        if sampler.precision != "32-true":
            raise ValueError(
                f"sampler.precision must be 32-true in a file, got {sampler.precision}: no file has autocast"
            )
        levels = sampler.levels(source.schedule)
        sampler.levels = lambda schedule: levels
    conditioning = told_by(sampler, source, source.conditioning)
    counted = CountedNoise(EXAMPLES)
    inputs = {"noise": Input(sampler.start(source, counted), "standard normal noise that images grow from")}
    counted.shapes.clear()
    inputs = _with_conditions(conditioning, inputs)
    names = conditioning.names
    if run.trained:  # the steps are walked once, to count what they draw
        with torch.no_grad():
            told = dict(zip(names, (inputs[name].example for name in names)))
            sampler.run(source, inputs["noise"].example, counted, told)
    if counted.shapes:
        inputs["fresh"] = Input(counted.all_drawn(), "standard normal noise of the steps, in their order on axis 1")

    def draw(noise: Tensor, *others: Tensor) -> Tensor:
        told = dict(zip(names, others))
        return sampler.run(source, noise, GivenNoise(others[-1] if counted.shapes else None), told)

    return Graph("sampler", draw, inputs, "image", f"{_IMAGE}, not clipped")


def _decodes(model: "Family") -> object | None:
    source = model.source()
    return source if isinstance(source, LatentDecoder) else None


def _encodes(model: "Family") -> object | None:
    source = model.source()
    return source if isinstance(source, LatentEncoder) else None


def _denoises(model: "Family") -> object | None:
    source = model.source()
    return source if isinstance(source, Denoiser) else None


def _stylizes(model: "Family") -> object | None:
    return model if isinstance(model, Stylizer) else None


def _restores(model: "Family") -> object | None:
    generator = model.generator if isinstance(model, HasGenerator) else None
    alone = isinstance(generator, nn.Module) and isinstance(generator, LocalNetwork)
    return model if alone and len(model.conditioning.pictures) == 1 else None


PARTS: dict[str, tuple[Callable[["Family"], object | None], Callable[..., Graph]]] = {
    "restorer": (_restores, _restorer),
    "decoder": (_decodes, _decoder),
    "denoiser": (_denoises, _denoiser),
    "stylizer": (_stylizes, _stylizer),
    "encoder": (_encodes, _encoder),
}
"""Parts by name: what has it of a model, or None, and the graph of that."""
