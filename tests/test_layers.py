"""The house has floors: a file imports only from floors below its own (see docs/architecture.md)."""

import ast
import re
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/genexp"
FLOORS = (  # from the ground up; what stands on one floor knows nothing of its neighbours
    {"extras", "files", "hardware", "on_disk", "ranks", "startup", "terminal"},
    {"colours", "geometry", "parameters", "ramps", "shipped", "tensors"},
    {"logistics", "sample_kinds", "textures", "weights_files"},
    {"conditioning"},
    {"contracts"},
    {"config", "data", "figures", "flows", "losses", "networks"},
    {"adversarial", "densities", "diffusion", "latents", "restoration", "runs"},
    {"evaluation", "families", "pool", "reports", "sampling"},
    {"ablations", "callbacks", "sweeps"},
    {"tracking"},
    {"training"},
    {"inference"},
    {"commands"},
    {"__init__", "__main__"},
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
STRANGERS = {  # package -> packages of ours that it must not know though they stand below it
    "families": {"networks", "sampling", "data", "runs", "config"},
    "evaluation": {"adversarial", "diffusion", "latents", "runs", "config", "sampling"},
    "sampling": {"adversarial", "latents", "runs", "config"},
    "callbacks": {"runs", "config"},
}
LIBRARIES = {  # library -> the packages that may import it
    "hydra": {"config", "training", "sweeps", "commands"},
    "omegaconf": {"config", "runs", "tracking", "training", "inference", "pool", "sweeps", "ablations", "commands"},
    "wandb": {"tracking"},
    "optuna": {"sweeps"},
}
NO_TORCH = ("ablations", "config", "files", "pool", "reports", "runs", "sweeps")
"""Packages that need no torch to be imported, but for the files in `WITH_TORCH`."""

WITH_TORCH = {"config/trial"}
ALONE_WITHOUT_TORCH = (
    "__main__",
    "commands/compare",
    "commands/launch",
    "commands/train",
    "commands/typed_arguments",
    "hardware",
    "on_disk",
)
ALONE_WITHOUT_TORCH += ("ranks", "startup", "terminal", "training/claim")
NAMED_TWICE = {  # classes whose configurations tell them apart by their group, or that go with one another
    "Bound",
    "Categorical",
    "Consistency",
    "Cosine",
    "Linear",
    "Reconstruction",
    "Uniform",
}
FILES_OF_ONE_NAME = {  # packages whose files of one name are about one thing, each on its own floor
    "autoencoder": "families networks",
    "base": "conditioning evaluation families sampling",
    "bound": "diffusion evaluation",
    "classes": "data networks",
    "classifier": "families networks",
    "conditions": "inference sampling",
    "consistency": "diffusion sampling",
    "contrastive": "families losses",
    "copies": "evaluation inference",
    "diffusers_folder": "inference inference",
    "editing": "inference sampling",
    "evaluate": "callbacks commands",
    "game": "callbacks figures",
    "hierarchy": "families latents",
    "in_order": "contracts densities",
    "likelihood": "evaluation families",
    "maps": "contracts latents",
    "motion": "evaluation evaluation",
    "perceptual": "evaluation losses",
    "quantised": "families latents",
    "reconstruction": "evaluation losses",
    "refining": "inference sampling",
    "restoration": "families networks",
    "restoring": "contracts inference",
    "stable_diffusion": "inference inference",
    "style": "families losses",
}
COUNTS_AXES = {  # files that may ask how many axes a tensor has; what a sample is they ask `sample_kinds`
    "adversarial/steps": "scores of patches",
    "commands/picture_info": "arrays of pictures",
    "conditioning/vectors": "vectors",
    "data/picture_tensors": "arrays of pictures",
    "densities/in_order": "logits or numbers of a mixture",
    "evaluation/feature_distances": "vectors",
    "evaluation/metrics/modes": "a matrix of means",
    "evaluation/moments": "vectors",
    "families/channels": "weights",
    "families/micro_batches": "what has a memory format",
    "inference/fingerprints": "weights",
    "latents/evidence": "draws of a latent",
    "networks/dit": "tokens",
    "networks/image_transformer": "tokens",
    "networks/published_rrdb": "weights",
    "sample_kinds": "samples",
    "tensors": "what is to be broadcast",
    "training/resuming": "moments of weights",
}
ASKS_BY_NAME = {  # files that may use getattr, hasattr or setattr, of what is not ours or has its name from data
    "__main__": "a command's function by its name",
    "ablations/report/plots": "matplotlib's axes",
    "config/messages": "an exception's class by its name",
    "config/nodes": "protocols of typing",
    "config/targets": "what a `_target_` names",
    "config/trial": "functions of torch",
    "data/decoding": "pictures of Pillow",
    "data/hub_images": "tables of datasets",
    "data/shards": "errors of the system",
    "data/torchvision_sets": "data sets of torchvision",
    "evaluation/protocol": "fields of a dataclass",
    "figures/plot_style": "matplotlib's handles",
    "files/json_records": "what a system has",
    "files/locks": "what a system has",
    "files/yaml_records": "what PyYAML was built with",
    "hardware": "what a system has",
    "inference/exporting/folding": "attributes of a traced graph",
    "inference/hub_repositories": "errors of a library",
    "networks/frozen_text": "configurations of transformers",
    "networks/hub": "classes of a library",
    "parameters": "tensors of torch",
    "pool/fork_server": "what a system has",
    "pool/preloading": "functions of anyone",
    "startup": "modules of others",
    "sweeps/study/space": "sweeps of Hydra",
    "terminal": "streams",
    "tracking/journal": "methods of Lightning's loggers",
    "training/hooks": "hooks of Lightning's callbacks",
    "training/processes": "launchers of Lightning",
    "training/resuming": "settings of anyone's callbacks",
    "training/sharding": "optimisers of Lightning",
}
HEAVY = {"torch", "lightning", "torchvision", "torchmetrics", "wandb", "sklearn"}


def files(folder="."):
    return sorted((PACKAGE / folder).rglob("*.py"))


def place(path):
    return path.relative_to(PACKAGE).with_suffix("").parts


def name_of(path):
    return "/".join(place(path))


@cache
def parsed(path):
    return ast.parse(path.read_text())


@cache
def imports(path, top_level_only=False):
    return list(_imports(parsed(path).body if top_level_only else ast.walk(parsed(path)), path))


def _imports(nodes, path):
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} must use absolute imports"
            yield from (f"genexp.{alias.name}" for alias in node.names) if node.module == "genexp" else (node.module,)


