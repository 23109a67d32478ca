"""What of a traced graph follows from weights alone, computed before it is written where a format has no word."""

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram

Shapes = tuple[dict[int, Dim], ...]
"""The axes of every input that may differ."""

_SOLVING = ("aten.linalg_", "aten._linalg_", "aten.triangular_solve", "aten.lu_", "aten.cholesky", "aten.inverse")
"""Solvers of linear systems, which ONNX has none of: flows and samplers use them on weights and numbers of a grid."""


def folded(program: ExportedProgram, examples: tuple[Tensor, ...], shapes: Shapes) -> ExportedProgram:
    """The same function without solvers of systems that do not depend on its inputs; itself where it has none.

    Args:
        program: What was traced.
        examples: Its inputs.
        shapes: Dynamic shapes of the inputs, one an input.
    """
    module = program.run_decompositions({}).module()
    constants = _Constants(module)
    solving = [node for node in module.graph.nodes if str(node.target).startswith(_SOLVING)]
    before = len(module.graph.nodes)
    for node in solving:
        if not constants.holds(node):
            _inverted(module, node, constants)
            continue
        for use in [each for each in node.users if constants.holds(each)] or [node]:
            _put(module, use, constants.value(use))
    if len(module.graph.nodes) == before:
        return program  # as it was traced, with the names of its modules
    module.graph.eliminate_dead_code()
    module.recompile()
    with torch.no_grad():
        return torch.export.export(module, examples, dynamic_shapes=shapes, strict=False)


def _inverted(module: fx.GraphModule, node: fx.Node, constants: "_Constants") -> None:
    """Put the product with the inverse in the place of a triangular system of weights, solved for what is computed."""
    if node.target is not torch.ops.aten.linalg_solve_triangular.default or not constants.holds(node.args[0]):
        return
    matrix, rest = node.args[:2]
    weights, how = constants.value(matrix), dict(node.kwargs)
    left = how.pop("left", True)
    inverse = torch.linalg.solve_triangular(weights, torch.eye(weights.shape[-1]).to(weights), **how)
    with module.graph.inserting_before(node):
        known = module.graph.get_attr(_kept(module, inverse))
        order = (known, rest) if left else (rest, known)
        node.replace_all_uses_with(module.graph.call_function(torch.ops.aten.matmul.default, order))


def _put(module: fx.GraphModule, node: fx.Node, value: object) -> None:
    if isinstance(value, Tensor):
        with module.graph.inserting_before(node):
            node.replace_all_uses_with(module.graph.get_attr(_kept(module, value)))


def _kept(module: fx.GraphModule, value: Tensor) -> str:
    """The name under which a module keeps a value."""
    name = f"solved_{sum(each.startswith('solved_') for each, _ in module.named_buffers())}"
    module.register_buffer(name, value.detach().clone())
    return name


class _Constants:
    """Nodes of a graph that do not depend on its inputs, and their values."""

    def __init__(self, module: fx.GraphModule) -> None:
        self._module, self._values, self._held = module, {}, {}

    def holds(self, node: fx.Node) -> bool:
        """Whether a node is one."""
        if node not in self._held:
            computed = node.op == "call_function" and all(self.holds(each) for each in node.all_input_nodes)
            self._held[node] = node.op == "get_attr" or computed
        return self._held[node]

    def value(self, node: fx.Node) -> Any:
        """Its value."""
        if node not in self._values:
            if node.op == "get_attr":
                self._values[node] = _attribute(self._module, str(node.target))
            else:
                given = fx.map_arg((node.args, node.kwargs), self.value)
                self._values[node] = node.target(*given[0], **given[1])
        return self._values[node]


def _attribute(module: nn.Module, path: str) -> Any:
    for name in path.split("."):
        module = getattr(module, name)
    return module
