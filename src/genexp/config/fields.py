"""The rules of keys that no signature states, or states too widely: commands' own keys, sections, Lightning's trainer.

Every key of a primary config in conf/ has its rule here; a test holds both together.
"""

import os
import re
from dataclasses import replace
from pathlib import PurePath

from genexp.config.approval import WORDS as WHO_WHEN_WHY
from genexp.config.approval import says_all
from genexp.config.hints import hint_of
from genexp.config.problems import Problem
from genexp.config.rules import Rule, anything, either, flag, list_of, mapping_of, number, one_of, optional, text, whole
from genexp.config.weights_choice import WORDS, is_choice
from genexp.files.json_records import shown

MOST_THREADS = max(256, 4 * (os.cpu_count() or 1))
"""Threads beyond this help nobody; some hundred thousand end the process by a signal."""


def _is_below(name: str) -> bool:
    """Whether a name leads to a folder below the one it is put into."""
    parts = PurePath(name).parts
    sound = name.isprintable() and "\\" not in name and name.strip() == name
    return bool(parts) and sound and ".." not in parts and not PurePath(name).is_absolute() and name[0] != "~"


TEXT, TEXTS, FLAG = text(), list_of(text()), flag()
SEED = whole(0, 2**32 - 1)
THREADS = either(one_of("auto"), whole(1, MOST_THREADS))
DEVICE = text("one of auto, cpu, cuda, cuda:<number>, mps", re.compile(r"(auto|cpu|mps|cuda(:\d+)?)\Z").match)
NAME = text("text that names a folder below the outputs (no .., no / at its beginning)", _is_below)
SEVERAL = either(TEXT, TEXTS)
PART = replace(mapping_of(anything()), parts=(object,))
SLOTS = either(one_of("auto"), whole(1), list_of(either(whole(0), TEXT), 1))
WEIGHTS = text(WORDS, is_choice)
_AS_ONE = {"shares": optional(list_of(number(above=0), 2)), "switch_at": optional(number(0, 1))}
_AS_ONE |= {"after": optional(SEVERAL), "soup": optional(either(one_of("uniform"), list_of(number(above=0), 2)))}
NONE_OR_TWO = either(one_of(0), whole(2))

_DRAWING = {"seed": SEED, "threads": THREADS, "device": DEVICE, "trust": FLAG}
_DRAWING |= {"out": optional(TEXT), "checkpoint": optional(TEXT)}

_MARK = {"watermark": optional(text("a key, text of at least one character", bool))}
_MARK |= {"watermark_strength": number(above=0, most=64)}

COMMANDS: dict[str, dict[str, Rule]] = {
    "train": {
        "name": optional(NAME),
        **dict.fromkeys(("group", "job_type", "notes", "resume", "run_dir"), optional(TEXT)),
        "tags": TEXTS,
        "threads": THREADS,
        "seed": SEED,
        "approval": optional(text(f"text that says {WHO_WHEN_WHY}", says_all)),
    },
    "sample": {
        **_DRAWING,
        "run": SEVERAL,
        **_AS_ONE,
        "num": whole(1),
        "batch_size": whole(1),
        "weights": WEIGHTS,
        "label": optional(whole(0)),
        "caption": optional(SEVERAL),
        "condition": mapping_of(anything()),
        "images": optional(TEXT),
        "mask": optional(TEXT),
        **dict.fromkeys(("columns", "tile"), optional(whole(1))),
        "singles": FLAG,
        "interpolate": either(one_of("auto"), NONE_OR_TWO),
        "frames": NONE_OR_TWO,
        "rows": whole(1),
        "sheet": mapping_of(anything()),
        "provenance": FLAG,
        **_MARK,
        "watermark_in": one_of("pixels", "noise"),
        "wandb": FLAG,
    },
    "evaluate": {
        **_DRAWING,
        "run": optional(SEVERAL),
        **_AS_ONE,
        "generated": optional(TEXT),
        "reference": optional(TEXT),
        "floor": optional(TEXT),
        "num": optional(whole(2)),
        "told": optional(one_of("train", "val", "test")),
        "batch_size": whole(1),
        "weights": either(WEIGHTS, list_of(WEIGHTS)),
        "self_check": FLAG,
        "pictures": whole(0),
        "grid": whole(0),
        "wandb": FLAG,
        "cache": optional(TEXT),
    },
    "compare": {
        "runs": SEVERAL,
        "ablations": optional(TEXT),
        "group": optional(TEXT),
        "tags": SEVERAL,
        "values": optional(SEVERAL),
        "include": either(one_of("debug", "failed"), list_of(one_of("debug", "failed"))),
        "by": optional(SEVERAL),
        "settings": optional(SEVERAL),
        "sort": optional(TEXT),
        "source": one_of("auto", "training", "evaluate"),
        "protocols": one_of("split", "refuse"),
        "page": FLAG,
        "pictures": number(0),
        "out": TEXT,
        "wandb": FLAG,
        **dict.fromkeys(("title", "question", "project", "entity"), optional(TEXT)),
    },
    "reproduce": {
        "ablations": TEXT,
        "scale": TEXT,
        "train": TEXTS,
        "seeds": optional(either(whole(1), list_of(SEED, 1))),
        "plan": FLAG,
        "calibrate": FLAG,
        "status": FLAG,
        "slots": SLOTS,
        "threads": THREADS,
        "timeout": optional(number(above=0)),
        "grace": number(0),
        "publish": optional(TEXT),
        "out": TEXT,
    },
    "restore": {
        **_DRAWING,
        **dict.fromkeys(("run", "other_run", "input", "published"), optional(TEXT)),
        **dict.fromkeys(("degrade", "provenance"), FLAG),
        **_MARK,
        **{"share": optional(number(0, 1)), "tile": optional(whole(16)), "max_pixels": whole(1), "weights": WEIGHTS},
    },
    "play": {
        **{key: _DRAWING[key] for key in ("threads", "device", "trust", "checkpoint")},
        "run": optional(SEVERAL),
        "port": whole(0, 65535),
        "weights": WEIGHTS,
    },
    "augment": {
        **_DRAWING,
        "run": optional(TEXT),
        "per_class": optional(whole(1)),
        "batch_size": whole(1),
        "weights": WEIGHTS,
        "provenance": FLAG,
    },
    "export": {
        **dict.fromkeys(("out", "checkpoint", "licence", "intended_use", "push"), optional(TEXT)),
        **{"run": optional(SEVERAL), "soup": _AS_ONE["soup"], "public": FLAG, "fingerprint": _MARK["watermark"]},
        "format": one_of("diffusers", "onnx", "openvino", "torch_export", "safetensors"),
        "part": optional(one_of("decoder", "encoder", "denoiser", "sampler", "stylizer", "restorer")),
        **{"label": optional(whole(0)), "copies": optional(whole(1)), "weights": WEIGHTS, "threads": THREADS},
    },
    "import": {**dict.fromkeys(("folder", "hub", "revision"), optional(TEXT)), "name": optional(NAME), "train": TEXTS},
    "stylize": {
        **dict.fromkeys(("content", "out", "run"), optional(TEXT)),
        **dict.fromkeys(("style", "masks"), optional(SEVERAL)),
        "style_weights": optional(list_of(number(above=0), 1)),
        "colours": one_of("style", "matched", "luminance"),
        **dict.fromkeys(("size", "style_size"), optional(whole(16))),
        "method": one_of("gatys", "adain", "johnson", "diffusion", "efros_leung", "quilting", "quilting_transfer"),
        "strength": number(above=0, most=1),
        **dict.fromkeys(("sequence", "provenance"), FLAG),
        **_MARK,
        "style_scale": number(0),
        "steps": whole(1),
        "alpha": optional(number(0, 1)),
        "window": whole(3),
        "patch": whole(3),
        **{key: _DRAWING[key] for key in ("seed", "threads", "device")},
    },
}
"""The keys of every command's primary config that are no groups."""

