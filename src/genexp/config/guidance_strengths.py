"""How strong the guidances of a sampler are, and guidance over a student that has it inside. Imports no torch."""

from collections.abc import Iterator

from genexp.files.trees import Tree

_FREE = ("genexp.sampling.guidance.ClassifierFree", "genexp.sampling.per_condition.PerCondition")
_NONE = "genexp.sampling.guidance.Unguided"


def strengths_of(guidance: object, key: str, around: object = None) -> Iterator[tuple[str, str, Tree, list[object]]]:
    """Every guidance of a configuration from the outside in: its key, the key of its strength, itself, its strengths.

    Args:
        guidance: Plain configuration; nothing is given for what is none.
        key: Its dotted key.
        around: Strength that a guidance around it gives it; None for its own.
    """
    if not isinstance(guidance, dict):
        return
    name = "scales" if "scales" in guidance else "scale"
    strength = guidance.get(name) if around is None else around
    given_at = f"{key}.{name}" if around is None else f"{key.removesuffix('.inside')}.scale"
    yield key, given_at, guidance, list(strength.values()) if isinstance(strength, dict) else [strength]
    yield from strengths_of(guidance.get("inside"), f"{key}.inside", strength if "inside" in guidance else None)


def guided_twice(model: object, guidance: object, key: str = "sampler.guidance") -> tuple[str, str] | None:
    """Why a sampler's guidance does not go with a model: it is a student whose teacher was guided in its place.

    Strengths of 1, which is the model itself, and 0, which is told nothing, go with it.

    Args:
        model: Plain configuration of the model.
        guidance: Plain configuration of the sampler's guidance.
        key: The dotted key of the latter.

    Returns:
        The key that is wrong and what it must be; None where all is well.
    """
    goal = model.get("goal") if isinstance(model, dict) else None
    folded = goal.get("guidance") if isinstance(goal, dict) else None
    if not isinstance(folded, dict) or folded.get("_target_") == _NONE:
        return None
    inside = [(at, each) for _, at, _, given in strengths_of(folded, "model.goal.guidance") for each in given]
    if not [each for _, each in inside if each not in (None, 1)]:
        return None
    told = ", ".join(f"{at}={each}" for at, each in inside if each is not None)
    for _, at, node, given in strengths_of(guidance, key):
        if node.get("_target_") in _FREE and (wrong := [each for each in given if each not in (None, 0, 1)]):
            return at, f"must be 1 for a student that has its teacher's guidance inside ({told}), got {wrong[0]}"
    return None
