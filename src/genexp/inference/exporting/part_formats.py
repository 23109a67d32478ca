"""Formats that hold one part of a model, with the name of their file. Imports nothing."""

PARTS_IN = {
    "onnx": "model.onnx",
    "openvino": "model.xml",
    "torch_export": "model.pt2",
    "safetensors": "model.safetensors",
}
"""The file by the name that `format` has."""
