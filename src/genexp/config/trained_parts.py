"""Finished runs and folders that are parts of runs, named so that they can be found again. Imports no torch."""

from typing import Any

from genexp.config.targets import locate
from genexp.files.trees import Tree

_KINDS = ("trained", "trained_codec", "trained_tokens", "trained_generator", "trained_features")
_FOLDERS = ("inference.diffusers_codec", "conditioning.tokenised", "networks.frozen_text")
_PLACES = (*(f"genexp.inference.{each}." for each in _KINDS), *(f"genexp.{each}." for each in _FOLDERS))


def with_trained_parts(plain: object) -> Any:
    """Plain containers in which runs and folders that are parts are named by place and the digest of their weights.

    Args:
        plain: A resolved configuration, or a part of one.

    Raises:
        FileNotFoundError: there is no such run or folder, or it has no such checkpoint.
    """
    if isinstance(plain, list):
        return [with_trained_parts(each) for each in plain]
    if not isinstance(plain, dict):
        return plain
    node = {key: with_trained_parts(value) for key, value in plain.items()}
    return locate(node["_target_"]).settled(node) if _is_trained(node) else node


def with_measured_scale(plain: Tree) -> Tree:
    """A settled configuration in which a codec's `scale: measured` has become the number, from the training images.

    Args:
        plain: Of a training, with `model` and `data`.
    """
    codec = plain["model"].get("codec")
    if not isinstance(codec, dict) or codec.get("scale") != "measured":
        return plain
    found = locate(codec["_target_"]).measured(codec, plain["data"])
    return {**plain, "model": {**plain["model"], "codec": found}}


def trained_parts(plain: object, path: str = "") -> dict[str, dict[str, str]]:
    """Place and digest of every run and folder that is a part of a settled configuration, by the part's dotted key."""
    if not isinstance(plain, dict):
        return {}
    own = {path: {key: plain[key] for key in ("run", "folder", "digest") if key in plain}} if _is_trained(plain) else {}
    below = [trained_parts(value, f"{path}.{key}".strip(".")) for key, value in plain.items()]
    return {key: part for found in (own, *below) for key, part in found.items()}


def _is_trained(node: Tree) -> bool:
    return str(node.get("_target_")).startswith(_PLACES)
