"""A run opened for what its configuration tells alone: the model as it was before training, in no time."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from genexp.inference.run import Run, drawn_from

if TYPE_CHECKING:
    from genexp.families.base import Family


@dataclass(frozen=True)
class Untrained(Run):
    """A run of which the checkpoint is not read: what fits its model can be asked, and nothing drawn."""

    trained: ClassVar[bool] = False

    @cached_property
    def model(self) -> "Family":
        """The family as its configuration builds it, with weights that nobody filled."""
        from genexp.config.instantiate import build
        from genexp.config.trial import on_trial

        with on_trial():
            return build(drawn_from(self.config.model)).eval().requires_grad_(False)


def untrained(run: Run) -> Untrained:
    """The same run without its weights."""
    return Untrained(run.folder, run.weights, run.checkpoint, run.stands_in, run.trusted)
