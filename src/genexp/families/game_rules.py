"""What parts of an adversarial game may stand together, and what they need of a batch."""

import torch
from torch import nn

from genexp.adversarial.consensus import Consensus
from genexp.adversarial.critic import Critic
from genexp.adversarial.regularisers import OptimizerFactory, Penalties
from genexp.adversarial.unrolling import Unrolled, require_differentiable
from genexp.conditioning.base import Conditioning, ReadsConditions
from genexp.conditioning.degraded import Degraded
from genexp.conditioning.vectors import require_vectors


def require_weight(adversarial_weight: float, penalised: bool) -> None:
    """Raise ValueError where a generator would learn from nothing, or from the negated critic."""
    if adversarial_weight < 0 or (adversarial_weight == 0 and not penalised):
        least = "at least 0" if penalised else "above 0 without generator_penalties"
        raise ValueError(f"adversarial_weight must be {least}, got {adversarial_weight}")


def require_judge(critic: Critic, pairs: bool) -> None:
    """Raise ValueError unless the critic judges pairs of images and latents, or images alone, as the family wants."""
    if critic.joint != pairs:
        wanted = "joint for model=bigan" if pairs else "one of images for model=gan, not joint"
        raise ValueError(f"critic.discriminator must be {wanted}, got {type(critic.discriminator).__name__}")


def require_ahead(unrolled: Unrolled | None, consensus: Consensus | None, critic_optimizer: OptimizerFactory) -> None:
    """Raise ValueError where steps of the critic cannot be differentiated, or two parts want another critic."""
    if unrolled is not None and consensus is not None:
        raise ValueError("consensus must be null with unrolled, whose generator plays against another critic")
    if unrolled is not None:
        require_differentiable(critic_optimizer([nn.Parameter(torch.zeros(1))]))


def require_told(generator: nn.Module, critic: Critic, conditioning: Conditioning) -> None:
    """Raise ValueError unless both networks read what they are told of the model's conditions."""
    require_vectors(generator, "generator", conditioning)
    require_critic_told(critic, "critic", conditioning)


def require_always_told(conditioning: Conditioning) -> None:
    """Raise ValueError where training is to leave out or change what is told, which no game does."""
    for name, kind in conditioning.kinds.items():
        changed = {"left_out": kind.left_out, "noise": kind.noise if isinstance(kind, Degraded) else 0}
        for key, value in changed.items():
            if value:
                rule = "must be 0 in a game, whose networks are always told"
                raise ValueError(f"model.conditions.{name}.{key} {rule}, got {value}")


def require_plain_graph(
    derivatives: str | None, unrolled: Unrolled | None, compile: bool = False, recompute: bool = False
) -> None:
    """Raise ValueError where compiled networks need second derivatives, or blocks are computed again too late."""
    if compile and derivatives is not None:
        raise ValueError(f"compile must be false with {derivatives} (second derivatives), got true")
    if recompute and unrolled is not None:
        raise ValueError(
            "recompute must be false with model.unrolled, whose weights of the critic are gone when its blocks would "
            "be computed again, got true"
        )


def require_critic_told(critic: Critic, role: str, conditioning: Conditioning) -> None:
    """Raise ValueError unless a critic, by its key in the model, reads what it is told of the model's conditions."""
    unknown = [name for name in critic.untold if name not in (*conditioning.names, "label")]
    if unknown:
        known = ", ".join(conditioning.all_names) or "which has none"
        raise ValueError(f"{role}.untold must name conditions of the model, {known}, got {unknown[0]}")
    reads = critic.discriminator.reads if isinstance(critic.discriminator, ReadsConditions) else ()
    for name in reads:
        if name in critic.untold:
            raise ValueError(f"{role}.discriminator must not read {name}, which {role}.untold names")
    judged = {name: kind for name, kind in conditioning.kinds.items() if name not in critic.untold}
    require_vectors(critic.discriminator, f"{role}.discriminator", Conditioning(judged))


def require_reusable(reuse: bool, adversarial_weight: float, second: str | None) -> None:
    """Raise ValueError where there is no critic's step whose fakes the generator's could take."""
    if reuse and (not adversarial_weight or second is not None):
        rule = f"with {second}" if second is not None else "with adversarial_weight=0, where the critic takes no steps"
        raise ValueError(f"reuse_fakes must be false {rule}, got true")


def whole_batches(critic: Critic, penalties: Penalties, second: str | None, reuse: bool = False) -> str | None:
    """The setting for which a batch must not be split, or None.

    Args:
        critic: The critic.
        penalties: Those of the generator.
        second: The setting that takes second derivatives of a mean loss, or None.
        reuse: Whether both players see the same fakes, whose graph is that of a whole batch.
    """
    if reuse:
        return "model.reuse_fakes=true"
    if critic.objective.scope == "batch":
        return "model.critic.objective.pairing=relativistic_average"
    of_batches = penalties.of_scope("batch")
    return second or (f"model.generator_penalties.{of_batches[0]}" if of_batches else None)


def second_derivatives(unrolled: Unrolled | None, consensus: Consensus | None) -> str | None:
    """The setting that takes second derivatives of both networks, which compiled ones have not, or None."""
    if unrolled is not None:
        return "model.unrolled"
    return None if consensus is None else "model.consensus"
