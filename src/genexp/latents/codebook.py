"""Vector quantisation: a codebook that follows what an encoder gives, without gradients."""

import torch
from torch import Tensor, distributed
from torch.nn.functional import one_hot

from genexp.latents.quantised import Assigned, Quantiser, straight_through

EPSILON = 1e-5
"""Of Laplace smoothing: what every code counts more than it was used."""


class Codebook(Quantiser):
    r"""Every place takes the code whose vector is nearest; vectors are moving means of what takes them.

    After a step with n_k features z of code k over all processes: N_k <- d N_k + (1 - d) n_k, m_k <- d m_k + (1 - d)
    sum z, and e_k = m_k / N'_k with N'_k = (N_k + eps) / (N + K eps) N, N = sum N_k. Before the first step all codes
    are unused. Unused codes begin anew at features of the batch, drawn at random without repetition: those whose N_k
    has fallen below `restart` times the mean. The features' own pull to their vectors is `commitment` in a family's
    loss.

    References: van den Oord, Vinyals and Kavukcuoglu, "Neural Discrete Representation Learning" (2017), section 3.2 and
    appendix A.1; Razavi, van den Oord and Vinyals, "Generating Diverse High-Fidelity Images with VQ-VAE-2" (2019); for
    restarts Dhariwal et al., "Jukebox: A Generative Model for Music" (2020), section 3.1.

    Args:
        codes: Number K of codes.
        size: Numbers D of a vector.
        decay: d, the share of the past that stays at every step, in [0, 1).
        restart: Share of the mean use below which a code begins anew, in [0, 1); null for never.

    Raises:
        ValueError: an argument is out of range.
    """

    commits = True

    def __init__(self, codes: int, size: int = 64, decay: float = 0.99, restart: float | None = 0.03) -> None:
        super().__init__(codes, size)
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in [0, 1), got {decay}")
        if restart is not None and not 0 <= restart < 1:
            raise ValueError(f"restart must lie in [0, 1), or be null for never, got {restart}")
        self.decay, self.restart = decay, restart
        self.register_buffer("vectors", torch.randn(codes, size))
        self.register_buffer("count", torch.zeros(codes))
        self.register_buffer("total", torch.zeros(codes, size))

    def forward(self, features: Tensor) -> Assigned:
        """The nearest codes of features (B, D, h, w), in float32."""
        z = features.float()
        rows = z.detach().movedim(1, -1)
        code = (self.vectors.square().sum(1) - 2 * rows @ self.vectors.T).argmin(-1)
        embedded = self.embed(code)
        return Assigned(code, straight_through(z, embedded), (z - embedded).square().flatten(1).sum(1))

    def embed(self, code: Tensor) -> Tensor:
        """The vectors of codes (B, h, w): (B, D, h, w)."""
        return self.vectors[code].movedim(-1, 1)

    @torch.no_grad()
    def learn(self, features: Tensor, code: Tensor, key: Tensor) -> None:
        """Move the vectors by the features of a batch and let unused codes begin anew."""
        rows = features.float().movedim(1, -1).flatten(0, -2)
        taken = one_hot(code.flatten(), self.codes).to(rows.dtype)
        count, total = _summed(taken.sum(0)), _summed(taken.T @ rows)
        begun, mean = self.count.sum() > 0, count.mean()  # asked on the device, which is not waited for
        self.count.copy_(torch.where(begun, self.count.lerp(count, 1 - self.decay), mean))
        self.total.copy_(torch.where(begun, self.total.lerp(total, 1 - self.decay), mean * self.vectors))
        unused = ~begun | (self.count < (self.restart or 0) * self.count.mean())
        self._begin_anew(unused, rows, key.flatten())
        everything = self.count.sum()
        smoothed = (self.count + EPSILON) / (everything + self.codes * EPSILON) * everything
        self.vectors.copy_(self.total / smoothed[:, None])

    def _begin_anew(self, unused: Tensor, rows: Tensor, key: Tensor) -> None:
        """Put features with the largest keys in place of unused codes, as if each had been used as the mean code is."""
        chosen = key.topk(min(self.codes, len(key))).indices
        key, rows = _gathered(key[chosen]), _gathered(rows[chosen])
        rows = rows[key.topk(min(self.codes, len(key))).indices]
        place = unused.cumsum(0) - 1
        renewed = unused & (place < len(rows))
        vectors, mean = rows[place.clamp(0, len(rows) - 1)], self.count.mean()
        self.total.copy_(torch.where(renewed[:, None], mean * vectors, self.total))
        self.count.copy_(torch.where(renewed, mean, self.count))


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _summed(values: Tensor) -> Tensor:
    """The sum over all processes."""
    if _several():
        distributed.all_reduce(values)
    return values


def _gathered(values: Tensor) -> Tensor:
    """The rows of all processes, one process after the other; each has equally many."""
    if not _several():
        return values
    parts = [torch.empty_like(values) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, values.contiguous())
    return torch.cat(parts)
