"""Which keys mean text or a path, so that their values stay as they were typed. Imports nothing heavy."""

GROUPS = frozenset(
    [
        *("adapters", "callbacks", "data", "debug", "experiment", "extractor", "launcher", "logger"),
        *("metrics", "model"),
        *("edit", "initial", "optimizer", "paths", "ramp", "sampler", "sweep", "trainer", "training"),
    ]
)
"""Groups of conf/: their choices are names of files."""

_OF_COMMANDS = frozenset(
    [
        *("ablations", "after", "approval", "by", "cache", "checkpoint", "content", "device", "entity"),
        *("fingerprint", "floor", "folder", "format", "generated", "group", "hub", "push", "revision"),
        *("include", "input", "intended_use", "job_type", "licence", "method", "name", "notes", "out"),
        *("part", "project", "protocols", "publish"),
        "caption",
        *("other_run", "published", "watermark", "watermark_in"),
        *("question", "reference", "resume", "run", "run_dir", "runs", "scale", "settings", "sort", "source"),
        *("style", "tags", "told"),
        *("colours", "images", "mask", "masks", "title", "values", "weights"),
    ]
)
"""Keys without a dot that mean text, of all commands: none means something else in another command."""

PLACES = frozenset(
    [
        *("cache", "cache_dir", "default_root_dir", "dir", "directory", "dirpath", "filename", "folder", "path"),
        *("root", "root_dir", "run", "save_dir", "searchpath", "storage", "sub_dir", "subdir", "weights"),
    ]
)
"""Last words of keys that name a file or a folder: no other user's run brings them, and a shell completes them."""

_OF_PARTS = PLACES | frozenset(
    [
        # names, labels and digests
        *("account", "asset", "attribute", "checkpoint", "classes", "constraint", "dataset", "digest", "entity"),
        *("api_key", "artifact_location", "caption", "experiment_key", "experiment_name", "run_name", "tracking_uri"),
        *("freeze", "group", "only", "label_column", "requires_approval", "reset", "workspace"),
        *("job_type", "layer", "layers", "model", "model_registry", "modules", "monitor", "name", "net", "notes"),
        *("partition", "prefix", "project", "qos", "run_id", "study_name", "tags", "template", "unit"),
        # words to choose from
        *("accelerator", "activation", "binarise", "cell", "conditioning", "content_layers", "fit", "free_bits_over"),
        *("gradient_clip_algorithm", "image_column", "init", "interpolation", "largest", "last", "learn_from"),
        *("estimator", "line_search_fn", "regulariser", "sampling"),
        *("measured_layers", "mode", "norm", "normalise", "over", "policy", "pooling", "profiler", "reference"),
        *("other", "positions", "source_side"),
        *("split", "statistics", "strategy", "style_layers", "terms", "untold", "variance", "weight_norm", "words"),
    ]
)
"""Last words of keys with a dot that every shipped constructor with such an argument declares as text."""


def is_text(key: str) -> bool:
    """Whether the value of a key is text, a path, the choice of a group, or a list of such.

    Args:
        key: As it is typed: `name`, `+data.source.root`, `optimizer@model.optimizer`, `model/network`.
    """
    key = _plain(key)
    first, *others = [word for word in key.split(".") if not word.isdigit()] or [""]
    if not others:
        return "/" in key or first in GROUPS or first in _OF_COMMANDS
    return first == "paths" or (others[-1] in _OF_PARTS and "scales" not in others)  # numbers by names of conditions


def holds_words(key: str) -> bool:
    """Whether a comma never belongs to a value of this key: choices of a group, and lists of names.

    Args:
        key: As it is typed.
    """
    return "/" in _plain(key) or _plain(key) in GROUPS | {"by", "include", "settings", "tags", "values"}


def _plain(key: str) -> str:
    return key.lstrip("+~").partition("@")[0]
