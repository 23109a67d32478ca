"""Tiny networks of random weights, as diffusers and transformers save them in folders."""

import torch
from diffusers import AutoencoderKL


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