def ours(path):
    """The packages of ours that a file imports, at once or in a function."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("genexp.")} - {place(path)[0]}


def test_every_package_has_a_floor_and_there_is_no_floor_for_what_is_not_there():
    assert {place(path)[0] for path in files()} == set(FLOOR)
    assert sum(map(len, FLOORS)) == len(FLOOR)


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_a_file_imports_only_from_the_floors_below(path):
    own = place(path)[0]
    above = {name for name in ours(path) if FLOOR[name] >= FLOOR[own]}
    assert not above, f"{own} may not import {above}"
    assert not ours(path) & STRANGERS.get(own, set())


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_of_the_house_stays_in_few_rooms(library):
    found = {place(path)[0] for path in files() if library in {name.split(".")[0] for name in imports(path)}}
    assert found <= LIBRARIES[library]


def test_what_is_read_of_runs_imports_nothing_that_draws_before_it_draws():
    for path in files("reports"):
        assert not {name.split(".")[0] for name in imports(path, top_level_only=True)} & {"numpy", "matplotlib"}


@pytest.mark.parametrize("path", [each for each in files() if place(each)[0] in NO_TORCH], ids=name_of)
def test_what_runs_before_a_model_is_needed_imports_no_torch(path):
    found = {name.split(".")[0] for name in imports(path, top_level_only=True)} & HEAVY
    assert bool(found) == (name_of(path) in WITH_TORCH)


@pytest.mark.parametrize("name", ALONE_WITHOUT_TORCH)
def test_a_command_begins_without_torch(name):
    assert not {each.split(".")[0] for each in imports(PACKAGE / f"{name}.py", top_level_only=True)} & HEAVY


def test_the_drawing_of_the_house_shows_its_floors_as_they_are():
    lines = (ROOT / "docs/architecture.md").read_text().split("```")[1].splitlines()
    drawn = {int(line[:2]): set(line[4:73].strip().split(", ")) for line in lines if line[:2].strip()}
    assert drawn == dict(enumerate(map(set, FLOORS)))


def test_every_file_that_the_page_of_the_house_names_is_there():
    text = (ROOT / "docs/architecture.md").read_text()
    named = {each for each in re.findall(r"`([\w/]+\.(?:py|yaml))`", text) if "/" in each}
    missing = {each for each in named if not ((PACKAGE / each).is_file() or (ROOT / "conf" / each).is_file())}
    assert len(named) > 30
    assert not {each for each in missing if not (ROOT / each).is_file()}


def module_graph(root):
    """Every module of a package with those that it imports, at once or in a function, but for its types alone."""
    names = {path: ".".join(path.relative_to(root.parent).with_suffix("").parts) for path in root.rglob("*.py")}
    modules = {name.removesuffix(".__init__") for name in names.values()}
    graph = {}
    for path, name in names.items():
        targets = graph.setdefault(name.removesuffix(".__init__"), set())
        for node in run_nodes(parsed(path) if path.is_relative_to(PACKAGE) else ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names} & modules
            elif isinstance(node, ast.ImportFrom):
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                targets |= whole & modules or {node.module} & modules
    return graph


def run_nodes(node):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from run_nodes(child)


def test_no_module_comes_back_to_itself_by_its_imports_not_even_by_late_ones():
    graph = module_graph(PACKAGE)
    assert len(graph) == len(files())
    TopologicalSorter(graph).prepare()  # its error names the circle


def test_a_circle_through_a_function_is_found_and_one_of_types_is_none(tmp_path):
    package = tmp_path / "mine"
    (package / "part").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "part/__init__.py").write_text("from mine.part.first import call")
    (package / "part/first.py").write_text("def call():\n    from mine import second\n    return second")
    (package / "second.py").write_text("if TYPE_CHECKING:\n    from mine.part import first")
    TopologicalSorter(module_graph(package)).prepare()
    (package / "second.py").write_text("def name():\n    import mine.part")
    with pytest.raises(CycleError, match=r"mine\.second"):
        TopologicalSorter(module_graph(package)).prepare()


def test_a_class_has_its_name_alone():
    classes = [node for path in files() for node in parsed(path).body if isinstance(node, ast.ClassDef)]
    counts = Counter(each.name for each in classes if not each.name.startswith("_"))
    assert {name for name, count in counts.items() if count > 1} == NAMED_TWICE


def test_a_file_has_its_name_alone_unless_others_of_that_name_are_about_the_same_thing():
    found = {}
    for path in files():
        if path.stem != "__init__":
            found.setdefault(path.stem, []).append(place(path)[0])
    assert {name: " ".join(where) for name, where in found.items() if len(where) > 1} == FILES_OF_ONE_NAME


def test_files_and_functions_keep_to_a_readable_size():
    long_files = {name_of(p): n for p in files() if (n := len(p.read_text().splitlines())) > 250}
    assert not long_files
    for path in files():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                assert lines <= 40, f"{path.name}:{node.name} has {lines} lines"


def test_what_a_sample_is_is_asked_in_one_file():
    def counts(node):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "dim"
        return called or (isinstance(node, ast.Attribute) and node.attr == "ndim")

    assert {name_of(path) for path in files() if any(map(counts, ast.walk(parsed(path))))} == set(COUNTS_AXES)


def test_what_is_ours_is_asked_by_a_protocol_and_not_by_the_name_of_an_attribute():
    def asks(node):
        return isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "setattr")

    assert {name_of(path) for path in files() if any(map(asks, ast.walk(parsed(path))))} == set(ASKS_BY_NAME)
