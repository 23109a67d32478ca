"""The Hugging Face hub, where commands are told to write to it or to read from it; nothing else here asks a network.

Errors of its library become one line each. Names are checked by the library's own rule, and of a repository only what
`genexp import` reads is fetched: configurations, and weights as safetensors.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from genexp.extras import require_extra

if TYPE_CHECKING:
    from huggingface_hub import HfApi

READ = ("model_index.json", "*/*.json", "*/*.txt", "*/*.model", "*/*.safetensors")
"""Files of a pipeline that are fetched: no pickles, no code."""
LEFT = ("*.fp16.safetensors", "*.non_ema.safetensors", "safety_checker/*")
_DIGITS = 12


def require_name(key: str, name: str) -> None:
    """Check a name of the hub without a network.

    Raises:
        ValueError: it is none, or the library is not installed.
    """
    require_extra("huggingface_hub", f"{key}={name}")
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        known = False
    else:
        known = name.count("/") == 1
    if not known:
        raise ValueError(f"{key} must be the name of a repository of the hub, <user>/<name>, got {name}")


def require_account(name: str) -> None:
    """Check, before any work, that a repository can be written to: that the hub answers and knows who asks.

    Raises:
        ValueError: the name is none, or there is no token or a wrong one.
        ConnectionError: the hub does not answer.
    """
    require_name("push", name)
    with _told("push", name, "write to"):
        _api().whoami()


def push(folder: Path, name: str, files: Sequence[str], public: bool) -> str:
    """Write a folder to a repository of models, which is made if it is not there; returns its address.

    Args:
        folder: What `genexp export` has written.
        name: `<user>/<name>`.
        files: Names of the files that are written, as far as they are there; nothing else is.
        public: Whether a repository that is made can be read by everybody.

    Raises:
        ValueError: this account may not write there.
        ConnectionError: the hub does not answer, or refuses.
    """
    with _told("push", name, "write to"):
        api = _api()
        address = api.create_repo(name, private=not public, exist_ok=True)
        message = "Export by genexp"
        api.upload_folder(repo_id=name, folder_path=folder, allow_patterns=list(files), commit_message=message)
    return str(address)


def pulled(name: str, revision: str | None, data: Path) -> Path:
    """A pipeline of the hub as a folder, `<data>/hub/<user>--<name>@<commit>`; what is there is not fetched again.

    Args:
        name: `<user>/<name>`.
        revision: A branch, a tag or a commit; None for the main branch.
        data: Folder of data.

    Raises:
        ValueError: there is no such repository or revision, or this account may not read it.
        ConnectionError: the hub does not answer, or refuses.
    """
    require_name("hub", name)
    from huggingface_hub import snapshot_download

    with _told("hub", name, "read"):
        commit = _api().model_info(name, revision=revision).sha
        place = data / "hub" / f"{name.replace('/', '--')}@{commit[:_DIGITS]}"
        patterns = {"allow_patterns": list(READ), "ignore_patterns": list(LEFT)}
        snapshot_download(name, revision=commit, local_dir=place, endpoint=_endpoint(), **patterns)
    return place


def _api() -> "HfApi":
    from huggingface_hub import HfApi

    return HfApi(endpoint=_endpoint())


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


@contextmanager
def _told(key: str, name: str, what: str) -> Iterator[None]:
    """What the library raises, in one line that names the key."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise ValueError(f"{key} needs a token of the hub, got none: hf auth login, or HF_TOKEN") from error
    except RevisionNotFoundError as error:
        raise ValueError(f"revision must be one of {name} on the hub: {_first_line(error)}") from error
    except RepositoryNotFoundError as error:  # a gated one, too
        told = f"that this account may {what}, got {name}: not there, private or gated"
        raise ValueError(f"{key} must name a repository of the hub {told}; hf auth login, or HF_TOKEN") from error
    except OfflineModeIsEnabled as error:
        raise ConnectionError(f"{key}={name} needs the hub, and HF_HUB_OFFLINE says not to ask it") from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403):
            told = f"that this account may {what}, got {name}: {_first_line(error)}"
            raise ValueError(f"{key} must name a repository of the hub {told}; hf auth login, or HF_TOKEN") from error
        raise ConnectionError(f"{key}={name}: the hub refuses: {_first_line(error)}") from error
    except Exception as error:
        if not _of_network(error):
            raise
        raise ConnectionError(f"{key}={name}: the hub does not answer: {_first_line(error)}") from error


def _of_network(error: BaseException) -> bool:
    """Whether an error is one of the client that the library asks by, which is another in its older versions."""
    client = type(error).__module__.partition(".")[0]
    return client in ("httpx", "httpx2", "requests") or isinstance(error, (ConnectionError, TimeoutError))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
