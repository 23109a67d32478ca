"""The generator of a finished run, whose weights are mixed with those of another."""

from dataclasses import dataclass

from genexp.contracts.generating import HasGenerator
from genexp.inference.run import Run
from genexp.inference.trained import TrainedPart


@dataclass(eq=False)
class TrainedOther(TrainedPart):
    """The generator of a finished run of any family that has one: a GAN, a restoration."""

    def _begin(self, opened: Run) -> None:
        self.generator = self._source(HasGenerator, "a model with a generator").generator
