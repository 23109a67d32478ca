"""What follows from a condition alone, computed once for all steps of a drawing."""

import torch
from torch import Tensor

from genexp.conditioning.base import Condition
from genexp.contracts.preparing import Encodes


class Remembered:
    """A network's encoding of its conditions, computed anew only where these are others than before.

    Conditions are compared by what they hold, so that it does not matter who put them together; of every size of a
    batch the last is kept, for guidance may call with one part of a condition and with several. The network's weights
    must stay as they are for as long as this lives. A graph that is traced has no values to compare: it encodes in
    every call.

    Args:
        network: The network.
    """

    def __init__(self, network: Encodes) -> None:
        self.network = network
        self._last: dict[int, tuple[list[Tensor], object]] = {}

    def __call__(self, condition: Condition) -> object:
        """What the network is given in the place of encoding the condition itself."""
        if torch.compiler.is_exporting():
            return self.network.encode(condition)
        rows = [condition[name] for name in self.network.attends]
        before, encoded = self._last.get(len(rows[0]), ([], None))
        if not before or not all(torch.equal(*pair) for pair in zip(before, rows, strict=True)):
            encoded = self.network.encode(condition)
            self._last[len(rows[0])] = rows, encoded
        return encoded
