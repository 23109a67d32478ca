"""The module of Lightning that a family is, whose notes of the hook at work cost nothing."""

from lightning import LightningModule


class NotedModule(LightningModule):
    """Lightning notes the hook at work in an attribute of the module, some thirty times a batch.

    PyTorch looks at all that is set on a module, whether it is a parameter, a buffer or a module; a name is none.
    """

    def __setattr__(self, name: str, value: object) -> None:
        """As for every module, but for that one name."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)
