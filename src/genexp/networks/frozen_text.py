"""Text encoders of transformers, frozen, from folders: CLIP's and T5's (the extra `hub`)."""

from typing import Annotated

import torch
from torch import Tensor, nn

from genexp.conditioning.tokenised import Tokenised
from genexp.networks.hub import FromFolder, Held, hub_network
from genexp.networks.tokens import Tokens
from genexp.on_disk import OnDisk, require_folder

KINDS = ("CLIPTextModel", "T5EncoderModel")


class FrozenText(FromFolder, nn.Module):
    """A text of tokens to a vector for every token, by a trained encoder that stays as it is, and a linear layer.

    Tokens after the one that ends a text are masked in the encoder and do not count, whatever stands there: texts may
    be filled up to any length. The vector of a text is linear in CLIP's own vector, that of the last token, or in the
    mean of T5's tokens. The encoder is no part of checkpoints; the linear layers are trained with the network.

    A `whole` text has nothing learned: tokens are those of the encoder, and all of them count, those after the end as
    well. Stable Diffusion's UNet attends to texts so.

    References: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision" (2021); Raffel
    et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer" (2020); Saharia et al.,
    "Photorealistic Text-to-Image Diffusion Models with Deep Language Understanding" (2022) for frozen encoders.

    Args:
        features: Size of a token and of the vector.
        text: The form of the texts, by the tokenizer that the encoder was trained with.
        folder: The encoder's folder: `config.json` of a `CLIPTextModel` or a `T5EncoderModel`, and safetensors.
        whole: Whether texts are such; `features` is the encoder's own size then.
        digest: Of the folder that is meant; None for the one that is there. A run's configuration has it.

    Raises:
        FileNotFoundError: there is no such folder, or it lacks a file.
        ValueError: it is of another network, or its words or places are fewer than those of the tokenizer.
    """

    library = "transformers"

    def __init__(
        self,
        features: int,
        text: Tokenised,
        folder: Annotated[str, OnDisk("folder")],
        whole: bool = False,
        digest: str | None = None,
    ) -> None:
        super().__init__()
        require_folder(folder, digest)
        network, self.digest = hub_network(folder, KINDS, "transformers", digest)
        self._encoder, self.text, config = Held(network), text, network.config
        self.whole, self.clip = whole, type(network).__name__ == KINDS[0]
        if config.vocab_size < len(text.tokenizer):
            raise ValueError(
                f"folder must be of an encoder of the {len(text.tokenizer):,} tokens of {text.folder}, got "
                f"{config.vocab_size:,} in {folder}"
            )
        if self.clip and config.max_position_embeddings < text.length:
            raise ValueError(
                f"folder must be of an encoder of the {text.length} tokens of a text, got "
                f"{config.max_position_embeddings} in {folder}"
            )
        size = config.hidden_size
        if whole and (features != size or getattr(config, "use_attention_mask", False)):
            given = f"tokens of size {size}" if features != size else "use_attention_mask"
            raise ValueError(f"folder must be of an encoder with tokens of size {features} and no mask, got {given}")
        self.tokens = None if whole else nn.Linear(size, features)
        self.vector = None if whole else nn.Linear(size, features)

    @property
    def encoder(self) -> nn.Module:
        """The encoder itself."""
        return self._encoder.network

    def forward(self, text: Tensor) -> Tokens:
        """Texts (B, length) int64 to tokens (B, length, features)."""
        if self.tokens is None or self.vector is None:
            rows = self._encoder(text).last_hidden_state
            return Tokens(rows, torch.ones_like(text, dtype=torch.bool), rows.new_zeros(len(rows), rows.shape[2]))
        counted = self.text.counted(text)
        there = counted[:, :, None]
        found = self._encoder(torch.where(counted, text, self.text.filler), attention_mask=counted.long())
        rows = found.last_hidden_state * there
        mean = rows.sum(1) / there.sum(1)
        return Tokens(self.tokens(rows) * there, counted, self.vector(found.pooler_output if self.clip else mean))
