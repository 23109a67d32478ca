"""A scheduler of diffusers, read as what is typed after `genexp train`. Imports no torch."""

from typing_extensions import TypedDict


class Scheduler(TypedDict, total=False):
    """What is read of `scheduler/scheduler_config.json`; a further key is refused."""

    num_train_timesteps: int
    beta_start: float
    beta_end: float
    beta_schedule: str
    trained_betas: list[float] | None
    prediction_type: str
    variance_type: str
    clip_sample: bool
    clip_sample_range: float
    thresholding: bool
    dynamic_thresholding_ratio: float
    sample_max_value: float
    rescale_betas_zero_snr: bool
    timestep_spacing: str
    steps_offset: int
    set_alpha_to_one: bool
    skip_prk_steps: bool


SCHEDULERS = ("DDPMScheduler", "DDIMScheduler", "PNDMScheduler")
_PREDICTIONS = {"epsilon": "epsilon", "sample": "sample", "v_prediction": "velocity"}
_VARIANCES = {"fixed_small": "fixed_small", "fixed_small_log": "fixed_small", "fixed_large": "fixed_large"}
_NAMED = {"linear": "linear", "scaled_linear": "scaled_linear", "squaredcos_cap_v2": "cosine"}
_SPACINGS = ("leading", "trailing", "linspace")
LEAST = 20
"""Steps from which on variances on straight lines, as they are shipped, stay below 1."""


def overrides_of_scheduler(given: Scheduler, kind: object) -> list[str]:
    """The schedule, the prediction, the variance, and the times and the clipping of the sampler.

    Thresholds count where there is thresholding alone, an offset with the spacing `leading`, and `skip_prk_steps` is of
    the solver, which is our sampler's business: these change nothing.

    Args:
        given: Its configuration.
        kind: The name of its class.

    Raises:
        ValueError: something of it has no counterpart here; names diffusers' word.
    """
    strange = [key for key in given if key not in Scheduler.__annotations__ and not key.startswith("_")]
    if kind not in SCHEDULERS or strange:
        told = f"keys of these, got {strange[0]}" if kind in SCHEDULERS else f"a known one, got {kind}"
        raise ValueError(f"scheduler must be one of {', '.join(SCHEDULERS)} with {told}")
    for name in ("thresholding", "rescale_betas_zero_snr"):
        if given.get(name):
            raise ValueError(f"{name} of the scheduler must be false, got true")
    if given.get("clip_sample_range", 1.0) != 1.0:
        raise ValueError(f"clip_sample_range of the scheduler must be 1, got {given['clip_sample_range']}")
    prediction, variance = given.get("prediction_type", "epsilon"), given.get("variance_type", "fixed_small")
    for name, value, known in (("prediction", prediction, _PREDICTIONS), ("variance", variance, _VARIANCES)):
        if value not in known:
            raise ValueError(f"{name}_type of the scheduler must be one of {', '.join(known)}, got {value}")
    clip = given.get("clip_sample", kind != "PNDMScheduler")
    told = [f"model/prediction={_PREDICTIONS[prediction]}", f"model.variance={_VARIANCES[variance]}"]
    return [*told, *_betas(given), f"sampler.clip={str(clip).lower()}", f"sampler.spacing={_spacing(given, kind)}"]


def _spacing(given: Scheduler, kind: object) -> str:
    """At which times it draws, and whether the last step leaves the noise of the first time."""
    spacing = given.get("timestep_spacing", "leading")
    if spacing not in _SPACINGS:
        raise ValueError(f"timestep_spacing of the scheduler must be one of {', '.join(_SPACINGS)}, got {spacing}")
    clean = kind == "DDPMScheduler" or given.get("set_alpha_to_one", kind == "DDIMScheduler")
    if spacing == "leading":
        return f"{{leading:{given.get('steps_offset', 0)},end:{int(not clean)}}}"
    if not clean:
        raise ValueError(f"set_alpha_to_one of the scheduler must be true with timestep_spacing {spacing}, got false")
    return spacing


def _betas(given: Scheduler) -> list[str]:
    """The schedule of the variances of steps."""
    if given.get("trained_betas") is not None:
        return _recognised(given["trained_betas"])
    kind, steps = given.get("beta_schedule", "linear"), given.get("num_train_timesteps", 1000)
    if kind not in _NAMED:
        raise ValueError(f"beta_schedule of the scheduler must be one of {', '.join(_NAMED)}, got {kind}")
    typed = [f"model/schedule={_NAMED[kind]}", f"model.schedule.steps={steps}"]
    if kind == "squaredcos_cap_v2":
        return typed
    ends = {"start": given.get("beta_start", 1e-4), "end": given.get("beta_end", 0.02)}
    return [*typed, *(f"model.schedule.{key}={value * steps / 1000!r}" for key, value in ends.items())]


def _recognised(betas: list[float]) -> list[str]:
    """The shipped schedule of variances that are listed one by one, as genexp exports them.

    Raises:
        ValueError: they are of none.
    """
    import torch

    from genexp.diffusion.schedules import Cosine, Linear, ScaledLinear, Sigmoid

    listed = torch.tensor(betas, dtype=torch.float64)
    known = {"cosine": Cosine, "sigmoid": Sigmoid}
    known |= {"linear": Linear, "scaled_linear": ScaledLinear} if len(listed) > LEAST else {}
    for name, schedule in known.items():
        if torch.allclose(schedule(len(listed)).betas, listed, rtol=1e-6, atol=1e-9):
            return [f"model/schedule={name}", f"model.schedule.steps={len(listed)}"]
    raise ValueError(
        "trained_betas of the scheduler must be those of cosine, sigmoid, linear or scaled_linear, got others"
    )
