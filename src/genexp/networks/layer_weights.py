"""How the layers of adversarial networks begin, and which norm their weights are under."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

STARTS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "normal": lambda weight, gain: nn.init.normal_(weight, 0.0, 0.02),
    "orthogonal": lambda weight, gain: nn.init.orthogonal_(weight),
    "xavier": nn.init.xavier_uniform_,
}
WEIGHT_NORMS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "none": lambda layer: layer,
    "spectral": spectral_norm,
    "weight": weight_norm,
}


class LayerWeights:
    """What a network does to each of its layers: initial weights, zero biases, then a norm that starts from these.

    References: Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks" (2014), for `orthogonal`; Glorot and Bengio, "Understanding the difficulty of training deep
    feedforward neural networks" (2010), for `xavier`; Miyato et al., "Spectral Normalization for Generative Adversarial
    Networks" (2018); Salimans and Kingma, "Weight Normalization" (2016).

    Args:
        init: `normal`, N(0, 0.02); `orthogonal`, a matrix (outputs, all the rest) of orthonormal rows or columns; or
            `xavier`, uniform of variance 2 gain^2 / (fan in + fan out).
        norm: `spectral`, that matrix by an estimate of its largest singular value, which a power iteration improves in
            every pass of training; `weight`, every output's weights are a learned length times a unit
            vector; or `none`.

    Raises:
        ValueError: `init` or `norm` is unknown.
    """

    def __init__(self, init: str = "normal", norm: str = "none") -> None:
        require_one_of("init", init, STARTS)
        require_one_of("weight_norm", norm, WEIGHT_NORMS)
        self._start, self._norm = STARTS[init], WEIGHT_NORMS[norm]

    def __call__(self, layer: nn.Module, gain: float = 1.0) -> nn.Module:
        """A convolution, linear layer or embedding, ready; `gain` is the factor of `xavier`, the others take none."""
        self._start(layer.weight, gain)
        if not isinstance(layer, nn.Embedding) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
        return self._norm(layer)


def require_one_of(name: str, value: str, known: object) -> None:
    """Raise ValueError unless the option `name` has a known value."""
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
