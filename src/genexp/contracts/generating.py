"""The interface of models whose images one network makes."""

from typing import Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class HasGenerator(Protocol):
    """A model whose images a generator makes."""

    @property
    def generator(self) -> nn.Module: ...
