"""The house has floors: a file imports only from rows above its own (see CONTRIBUTING)."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src/genexp"


def files(folder="."):
    return sorted((PACKAGE / folder).rglob("*.py"))


def place(path):
    return path.relative_to(PACKAGE).with_suffix("").parts


FILES = ("yaml_files", "record_files", "partial_files", "writing")
ROOTS = {"contracts", "tensors", "ramps", "terminal", "shipped", "startup", "on_disk", "weights_files", *FILES}
BELOW = {  # package -> packages of ours that it may import beside layer 0 and itself
    "data": set(),
    "networks": set(),
    "losses": set(),
    "latents": {"data", "networks", "losses"},
    "adversarial": {"data", "networks", "losses"},
    "diffusion": {"data", "networks", "losses"},
    "families": {"losses", "latents", "adversarial", "diffusion"},
    "sampling": {"diffusion"},
    "evaluation": {"data", "networks", "losses"},
    "callbacks": {"sampling", "evaluation"},
    "reports": {"runs"},  # of runs the folder alone, see below
    "runs": None,  # everything
    "sweeps": None,
    "ablations": None,
    "commands": None,
    "__main__": None,
    "__init__": None,
}
HEAVY_FREE = [
    "__main__",
    "runs/folder",
    "runs/config",
    "runs/claim",
    "runs/launch",
    "runs/provenance",
    "runs/origin",
    "runs/problems",
    "runs/rules",
    "runs/fields",
    "runs/arguments",
    "runs/devices",
    "runs/interpolations",
    "runs/validation",
    "on_disk",
    "commands/compare",
    "commands/train",
    "terminal",
    "startup",
    "yaml_files",
    "partial_files",
    "record_files",
    "writing",
    "runs/records",
    "runs/shapes",
    *("/".join(place(path)) for folder in ("ablations", "sweeps") for path in files(folder)),
]
ONLY_IN_RUNS = {"hydra", "omegaconf", "wandb"}


def imports(path, top_level_only=False):
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} must use absolute imports"
            yield node.module


@pytest.mark.parametrize("path", files(), ids=lambda path: "/".join(place(path)))
def test_a_file_imports_only_from_the_floors_below(path):
    own = place(path)[0]
    allowed = BELOW.get(own, set())
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "genexp" or allowed is None:
            continue
        target = parts[1] if len(parts) > 1 else "__init__"
        assert target == own or target in ROOTS or target in allowed, f"{own} may not import {name}"


@pytest.mark.parametrize("path", files(), ids=lambda path: "/".join(place(path)))
def test_hydra_and_wandb_stay_in_runs_and_commands(path):
    if place(path)[0] not in ("runs", "sweeps", "commands", "__main__"):
        assert not {name.split(".")[0] for name in imports(path)} & ONLY_IN_RUNS


def test_families_know_no_concrete_network_sampler_or_dataset():
    for path in files("families"):
        assert not {name.split(".")[1] for name in imports(path) if name.startswith("genexp.")} & {
            "networks",
            "sampling",
            "data",
        }


def test_reports_read_run_folders_and_import_nothing_heavy():
    for path in files("reports"):
        for name in imports(path):
            assert name.split(".")[0] not in {"torch", "lightning", "hydra", "omegaconf"}
            if name.startswith("genexp."):
                assert name.split(".")[1] in ("reports", "terminal", *FILES) or name == "genexp.runs.folder"
        assert not {name.split(".")[0] for name in imports(path, top_level_only=True)} & {"numpy", "matplotlib"}


@pytest.mark.parametrize("name", HEAVY_FREE)
def test_what_runs_before_a_model_is_needed_imports_no_torch(name):
    heavy = {"torch", "lightning", "torchvision", "torchmetrics", "wandb", "sklearn"}
    for module in imports(PACKAGE / f"{name}.py", top_level_only=True):
        assert module.split(".")[0] not in heavy


def module_graph(root):
    """Every module of a package with those that it imports, at once or in a function, but for its types alone."""
    names = {path: ".".join(path.relative_to(root.parent).with_suffix("").parts) for path in root.rglob("*.py")}
    modules = {name.removesuffix(".__init__") for name in names.values()}
    graph = {}
    for path, name in names.items():
        targets = graph.setdefault(name.removesuffix(".__init__"), set())
        for node in run_nodes(ast.parse(path.read_text())):
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


def test_files_and_functions_keep_to_a_readable_size():
    long_files = {"/".join(place(p)): n for p in files() if (n := len(p.read_text().splitlines())) > 250}
    assert not long_files
    for path in files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                assert lines <= 40, f"{path.name}:{node.name} has {lines} lines"
