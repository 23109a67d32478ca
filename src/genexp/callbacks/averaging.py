"""Averaged weights: exponential moving averages over named sub-modules, counted in images."""

from collections.abc import Sequence
from functools import partial

from lightning import Callback, Trainer

from genexp.callbacks.tracked import Tracked, names_of
from genexp.callbacks.trainee import Trainee
from genexp.files.trees import State
from genexp.parameters import exchange, tensors_of


class Averaging(Callback):
    """Keep exponential moving averages of some sub-modules and use the first for validation and sampling.

    After an update, average <- decay * average + (1 - decay) * weights with decay = 2^(-images / half_life): the same
    memory in images at every batch size. Early on the half-life is at most `ramp_up` times the images seen, so the
    average forgets the initial weights (Karras et al., "Elucidating the Design Space of Diffusion-Based Generative
    Models", 2022). A sub-module is averaged only when its optimiser has stepped. Buffers are copied, not averaged.

    Args:
        half_life: Images after which a weight's influence has halved; several for as many averages side by side, each
            of which takes the memory of the weights once.
        ramp_up: Largest half-life as a share of the images seen, or None for no ramp.
        modules: Names of the sub-modules; by default those that the family declares in `averaged_modules`.

    Raises:
        ValueError: a half-life is not positive or there twice, or `ramp_up` is not positive.
    """

    def __init__(
        self,
        half_life: float | Sequence[float],
        ramp_up: float | None = 0.05,
        modules: Sequence[str] | None = None,
    ) -> None:
        self.half_life, self.ramp_up = half_life, ramp_up
        if not self.half_lives or not all(each > 0 for each in self.half_lives):
            raise ValueError(f"half_life must be a positive number of images, or several, got {half_life}")
        if len(set(self.half_lives)) < len(self.half_lives):
            raise ValueError(f"half_life must have every number once, got {half_life}")
        if ramp_up is not None and ramp_up <= 0:
            raise ValueError(f"ramp_up must be positive or null, got {ramp_up}")
        self.modules = None if modules is None else list(modules)
        self.tracked = [Tracked() for _ in self.half_lives]
        self._swapped = False

    @property
    def half_lives(self) -> list[float]:
        """One for every average."""
        return list(self.half_life) if isinstance(self.half_life, Sequence) else [self.half_life]

    # Training

    def on_fit_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Start from the current weights, unless a checkpoint has brought an average; forget those of other modules."""
        for each in self.tracked:
            each.begin(pl_module, names_of(pl_module, self.modules))

    def on_train_batch_end(self, trainer: Trainer, pl_module: Trainee, *_: object) -> None:
        """Fold the weights of every sub-module that has been updated into its averages."""
        names = names_of(pl_module, self.modules)
        for each, half_life in zip(self.tracked, self.half_lives, strict=True):
            each.follow(pl_module, names, partial(self._decay, half_life))

    def _decay(self, half_life: float, before: int, now: int) -> float:
        if self.ramp_up is not None:
            half_life = min(half_life, self.ramp_up * now)
        return 0.5 ** ((now - before) / half_life)

    # Use

    def on_validation_start(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Put the first average in place of the weights for as long as validation lasts."""
        if self.tracked[0].modules and not trainer.sanity_checking:
            self._swap(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: Trainee) -> None:
        """Put the weights back."""
        if self._swapped:
            self._swap(pl_module)

    def on_exception(self, trainer: Trainer, pl_module: Trainee, exception: BaseException) -> None:
        """Put the weights back when validation was interrupted."""
        if self._swapped:
            self._swap(pl_module)

    def _swap(self, pl_module: Trainee) -> None:
        for name, averages in self.tracked[0].modules.items():
            for key, tensor in tensors_of(pl_module.get_submodule(name)).items():
                exchange(tensor, averages[key])
        self._swapped = not self._swapped

    # Checkpoints

    def on_save_checkpoint(self, trainer: Trainer, pl_module: Trainee, checkpoint: State) -> None:
        """Store the averages beside the raw weights, one state dict a sub-module, under `averaged`.

        The first of several stands where one alone does.
        """
        if self._swapped:
            raise RuntimeError("a checkpoint must not be written while averaged weights are in place of the raw ones")
        first, *others = (each.state() for each in self.tracked)
        several = {"half_lives": [float(each) for each in self.half_lives], "others": others}
        checkpoint["averaged"] = first | (several if others else {})

    def on_load_checkpoint(self, trainer: Trainer, pl_module: Trainee, checkpoint: State) -> None:
        """Take up the averages of a checkpoint that has them, in their order; those beyond begin at the weights."""
        stored = checkpoint.get("averaged")
        if stored is not None:
            for each, state in zip(self.tracked, [stored, *stored.get("others", [])]):
                each.load(state)
