"""Which direction of a value is better, where a run's files do not say so themselves."""

from collections.abc import Callable

METRICS = {
    "authenticity": "reference",
    "cas": "higher",
    "classifier_score": "higher",
    "clip_score": "higher",
    "coverage": "higher",
    "ct": "reference",
    "density": "higher",
    "fd": "lower",
    "fid": "lower",
    "kid": "lower",
    "lpips": "lower",
    "lpips_diversity": "higher",
    "mode_kl": "lower",
    "mode_quality": "higher",
    "modes": "higher",
    "ms_ssim": "lower",
    "nearest_ratio": "reference",
    "perceptual": "lower",
    "perceptual_diversity": "higher",
    "precision": "higher",
    "psnr": "higher",
    "recall": "higher",
    "spectrum": "lower",
    "ssim": "higher",
    "vendi": "reference",
}
"""`lower`, `higher`, or `reference`: then the value of real images is the aim.

For runs from before `evaluations.jsonl`, where every value says this itself: metrics of today are not added here.
"""

WORDS = {
    "bits_per_dim": "bits a dimension",
    "cas": "classification accuracy score",
    "classifier_score": "classifier score",
    "clip_score": "CLIP score",
    "content_distance": "distance from the content",
    "elbo": "evidence lower bound",
    "fd": "Fréchet distance",
    "fid": "Fréchet Inception distance",
    "kid": "kernel distance",
    "kl": "KL divergence from the prior",
    "lpips": "perceptual distance LPIPS",
    "mode_kl": "KL divergence over modes",
    "mode_quality": "share of points near a mode",
    "modes": "modes hit",
    "recognised": "share recognised as their class",
    "reconstruction": "reconstruction term",
    "sampling_seconds": "sampling time of an image",
    "style_distance": "distance from the style",
    "vendi": "Vendi score",
}
"""What a value is called where a metric's or term's own name says too little."""

FURTHER = {"content_distance": "lower", "sampling_seconds": "lower", "style_distance": "lower"}
"""Values that `genexp evaluate` leaves without a metric of `conf/metrics`."""

_TERMS = {
    "accuracy": "higher",
    "bits_per_dim": "lower",
    "content_distance": "lower",
    "elbo": "higher",
    "loss": "lower",
    "style_distance": "lower",
}
_MODES = {"min": "lower", "max": "higher"}


def metric_name(key: str) -> str:
    """The metric of a value's key: `fd` of `fd/inception@6726825d`; a term such as `val/loss` names itself."""
    return key if key.startswith(("val/", "train/", "test/")) else key.split("/", 1)[0]


def direction(key: str, recorded: str | None, monitors: dict[str, str]) -> str | None:
    """Which direction of a value is better.

    Args:
        key: The value's key.
        recorded: What an evaluation wrote beside the value.
        monitors: Monitored values with `min` or `max`, as configured.

    Returns:
        `lower`, `higher`, `reference` (the value of real images is the aim), or None where nothing says it.
    """
    if recorded is not None:
        return recorded
    name = metric_name(key)
    for monitored in (key, name):
        if monitors.get(monitored) in _MODES:
            return _MODES[monitors[monitored]]
    return (METRICS | FURTHER).get(name) or (_TERMS.get(name.rsplit("/", 1)[-1]) if name == key else None)


def badness(better: str | None, floors: tuple[float, float] | None) -> Callable[[float], float] | None:
    """A function that is smallest at the best value, or None where no direction is known.

    Args:
        better: `lower`, `higher`, `reference` or None.
        floors: Smallest and largest value of real images, whose middle is the aim of `reference`; or None.
    """
    if better == "reference" and floors:
        aim = sum(floors) / 2
        return lambda value: abs(value - aim)
    return {"lower": lambda value: value, "higher": lambda value: -value}.get(better)
