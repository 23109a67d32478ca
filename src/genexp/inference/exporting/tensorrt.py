"""Whether TensorRT's reader of ONNX takes a file, by a written list, and the line that builds an engine of it."""

from collections.abc import Iterable

from genexp.inference.exporting.graphs import Graph

MOST = 64
"""Largest batch of the engine that the line builds."""

_NAMES = """
BitShift BlackmanWindow CastLike Col2Im Compress ConcatFromSequence ConvInteger Det DFT DynamicQuantizeLinear
HammingWindow HannWindow Hardmax MatMulInteger MaxRoiPool MaxUnpool MeanVarianceNormalization MelWeightMatrix
Multinomial NegativeLogLikelihoodLoss Optional OptionalGetElement OptionalHasElement QLinearConv QLinearMatMul
RandomNormal RandomNormalLike Bernoulli SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
SequenceLength SequenceMap SoftmaxCrossEntropyLoss SplitToSequence STFT StringNormalizer TfIdfVectorizer Unique
"""

UNSUPPORTED = frozenset(_NAMES.split())
"""Operators that the published support matrix of onnx-tensorrt has no layer for (TensorRT 8.5 to 10.0)."""


def unsupported(operators: Iterable[str]) -> list[str]:
    """Those of a file's operators that TensorRT has no layer for, in order."""
    return sorted(UNSUPPORTED.intersection(operators))


def trtexec(graph: Graph, file: str) -> str:
    """The line that builds an engine for 1 to `MOST` samples."""
    sizes = {"min": 1, "opt": MOST // 4, "max": MOST}
    shapes = [f"--{name}Shapes={_shapes(graph, rows)}" for name, rows in sizes.items()]
    return " ".join([f"trtexec --onnx={file}", *shapes, f"--saveEngine={file.removesuffix('.onnx')}.plan"])


def _shapes(graph: Graph, rows: int) -> str:
    return ",".join(
        f"{name}:{'x'.join(map(str, (rows, *each.example.shape[1:])))}" for name, each in graph.inputs.items()
    )
