"""What a file is that is no ONNX model, from how it begins, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

BEGINNINGS: Mapping[bytes, str] = {
    b"version https://git-lfs": "a Git LFS pointer, not the model itself; fetch it with 'git lfs pull'",
    b"<!doctype html": "a web page, not the model itself; download the file behind it",
    b"<html": "a web page, not the model itself; download the file behind it",
    b"<?xml": "XML; if it is an OpenVINO model, give the .onnx file that it was made from",
    b"pk\x03\x04": "a ZIP archive, as PyTorch writes checkpoints; unpack it, or export the module to ONNX",
    b"\x1f\x8b": "compressed by gzip; unpack it",
    b"\x80\x02": "a pickle, as PyTorch writes checkpoints; export the module to ONNX",
    b"\x89hdf": "an HDF5 file, as Keras writes models; convert it to ONNX (tf2onnx)",
    b"gguf": "a GGUF file; export the model to ONNX",
    b"ir_version:": "an ONNX model as text; convert it with onnx.parser or google.protobuf.text_format",
    b"{": "JSON, not an ONNX model",
}
"""By the first bytes, in lower case."""

IDENTIFIERS: Mapping[bytes, str] = {
    b"ORTM": "in ONNX Runtime's own format (.ort); give the .onnx file that it was made from",
    b"TFL3": "a TensorFlow Lite model; convert it to ONNX (tf2onnx --tflite)",
}
"""By the identifier of a FlatBuffer, from its fifth byte."""

IR_VERSION = 0x08
"""The first byte of a serialized model: its first field, the IR version."""


def kind_of(start: bytes, size: int) -> str:
    """What a file is of which these are the first bytes; "" if that is unknown."""
    if start[4:8] in IDENTIFIERS:
        return IDENTIFIERS[start[4:8]]
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < size:
        return "a safetensors file, weights without a graph; export the module to ONNX"
    text = start.lstrip().lower()
    for beginning, kind in BEGINNINGS.items():
        if text.startswith(beginning):
            return kind
    if start[:1] == bytes([IR_VERSION]):
        return f"cut off after {size:,} bytes; download or export it again"
    return ""