SECTIONS: dict[str, dict[str, Rule]] = {
    "training": {
        "max_images": whole(1),
        "evaluate_every": whole(1),
        "checkpoint_every": whole(1),
        "log_every": whole(1),
        "monitor": optional(TEXT),
        "monitor_mode": one_of("auto", "min", "max"),
        "accumulate": whole(1),
        "compile": FLAG,
        "channels_last": FLAG,
        "recompute": FLAG,
        "freeze": optional(TEXTS),
        "rate_factors": optional(mapping_of(number(above=0))),
    },
    "paths": {"outputs": TEXT, "data": TEXT, "cache": TEXT},
}
"""Mappings without a `_target_`, and what they hold."""

SWITCHES = ("accumulate", "compile", "channels_last", "recompute")
"""Keys of `training` that say how a batch is gone about."""

GROUPS = {name: PART for name in ("data", "model", "trainer", "training", "paths")}
GROUPS |= {name: optional(PART) for name in ("adapters", "callbacks", "sampler", "extractor", "initial")}
"""Groups of `genexp train` that are always there, and whether they may be null."""

_ACCOUNT = optional(either(TEXT, whole()))

SETTINGS: dict[str, dict[str, Rule]] = {
    "hydra.launcher": {
        "slots": SLOTS,
        "threads": THREADS,
        "timeout": optional(number(above=0)),
        "grace": number(0),
        "preload": either(one_of("auto"), FLAG),
        "resume": FLAG,
        "trust": FLAG,
        "poll": number(above=0),
        "partition": _ACCOUNT,
        "account": _ACCOUNT,
        "qos": _ACCOUNT,
        "timeout_min": whole(1),
        "max_num_timeout": whole(0),
        "signal_delay_s": whole(0),
        "gpus_per_node": optional(either(one_of("auto"), whole(0))),
        "cpus_per_task": whole(1),
        "mem_gb": optional(number(above=0)),
        "array_parallelism": whole(1),
        "setup": optional(TEXTS),
        "additional_parameters": PART,
        "stderr_to_stdout": FLAG,
    },
    "hydra.sweeper": {
        "n_trials": optional(whole(1)),
        "sampler": either(TEXT, PART),
        "seed": SEED,
        "pruner": optional(either(TEXT, PART)),
        "at": one_of("auto", "best", "last"),
        "storage": optional(TEXT),
        "study_name": optional(TEXT),
    },
}
"""What Hydra hands to our launchers and sweeper."""


def refusal_of(key: str, rule: Rule, value: object) -> Problem:
    """What the value of a key must be, and what it is."""
    end = hint_of(key)
    if isinstance(value, float) and value.is_integer() and rule.accepts(int(value)):
        end = f": write {int(value)}"
    return Problem(key, f"must be {rule.words}, got {shown(value)}{end}", of_value=True)
