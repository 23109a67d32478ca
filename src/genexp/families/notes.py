"""The module of Lightning that a family is: its notes of the hook at work cost nothing, and it keeps its gradients."""

from lightning import LightningModule


class NotedModule(LightningModule):
    """Lightning notes the hook at work in an attribute of the module, some thirty times a batch.

    PyTorch looks at all that is set on a module, whether it is a parameter, a buffer or a module; a name is none. And
    it drops all gradients before an evaluation, which then could not say how large those of the last steps were.
    """

    def on_validation_model_zero_grad(self) -> None:
        """Leave the gradients of the last steps where they are; every step begins with its own."""

    def __setattr__(self, name: str, value: object) -> None:
        """As for every module, but for that one name."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)
