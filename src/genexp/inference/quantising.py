"""Matrices of weights in 8 bits, by torchao."""

import logging
import warnings
from typing import TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)


@torch.no_grad()
def quantised(model: Model, how: str) -> Model:
    """A model whose generating parts have linear layers in int8, in place.

    Every row of a matrix has its own scale, so that its largest value is 127. Convolutions, norms, embeddings and
    biases stay as they are, and so do parts that only training needs.

    Reference: Dettmers et al., "LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale" (2022), section 2,
    for scales by rows of weights and of activations.

    Args:
        model: A family in evaluation mode.
        how: `int8_weight_only`, or `int8_dynamic`, which brings the rows of activations to 8 bits in every call too.

    Raises:
        ValueError: it has no linear layer.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig, quantize_

    makes = {"int8_weight_only": Int8WeightOnlyConfig, "int8_dynamic": Int8DynamicActivationInt8WeightConfig}
    parts = [model.get_submodule(name) for name in model.averaged_modules]
    layers = [each for part in parts for each in part.modules() if type(each) is nn.Linear]
    if not layers:
        raise ValueError(
            f"weights must be without +{how} for a model without linear layers, got {type(model).__name__} of "
            f"{', '.join(model.averaged_modules)}"
        )
    for part in parts:
        quantize_(part, makes[how]())
    return model
