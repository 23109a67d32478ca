"""Whether this user wrote a run or sweep folder, and what acts of a folder that another one wrote. Imports no torch.

A key of 32 random bytes in the user's configuration folder signs what a folder records to be run again. A signature
moves with a copied folder and needs no owner or host, so it holds on shared clusters, in containers that mount the
home, for root and on Windows; elsewhere the user says `trust=true`.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from genexp.config.text_keys import PLACES
from genexp.files.trees import Tree

TRUST = "trust=true"

_HARMLESS = (
    *("data", "debug", "experiment", "metrics", "model", "optimizer", "sampler", "trainer"),
    *("group", "job_type", "name", "notes", "seed", "tags", "threads", "training"),
)
_REACHING = PLACES | {"_target_", "_partial_", "callbacks", "logger", "paths", "plugins", "profiler"}


def signature(*parts: object) -> str | None:
    """What only this user's key gives for these values; None, said in a line, where no key can be kept.

    Args:
        parts: Plain values, as JSON takes them.
    """
    try:
        key = _key()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        print(f"unsigned    {_key_file()}: {reason}; resuming asks for {TRUST}", file=sys.stderr)
        return None
    return hmac.new(key, json.dumps(parts).encode(), hashlib.sha256).hexdigest()


def is_ours(signed: object, *parts: object) -> bool:
    """Whether this user signed these values.

    Args:
        signed: The signature that the folder carries, whatever stands there.
        parts: What it should be of.
    """
    if not isinstance(signed, str) or not signed.isascii() or not _key_file().is_file():
        return False
    return hmac.compare_digest(signed, signature(*parts) or "")


def seal(run_id: str, overrides: Sequence[str], before: object = None, config: str | None = None) -> Tree:
    """What `run.json` says of `overrides.yaml` and `config.yaml`: digests, and a signature of them.

    Args:
        run_id: The run.
        overrides: What the first file is about to hold.
        before: The seal so far; the files that it describes may still be there when the process is killed.
        config: The text that the second file is about to hold.
    """
    earlier = before if isinstance(before, dict) else {}
    sealed = {"digests": list(dict.fromkeys([*earlier.get("digests", [])[-1:], _digest(overrides)]))}
    if config is not None:
        sealed["configs"] = list(dict.fromkeys([*earlier.get("configs", [])[-1:], _text_digest(config)]))
    return {**sealed, "signature": signature("run", run_id, *sealed.values())}


def seal_breaks(record: Tree, overrides: Sequence[str]) -> bool:
    """Whether a run's `overrides.yaml` is another one than its record says; older runs do not say."""
    sealed = record.get("seal")
    digests = sealed.get("digests") if isinstance(sealed, dict) else None
    return isinstance(digests, list) and _digest(overrides) not in digests


def wrote_run(record: Tree, folder: Path | None = None) -> bool:
    """Whether this user began the run with this record, or took it up last.

    Args:
        record: What `run.json` says.
        folder: The run; where it is given, its `config.yaml` must also be as this user's genexp wrote it.
    """
    sealed = record.get("seal")
    if not isinstance(sealed, dict):
        return False
    parts = [sealed.get("digests"), *([sealed["configs"]] if "configs" in sealed else [])]
    if not is_ours(sealed.get("signature"), "run", record.get("id"), *parts):
        return False
    if folder is None or "configs" not in sealed:  # runs of an earlier version have signed their overrides alone
        return True
    return _text_digest((folder / "config.yaml").read_text()) in sealed["configs"]


