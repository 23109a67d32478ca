"""An adversarial game looked into: how far the critic overfits, how steep the players are, and what they see."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from lightning import Callback, Trainer
from torch import Tensor, nn

from genexp.adversarial.weight_penalties import matrices
from genexp.callbacks.cadence import publish
from genexp.callbacks.trainee import PictureLogger, Trainee
from genexp.conditioning.base import UNCONDITIONAL, Condition, Conditioning
from genexp.contracts import Batch
from genexp.figures.game import level_sets, score_histograms
from genexp.figures.samples import Figure
from genexp.tensors import Grid, IndexedNoise, Plane

if TYPE_CHECKING:
    from genexp.data.datamodule import ImageData
    from genexp.data.source import Split

_SEED = 0x5741_5443
SIDE = 60
"""Points a side at which level sets of a critic are read."""


@runtime_checkable
class Game(Protocol):
    """A generator and a critic that are trained against each other."""

    generator: nn.Module
    critic: nn.Module
    conditioning: Conditioning

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one latent."""
        ...

    def scores(self, image: Tensor, condition: Condition = UNCONDITIONAL, latent: Tensor | None = None) -> Tensor:
        """Scores (B,) of images (B, ...) as they are, which a generator may have made of latents."""
        ...


class WatchGame(Callback):
    """At every evaluation: norms, the gap between training and held-out images, and pictures of what the players do.

    Values: `game/critic/gradient_norm` and `game/generator/gradient_norm` of the last step of each player, over all
    parameters; `game/critic/singular_value` and `game/generator/singular_value`, the largest of any weight matrix;
    `game/gap`, how much higher the critic scores training than held-out images: far above 0 it knows its data by heart.
    Pictures: `scores`, histograms of the scores of training, held-out and generated images; `level_sets` of the
    critic for points of the plane; `nearest`, generated images each with the training images next to it, pixel by
    pixel. Averaged weights are in place, those of the generator. Everything is on rank zero alone.

    Args:
        num: Images of each kind that are scored.
        rows: Generated images shown with their neighbours; 0 for no such picture.
        neighbours: Training images beside each of them.
        seed: Seed of the latents.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(self, num: int = 500, rows: int = 8, neighbours: int = 7, seed: int = 0) -> None:
        for name, value, least in (("num", num, 1), ("rows", rows, 0), ("neighbours", neighbours, 1)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        self.num, self.rows, self.neighbours, self.seed = num, rows, neighbours, seed

    def on_fit_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Refuse models that are no game.

        Raises:
            TypeError: there are no generator and critic.
        """
        if not isinstance(pl_module, Game):
            raise TypeError(f"callbacks.game watches a generator and a critic, got {type(pl_module).__name__}")

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Measure, draw, and hand both to the loggers."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        data, seen = trainer.datamodule, pl_module.images_seen
        scores = self._scores(pl_module, data)
        gap = float(scores["training images"].mean() - scores["held-out images"].mean())
        publish(trainer, seen, {"game/gap": gap, **norms("critic", pl_module.critic)})
        publish(trainer, seen, norms("generator", pl_module.generator))
        for key, picture in self._pictures(pl_module, data, scores).items():
            for logger in trainer.loggers:
                if isinstance(logger, PictureLogger):
                    logger.log_picture(key, picture, step=seen, caption=f"{seen} images seen, seed {self.seed}")

    def _scores(self, model: Game, data: "ImageData") -> dict[str, Tensor]:
        """Scores (N,) of training, held-out and generated images, seen as they are."""
        real, held_out = (some_of(data, split, self.num, model.device) for split in ("train", "val"))
        fake, told, latent = self._made(model, real, self.num)
        kinds = {"training images": real, "held-out images": held_out}
        scores = {name: model.scores(b["image"], model.conditioning.told(b)) for name, b in kinds.items()}
        return scores | {"generated images": model.scores(fake, told, latent)}

    def _made(self, model: Game, real: Batch, num: int) -> tuple[Tensor, Condition, Tensor]:
        """Images of latents of their own under the conditions of real ones, these, and the latents."""
        told = {name: rows[:num] for name, rows in model.conditioning.told(real).items()}
        count = min(num, len(real["image"]))
        latent = IndexedNoise(self.seed, range(count), model.device).normal(*model.latent_shape)
        return model.generator(latent, told), told, latent

    def _pictures(self, model: Game, data: "ImageData", scores: dict[str, Tensor]) -> dict[str, Grid | Figure]:
        found: dict[str, Grid | Figure] = {
            "scores": Figure(lambda: score_histograms({k: v.tolist() for k, v in scores.items()}))
        }
        plane = data.plane()
        if plane is not None:
            if not model.conditioning.names:
                found["level_sets"] = self._levels(model, plane)
        elif self.rows:
            found["nearest"] = self._nearest(model, data)
        return found

    def _levels(self, model: Game, plane: Plane) -> Figure:
        """Scores on a square of the plane, with the data and generated points on it."""
        line = torch.linspace(-plane.reach, plane.reach, SIDE, device=model.device)
        at = torch.cartesian_prod(line, line)
        score = model.scores(at).reshape(SIDE, SIDE).T.tolist()  # rows upwards
        noise = IndexedNoise(self.seed, range(self.num), model.device).normal(*model.latent_shape)
        fake = model.generator(noise).tolist()
        real = [] if plane.target is None else plane.target[: self.num].tolist()
        return Figure(lambda: level_sets(score, plane.reach, real, fake))

    def _nearest(self, model: Game, data: "ImageData") -> Grid:
        fake, *_ = self._made(model, some_of(data, "train", self.rows, model.device), self.rows)
        best = torch.full((len(fake), 0), 0.0, device=model.device)
        images = fake[:, None][:, :0]
        for batch in data.training_images():
            real = batch["image"].to(model.device)
            distance = torch.cdist(fake.flatten(1).float(), real.flatten(1).float())
            joined = torch.cat([best, distance], 1)
            kept = joined.topk(min(self.neighbours, joined.shape[1]), largest=False).indices
            every = [torch.cat([images[i], real])[kept[i]] for i in range(len(fake))]
            best, images = joined.gather(1, kept), torch.stack(every)
        shown = torch.cat([fake[:, None], images.to(fake.dtype)], 1)
        across = ("generated", *(str(n + 1) for n in range(images.shape[1])))
        return Grid(shown.flatten(0, 1), columns=shown.shape[1], across=across)


def some_of(data: "ImageData", split: "Split", num: int, device: torch.device) -> Batch:
    """At most `num` examples of a split, always the same, from all over it: folders hold one class after the other."""
    size = data.drawn_size(split)
    rows = torch.randperm(size, generator=torch.Generator().manual_seed(_SEED))[:num].sort().values
    return {name: values.to(device) for name, values in data.examples(split, rows).items()}


def norms(player: str, network: nn.Module) -> dict[str, float]:
    """Norm of the gradients that the last step left, and the largest singular value of any weight matrix."""
    gradients = [p.grad.float().norm() for p in network.parameters() if p.grad is not None]
    found = {f"game/{player}/gradient_norm": float(torch.stack(gradients).norm())} if gradients else {}
    if weights := matrices(network):
        found[f"game/{player}/singular_value"] = max(float(torch.linalg.matrix_norm(m.float(), 2)) for m in weights)
    return found
