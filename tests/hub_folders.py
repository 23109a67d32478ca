"""Tiny networks of random weights, as diffusers and transformers save them in folders."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel


def shaken(network):
    """The network with no weight at the value that it begins with, where many are zero or one."""
    with torch.no_grad():
        for each in network.parameters():
            each.add_(0.05 * torch.randn(each.shape))
    return network.eval()


def autoencoder(folder=None, **changed):
    """An autoencoder of factor 2; it is saved where a folder is named."""
    torch.manual_seed(1)
    sizes = {
        "block_out_channels": (8, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "norm_num_groups": 4,
        "latent_channels": 3,
        "sample_size": 16,
    }
    network = shaken(AutoencoderKL(**{**sizes, **changed}))
    if folder is not None:
        network.save_pretrained(folder)
    return network


LETTERS = "abcdefghijklmnopqrstuvwxyz"
LONGEST = 80
"""Tokens of the longest text of the tiny tokenizer."""


def tokenizer(folder):
    """A tokenizer like CLIP's, of letters and a few syllables."""
    parts = [*LETTERS, *(f"{each}</w>" for each in LETTERS)]
    merges = ["r e", "re d</w>", "c i", "o n</w>", "a t</w>"]
    parts += [each.replace(" ", "") for each in merges] + ["<|startoftext|>", "<|endoftext|>"]
    Path(folder).mkdir(parents=True)
    (Path(folder) / "vocab.json").write_text(json.dumps({part: place for place, part in enumerate(parts)}))
    (Path(folder) / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    files = (str(Path(folder) / name) for name in ("vocab.json", "merges.txt"))
    found = CLIPTokenizer(*files, model_max_length=LONGEST)
    found.save_pretrained(folder)
    return found


def clip_text(folder, tokens, **changed):
    """A text encoder like CLIP's of so many tokens."""
    torch.manual_seed(2)
    sizes = {
        "vocab_size": tokens,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": LONGEST,
        "eos_token_id": tokens - 1,
        "bos_token_id": tokens - 2,
        "pad_token_id": tokens - 1,
    }
    network = shaken(CLIPTextModel(CLIPTextConfig(**{**sizes, **changed})))
    network.save_pretrained(folder)
    return network


def t5_text(folder, tokens):
    """A text encoder like T5's of so many tokens."""
    torch.manual_seed(3)
    sizes = {"vocab_size": tokens, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    network = shaken(T5EncoderModel(T5Config(**sizes)))
    network.save_pretrained(folder)
    return network


def stable_diffusion(folder="theirs", scheduler=None, **changed):
    """A pipeline in the layout of Stable Diffusion, of images of 16 pixels, with networks of random weights."""
    tokens = tokenizer(Path(folder) / "made/tokens")
    text = clip_text(Path(folder) / "made/text", len(tokens))
    torch.manual_seed(4)
    sizes = {
        "sample_size": 8,
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 2,
        "cross_attention_dim": 16,
    }
    network = shaken(UNet2DConditionModel(**{**sizes, **changed}))
    published = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    scheduler = scheduler or PNDMScheduler(**published, skip_prk_steps=True, steps_offset=1)
    parts = {"unet": network, "vae": autoencoder(), "text_encoder": text, "tokenizer": tokens, "scheduler": scheduler}
    left = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipeline = StableDiffusionPipeline(**parts, **left)
    pipeline.save_pretrained(folder)
    shutil.rmtree(Path(folder) / "made")
    return pipeline