def require_harmless(
    overrides: Sequence[str], folder: Path, trusted: bool, where: str = "overrides.yaml of a run"
) -> None:
    """Refuse what another user's run may not bring along.

    Without trust only choices of shipped parts and plain values of data, model and training act. Loggers, callbacks,
    places and interpolations never do: who wants them types them.

    Args:
        overrides: Those of the run.
        folder: The run.
        trusted: Whether the user has said so.
        where: What they stand in.

    Raises:
        ValueError: with the override, the rule and the folder.
    """
    for each in overrides:
        key, _, value = each.lstrip("+~").partition("=")
        words = key.replace("/", ".").replace("@", ".").split(".")
        if "${" in each or (set(words) & _REACHING and not _is_plain(words, value)) or _reaches_out(value):
            raise ValueError(
                f"{where} that this user did not write must hold no logger, callback, class, place or interpolation, "
                f"got {each} in {folder}; train anew with what you want of it"
            )
        if words[0] not in _HARMLESS and not trusted:
            raise ValueError(
                f"{where} that this user did not write acts only on {', '.join(_HARMLESS)}, got {each} in {folder}; "
                f"read that file, then add {TRUST}"
            )


def _is_plain(words: list[str], value: str) -> bool:
    """Whether an override chooses a shipped part, or sets a number of a callback: that cannot reach out of the run."""
    if len(words) == 1 and words[0] in ("callbacks", "logger"):
        return re.fullmatch(r"[\w/]+", value) is not None
    plain = re.fullmatch(r"[-+]?[\d_.]+(e[-+]?\d+)?|true|false|null", value, re.IGNORECASE) is not None
    return plain and words[0] == "callbacks" and not set(words[1:]) & _REACHING


_OF_SWEEPS = re.compile(
    r"-m|--multirun|hydra\.mode=MULTIRUN|hydra/(launcher|sweeper)=\w+|(launcher|sweep)=[\w/]+"
    r"|hydra\.launcher\.(slots|threads|timeout|grace|preload)=[\w.,\[\]]+"
    r"|hydra\.sweeper\.(n_trials|seed|at|sampler|pruner|study_name)=[\w.,:{}' ]+"
)
"""What says how a sweep is run and can neither start another program nor reach another place."""


def require_harmless_command(command: Sequence[str], folder: Path) -> None:
    """Refuse what the command of another user's sweep may not bring along, even where the user trusts it.

    Flags that name files, and Hydra's own keys, could run shell commands, open databases and build anything.

    Args:
        command: The one that `sweep.json` records.
        folder: The sweep.

    Raises:
        ValueError: with what it brings, the rule and the folder.
    """
    others = [each for each in command if not _OF_SWEEPS.fullmatch(each)]
    for each in others:
        if each.startswith("-") or re.match(r"[+~]*hydra\b", each) or "=" not in each.lstrip("~"):
            raise ValueError(
                f"sweep.json of a sweep that this user did not write must hold no flag and no key of Hydra but those "
                f"of places and of the search, got {each} in {folder}; type what you want of it after sweep.resume"
            )
    require_harmless(others, folder, True, "sweep.json of a sweep")


def _reaches_out(value: str) -> bool:
    """Whether a value, or a part of one, is an address, an absolute path, one that leads upwards, or such a key."""
    for text in re.split(r"[\s\"'\[\]{}(),]+", value):
        keys = text.partition(":")[0].split(".") if ":" in text else []
        leads = text.startswith(("/", "~", "\\")) or ":/" in text or ":\\" in text or ".." in re.split(r"[/\\]", text)
        if leads or set(keys) & _REACHING:
            return True
    return False


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(overrides: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([str(each) for each in overrides]).encode()).hexdigest()


def _key_file() -> Path:
    named = os.environ.get("GENEXP_CONFIG")
    if named:
        return Path(named).expanduser() / "key"
    usual = os.environ.get("APPDATA") if os.name == "nt" else os.environ.get("XDG_CONFIG_HOME")
    return (Path(usual) if usual else Path("~/.config").expanduser()) / "genexp" / "key"


def _key() -> bytes:
    """This user's key, made when first needed; of processes that make it at once, one wins."""
    path = _key_file()
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = path.with_name(f".key.{secrets.token_hex(8)}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(32))
            try:
                os.link(partial, path)
            except FileExistsError:
                pass
            except OSError:  # no hard links here
                os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    key = path.read_bytes()
    if len(key) < 32:
        raise OSError(f"{path} must hold a key of 32 bytes, got {len(key)}; remove it")
    return key
