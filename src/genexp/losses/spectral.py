"""The largest singular values of a network's layers, as a loss."""

import torch
from torch import Tensor, nn


class SpectralPenalty(nn.Module):
    """sum over layers of u^T W v, the largest singular value of each weight by power iteration, in full precision.

    Every training step turns the vectors u and v of every layer once by its weight, which is a matrix of as many rows
    as the layer has outputs; the gradient is that of the singular value where they have settled.

    References: Yoshida and Miyato, "Spectral Norm Regularization for Improving the Generalizability of Deep Learning"
    (2017); Vahdat and Kautz, "NVAE: A Deep Hierarchical Variational Autoencoder" (2020), section 3.2.

    Args:
        network: Whose convolutions and linear layers it is of.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
        self._weights = [layer.weight for layer in layers]
        for number, weight in enumerate(self._weights):
            matrix = weight.flatten(1)
            for name, size in (("u", matrix.shape[0]), ("v", matrix.shape[1])):
                self.register_buffer(f"{name}{number}", nn.functional.normalize(torch.ones(size), dim=0))

    @torch.no_grad()
    def turn(self) -> None:
        """One step of power iteration in every layer."""
        for number, weight in enumerate(self._weights):
            matrix, u, v = weight.flatten(1), self.get_buffer(f"u{number}"), self.get_buffer(f"v{number}")
            with torch.autocast(weight.device.type, enabled=False):
                v.copy_(nn.functional.normalize(matrix.T @ u, dim=0))
                u.copy_(nn.functional.normalize(matrix @ v, dim=0))

    def forward(self) -> Tensor:
        """The sum, a scalar."""
        found = []
        for number, weight in enumerate(self._weights):
            with torch.autocast(weight.device.type, enabled=False):
                found.append(self.get_buffer(f"u{number}") @ weight.flatten(1) @ self.get_buffer(f"v{number}"))
        return torch.stack(found).sum()
