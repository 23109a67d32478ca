"""What a network adds to that of the run it began with, trained alone."""

from torch import nn

from genexp.families.base import Family
from genexp.families.transfer import BeginsAsCopy


class Additions:
    """Trains those parts of what is averaged (of a diffusion its network) that begin as copies of others.

    Such are words that are new to a trained encoder (textual inversion) or a control. All else of the network stays as
    it is; other players train as ever.
    """

    def adapt(self, model: Family) -> list[str]:
        """Names of the parameters that stand still from now on.

        Raises:
            ValueError: the model has no such part.
        """
        moving = {id(p) for part in _parts(model).values() for p in part.parameters()}
        if not moving:
            raise ValueError(
                "adapters must have parts to train that begin as copies, such as new words or a control, got none"
            )
        inside = {id(p) for name in model.averaged_modules for p in model.get_submodule(name).parameters()}
        return [name for name, p in model.named_parameters() if id(p) in inside and id(p) not in moving]

    def note(self, model: Family) -> str:
        """What is trained, for a person."""
        parts = _parts(model)
        count = sum(p.numel() for part in parts.values() for p in part.parameters())
        return f"{count:,} numbers of {', '.join(parts)}; all else of {', '.join(model.averaged_modules)} stays"


def _parts(model: Family) -> dict[str, nn.Module]:
    """The parts by their names in the model."""
    return {
        f"{player}.{name}": part
        for player in model.averaged_modules
        for name, part in model.get_submodule(player).named_modules()
        if isinstance(part, BeginsAsCopy)
    }
