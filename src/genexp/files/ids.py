"""Ids that nothing else has."""

import secrets

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


def new_run_id() -> str:
    """Eight random letters and digits: the run's name in its folder, its checkpoints and W&B."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))
