"""Two networks that map pictures and captions to vectors of one space, as one module: what is shipped of a CLIP."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from genexp.conditioning.kinds import Words
from genexp.networks.classifier import ConvClassifier
from genexp.networks.text_encoder import TextVector


class PicturesAndWords(nn.Module):
    """A `ConvClassifier` of pictures, a `TextVector` of captions and the logarithm of the scale of their cosines.

    Args:
        features: Length of the vectors.
        image: Further arguments of `ConvClassifier`.
        words: The words of captions.
        length: Words of the longest caption.
        text: Further arguments of `TextVector`.
    """

    def __init__(
        self, features: int, image: Mapping[str, Any], words: Sequence[str], length: int, text: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.words = Words(words, length)
        self.network = ConvClassifier(num_classes=features, **image)
        self.text = TextVector(features, self.words, **text)
        self.scale = nn.Parameter(torch.zeros(()))
