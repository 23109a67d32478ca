"""What Lightning does around every hook of a step, left out where nothing comes of it."""

from collections.abc import Iterable
from contextlib import nullcontext

from lightning import Callback
from lightning.pytorch.profilers import PassThroughProfiler

HOOKS_OF_A_STEP = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
"""Hooks of callbacks that Lightning calls at every batch."""


class NoProfile(PassThroughProfiler):
    """A profiler that measures nothing. Lightning enters it a hundred times a batch: always the same empty context."""

    _empty: nullcontext[None] = nullcontext()

    def profile(self, action_name: str) -> nullcontext[None]:
        """Nothing to enter or to leave."""
        return self._empty


def skip_empty_hooks(callbacks: Iterable[Callback]) -> None:
    """Mark the hooks of a step that callbacks of this package inherit and that do nothing: Lightning calls no None.

    Callbacks of anyone else stay as they are.
    """
    for callback in callbacks:
        kind = type(callback)
        if kind.__module__.partition(".")[0] != __name__.partition(".")[0]:
            continue
        for hook in HOOKS_OF_A_STEP:
            if getattr(kind, hook) is getattr(Callback, hook):
                setattr(callback, hook, None)
