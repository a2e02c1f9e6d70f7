"""What is changed: the node models of ONNX's backend suite, and files that have all that onnxlens reads."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, parser
from onnx.backend.test.loader import load_model_tests
from safetensors.torch import save

from onnxlens import export_graph
from onnxlens.profile.graph.scopes import CLASSES_KEY, SCOPES_KEY
from tests.export.tiny import TARGET, Tiny

OURS: Mapping[str, str] = {
    "modules": """
        <ir_version: 10, opset_import: ["" : 18], metadata_props: ["a": "b"]>
        net (float[N, 3, 8, 8] x) => (float[N, 4] y)
        <float[4, 3, 3, 3] stem_weight = {@108}, float[4] stem_bias = {@1}, int64[2] axes = {2, 3},
         float[4, 4] head_weight = {@16}>
        {
            [_stem_Conv] a = Conv <pads = [1, 1, 1, 1]> (x, stem_weight, stem_bias)
            [_stem_Relu] b = Relu(a)
            [_body_body_0_Sigmoid] c = Sigmoid(b)
            [_body_body_0_Mul] d = Mul(b, c)
            [_body_Add] e = Add(d, b)
            [_ReduceMean] f = ReduceMean <keepdims = 0> (e, axes)
            [_head_MatMul] y = MatMul(f, head_weight)
        }""",
    "control": """
        <ir_version: 10, opset_import: ["" : 21]>
        net (float[2, 3] x, bool choose, float[4, 2] rows) => (float[2, 3] y, float[N, 2, 3] z, float[4, 2] s)
        <int64 trips = {3}, bool go = {1}, float[3, 3] w = {@9}>
        {
            [branch] y = If (choose) <
                then_branch = g1 () => (float[2, 3] t) { t = MatMul(x, w) },
                else_branch = g2 () => (float[2, 3] e) { h = Exp(x) e = Add(h, h) }
            >
            [rounds] last, z = Loop (trips, go, x) <
                body = b (int64 i, bool c, float[2, 3] v) => (bool k, float[2, 3] n, float[2, 3] o) {
                    k = Identity(c) n = MatMul(v, w) o = Relu(n)
                }
            >
            zero = Constant <value = float[2] {0.0, 0.0}> ()
            [sum] total, s = Scan <num_scan_inputs = 1,
                body = d (float[2] state, float[2] row) => (float[2] next, float[2] out) {
                    next = Add(state, row) out = Identity(next)
                }
            > (zero, rows)
        }""",
    "functions": """
        <ir_version: 10, opset_import: ["" : 20, "own" : 1, "com.microsoft" : 1]>
        net (float[2, 5, 8] x) => (float[2, 5, 8] y)
        <float[8, 8] w = {@64}, float[8] gamma = {@8}>
        {
            [first] a = own.twice <scale = 2.0> (x, w)
            [second] b = own.twice (a, w)
            [attend] c = com.microsoft.MultiHeadAttention <num_heads = 2> (b, b, b)
            [norm] y = LayerNormalization <axis = -1> (c, gamma)
        }
        <domain: "own", opset_import: ["" : 20]>
        inner (p) => (q) { q = Gelu(p) }
        <domain: "own", opset_import: ["" : 20, "own" : 1]>
        twice <scale: float = 1.0> (p, w) => (q) {
            m = MatMul(p, w)
            s = Constant <value_float: float = @scale> ()
            n = Mul(m, s)
            q = own.inner(n)
        }""",
    "shapes": """
        <ir_version: 10, opset_import: ["" : 18]>
        net (float[batch, length, 12] x, int64[2] sizes) => (float[a, b, c] y, int64[n] z)
        <int64[1] zero = {0}, int64[1] two = {2}, int64[1] end = {9223372036854775807},
         uint8[12, 6] q = {@72}, float scale = {0.1}, uint8 point = {3}, int64[3] form = {0, -1, 6}>
        {
            s = Shape(x)
            front = Slice(s, zero, two)
            six = Constant <value_ints = [6]> ()
            target = Concat <axis = 0> (front, six)
            w = DequantizeLinear(q, scale, point)
            m = MatMul(x, w)
            r = Reshape(m, target)
            parts = SplitToSequence <axis = 1> (r)
            at = Constant <value_int = 0> ()
            one = SequenceAt(parts, at)
            y = Reshape(one, form)
            found = NonZero(y)
            z = Gather <axis = 0> (sizes, zero)
        }""",
}
"""Modules by name, what runs inside nodes, functions, and shapes that are computed; ``{@n}`` is n numbers."""

GROUPS = """
include = []
[[group]]
name = "Front"
modules = ["conv..norm"]
[[group]]
name = "Attention"
closed = true
[[group.group]]
name = "Projections"
modules = ["attention.q", "attention.k..attention.v"]
"""


@dataclass(frozen=True)
class Seeds:
    """Files before they are changed.

    Attributes:
        models: by name.
        exported: the tiny network's graph, data and manifest, by file name.
        checkpoints: of the tiny network, by file name.
        others: a picture, ``p.png``, and an input of the tiny network, ``a.npz``.
    """

    models: Mapping[str, bytes]
    exported: Mapping[str, bytes]
    checkpoints: Mapping[str, bytes]
    others: Mapping[str, bytes]


def prepare(folder: Path) -> None:
    """Write all files into the folder: for workers to read."""
    exported = folder / "exported"
    export_graph(TARGET, exported)
    models = {**_ours(), "tiny": (exported / "tiny.onnx").read_bytes(), **_of_the_suite()}
    others = {"p.png": _picture(), "a.npz": _npz()}
    for part, files in (("models", models), ("checkpoints", _checkpoints()), ("others", others)):
        (folder / part).mkdir()
        for name, data in files.items():
            (folder / part / name).write_bytes(data)


def read(folder: Path) -> Seeds:
    """The files that ``prepare`` has written."""
    parts = (field.name for field in fields(Seeds))
    return Seeds(
        *({path.name: path.read_bytes() for path in sorted((folder / part).iterdir())} for part in parts)
    )


def _of_the_suite() -> Mapping[str, bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # making some of the models divides by zero on purpose
        cases = [case for case in load_model_tests(kind="node") if case.model is not None]
    return {case.name: case.model.SerializeToString() for case in cases}


def _ours() -> Mapping[str, bytes]:
    found = {name: _parsed(text) for name, text in OURS.items()}
    scoped = found["modules"].__deepcopy__()
    scoped.graph.metadata_props.add(
        key="pkg.torch.export.ExportedProgram.graph_signature", value="p: PARAMETER target='stem.weight'"
    )
    for node in scoped.graph.node:
        names = ["", *node.name.strip("/").split("/")]
        node.metadata_props.add(key=SCOPES_KEY, value=repr(names))
        node.metadata_props.add(
            key=CLASSES_KEY, value=repr(["net.Net", *("torch.nn.Module" for _ in names[1:-1]), "aten.op"])
        )
    outside = found["modules"].__deepcopy__()
    outside.graph.initializer.append(
        TensorProto(
            name="far",
            data_type=TensorProto.FLOAT,
            dims=[4],
            data_location=TensorProto.EXTERNAL,
            external_data=[
                onnx.StringStringEntryProto(key=key, value=value)
                for key, value in (("location", "m.data"), ("offset", "0"), ("length", "16"))
            ],
        )
    )
    outside.graph.node.append(helper.make_node("Add", ["y", "far"], ["last"]))
    outside.graph.output[0].name = "last"
    every = {**found, "scoped": scoped, "outside": outside}
    return {name: model.SerializeToString() for name, model in every.items()}


def _parsed(text: str) -> onnx.ModelProto:
    """The model; weights and nodes get the names that PyTorch gives, which the parser does not take."""
    data: bytes = parser.parse_model(_numbers_written(text)).SerializeToString()
    for name in (b"stem_weight", b"stem_bias", b"head_weight", b"body_0"):
        data = data.replace(name, name.replace(b"_", b"."))
    model = onnx.load_from_string(data)
    for node in model.graph.node:
        if node.name.startswith("_"):
            node.name = node.name.replace("_", "/")
    return model


def _numbers_written(text: str) -> str:
    """``{@3}`` as ``{1, 1, 1}``."""
    before, *rest = text.split("{@")
    parts = (part.partition("}") for part in rest)
    return before + "".join("{" + ", ".join(["1"] * int(count)) + "}" + after for count, _, after in parts)


def _checkpoints() -> Mapping[str, bytes]:
    state: dict[str, torch.Tensor] = {f"tiny.{key}": value for key, value in Tiny().state_dict().items()}
    writers: Mapping[str, Callable[[io.BytesIO], None]] = {
        "new.pth": lambda file: torch.save({"state_dict": state, "step": 3}, file),
        "old.pt": lambda file: torch.save(state, file, _use_new_zipfile_serialization=False),
    }
    held = {}
    for name, write in writers.items():
        write(file := io.BytesIO())
        held[name] = file.getvalue()
    names: Sequence[str] = [*state]
    index = json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, "plain.safetensors")})
    return {**held, "plain.safetensors": save(state), "model.safetensors.index.json": index.encode()}


def _picture() -> bytes:
    rows = np.arange(24 * 32 * 3, dtype=np.uint8).reshape(24, 32, 3)
    return bytes(cv2.imencode(".png", rows)[1])


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, image=np.zeros((1, 3, 6, 6), np.float32))
    return file.getvalue()
