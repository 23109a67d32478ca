"""Image-generation experiments with PyTorch Lightning, Hydra and Weights & Biases."""

from typing import Any

__all__ = ["load_run"]


def __dir__() -> list[str]:
    """What the module has, and what it imports at first use."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Import lazily: `import genexp` costs nothing until something is used."""
    if name == "load_run":
        from genexp.inference.run import load_run

        return load_run
    raise AttributeError(f"module 'genexp' has no attribute {name!r}")
