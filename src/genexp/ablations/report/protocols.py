"""How the values of an ablation were measured, in words."""

import re
from collections.abc import Sequence

from genexp.ablations.report.values import MetricValues
from genexp.runs.markup import digest_text


def protocol_text(metric: MetricValues) -> str:
    """How a value was measured, in words."""
    if metric.protocol is None:
        logged = "logged by the training run itself at its end, over its validation split"
        return logged if "/" in metric.key else "no protocol was recorded"
    terms = dict(metric.protocol)
    if "extractor" not in terms:
        unit = "seconds of wall time for an image; " if metric.name == "sampling_seconds" else ""
        return unit + ", ".join(f"{key} {digest_text(value)}" for key, value in terms.items())
    counts = [f"{_count(terms.pop(key, None))} {word} {metric.things}" for key, word in _COUNTED]
    digest = digest_text(terms.pop("extractor_digest", None))
    size, resize = terms.pop("input_size", 0), terms.pop("resize", None)
    scaled = f" at {size} pixels (resize {resize})" if size else ""
    parts = [
        str(terms.pop("settings", metric.name)),
        f"{counts[0]} against {counts[1]} ({terms.pop('reference', '?')} split, digest "
        f"{digest_text(terms.pop('reference_digest', None))})",
        f"features: {terms.pop('extractor')}@{digest}{scaled}",
        "" if (quantised := terms.pop("quantiser", None)) == "none" else f"images quantised: {quantised}",
        *(f"{key} {digest_text(value)}" for key, value in terms.items() if key != "metric"),
        _made_by(metric),
        _floor(metric),
    ]
    return "; ".join(filter(None, parts))


_COUNTED = (("n_generated", "generated"), ("n_reference", "real"))


def _made_by(metric: MetricValues) -> str:
    weights = " or ".join(dict.fromkeys(each for each, _ in metric.made_by))
    samplers = " or ".join(samplers_text([each for _, each in metric.made_by]))
    return f"weights {weights}; drawn with {samplers}; noise seed: the seed of the run"


def samplers_text(recorded: Sequence[str]) -> list[str]:
    """Samplers by class, each with the settings that all of that class share and the names of those that vary.

    Of runs that follow each other, stage by stage, without the names of the runs.

    Args:
        recorded: Samplers as protocols name them, such as `DDIM(eta=0.0, steps=10), told as test`.
    """
    by_class: dict[tuple[str, str], list[str]] = {}
    for text in recorded:
        name, inside, after = _parts(text)
        by_class.setdefault((name, after), []).append(inside)
    texts = []
    for (name, after), insides in by_class.items():
        whole = _stages(insides) if name in _OF_RUNS else _shared([_settings(inside) for inside in insides])
        texts.append(f"{name}({whole}){after}")
    return texts


_OF_RUNS = ("Cascade", "Ensemble")
_RUN = re.compile(r"[\w-]+@[0-9a-f]+ by ")


def _parts(text: str) -> tuple[str, str, str]:
    """The class, what its outermost parentheses hold, and what follows these."""
    name, _, rest = text.partition("(")
    depth = 1
    for place, sign in enumerate(rest):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if depth == 0:
            return name, rest[:place], rest[place + 1 :]
    return name, rest, ""


def _stages(insides: Sequence[str]) -> str:
    stages = [[_RUN.sub("", stage) for stage in _split(inside, "; ")] for inside in insides]
    most = max(map(len, stages))
    return "; ".join(" or ".join(samplers_text([each[k] for each in stages if k < len(each)])) for k in range(most))


def _shared(recorded: Sequence[Sequence[str]]) -> str:
    each = [dict(setting.split("=", 1) for setting in settings) for settings in recorded]
    keys = list(dict.fromkeys(key for settings in each for key in settings))
    varied = [key for key in keys if len({settings.get(key) for settings in each}) > 1]
    shared = ", ".join(f"{key}={each[0][key]}" for key in keys if key not in varied)
    return "; ".join(filter(None, [shared, varied and ", ".join(varied) + " by variant"]))


def _split(text: str, sign: str) -> list[str]:
    """Parts between signs that no parentheses hold."""
    found: list[str] = []
    for piece in text.split(sign):
        if found and found[-1].count("(") > found[-1].count(")"):
            found[-1] += f"{sign}{piece}"
        else:
            found.append(piece)
    return found


def _settings(inside: str) -> list[str]:
    """Settings that commas part, outside parentheses and where a name follows."""
    found: list[str] = []
    for piece in _split(inside, ", ") if inside else []:
        if found and not re.match(r"\w+=", piece):
            found[-1] += f", {piece}"
        else:
            found.append(piece)
    return found


def _floor(metric: MetricValues) -> str:
    counts = " or ".join(f"{count:,}" for count in metric.floor_images)
    return f"real {metric.things}: {counts} that were held out" if counts else ""


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "an unknown number of"
