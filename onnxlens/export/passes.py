"""What is done to a traced graph before it is written, one promise each; then ONNX's own checks.

Group normalizations over very many elements are split, so that float32 runtimes compute them right. Before
opset 21, torch writes one as a reshape, InstanceNormalization, and a reshape back. Runtimes sum such an
instance in float32 one element after the other: over the million elements of a group of the VAE at 512 x 512
pixels, ONNX Runtime's result is off by 1e-5 of its size, and after a row of such layers by more. Sums of
partial sums are ten times closer. docs/decisions/0004 has the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging import ERROR
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript import optimizer

from onnxlens.errors import ExportError, first_line
from onnxlens.export.tracing import quiet_logs
from onnxlens.specs.graph import LONGEST_SUM

KEPT_METADATA = ("pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy")
"""What the exporter says of a node that is about the model. The rest (stack traces, fx nodes) is about the
machine that exported: it carries absolute paths and makes files differ from run to run."""

FOLD_LIMIT_ELEMENTS = 64 * 1024
"""The largest tensor that folding may read or make: masks and tables, nothing of a weight's size."""


def name_weights(model: ir.Model, aliases: Mapping[str, str]) -> None:
    """Call a weight that has several names by the first: the exporter takes the last.

    A constant that is called like an input or output gets another name.
    """
    graph = model.graph
    taken = [_name(value) for value in (*graph.inputs, *graph.outputs)]
    renamed = {**{name: f"{name}.constant" for name in taken}, **aliases}
    for weight in [weight for name, weight in graph.initializers.items() if name in renamed]:
        name = _name(weight)
        del graph.initializers[name]
        weight.name = renamed[name]
        graph.initializers[renamed[name]] = weight


def simplify(model: ir.Model, *, split: bool = True) -> None:
    """Fold shape arithmetic and constants, infer shapes, drop what is unused.

    Weights are graph inputs meanwhile: nothing that depends on a weight is folded, so every weight keeps its
    name and value, and the same module gives the same graph whether its weights are known or not. Equal
    expressions are not merged, as the exporter's own optimiser would: that takes work away from all modules
    but the first.
    """
    with weights_as_inputs(model.graph), quiet_logs({"onnx_ir": ERROR, "onnxscript": ERROR}):
        common.InlinePass()(model)
        fold(model)
        if split:
            split_long_normalizations(model.graph)
        fold(model)
        for tidy in (
            common.RemoveUnusedNodesPass(),
            common.RemoveUnusedFunctionsPass(),
            common.RemoveUnusedOpsetsPass(),
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            common.DeduplicateInitializersPass(size_limit=FOLD_LIMIT_ELEMENTS),
            common.OutputFixPass(),
            common.NameFixPass(),
        ):
            tidy(model)


def fold(model: ir.Model) -> None:
    """Fold constants and shape arithmetic, and infer shapes."""
    optimizer.fold_constants(
        model,
        onnx_shape_inference=True,
        input_size_limit=FOLD_LIMIT_ELEMENTS,
        output_size_limit=FOLD_LIMIT_ELEMENTS,
    )


@contextmanager
def weights_as_inputs(graph: ir.Graph) -> Iterator[None]:
    """Turn the graph's initializers into graph inputs for the duration of the context."""
    weights = list(graph.initializers.values())
    values = [weight.const_value for weight in weights]
    for weight in weights:
        weight.const_value = None
        graph.initializers.pop(_name(weight))
    graph.inputs.extend(weights)
    try:
        yield
    finally:
        for weight, value in zip(weights, values, strict=True):
            graph.inputs.remove(weight)
            weight.const_value = value
            graph.initializers[_name(weight)] = weight


def keep_module_metadata(model: ir.Model) -> None:
    """Leave on every node its module scopes and classes and nothing else.

    Raises:
        ExportError: no node has scopes: this exporter version does not write them.
    """
    scoped = 0
    for node in model.graph.all_nodes():
        for key in set(node.metadata_props) - set(KEPT_METADATA):
            del node.metadata_props[key]
        scoped += KEPT_METADATA[0] in node.metadata_props
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.metadata_props.clear()
    if not scoped:
        raise ExportError(
            f"{model.graph.name}: the exporter wrote no module scopes; use a torch from 2.11 on"
        )


def _name(value: ir.Value) -> str:
    if value.name is None:
        raise ExportError("the exporter wrote a value without a name")
    return value.name


def check_graph(model: ir.Model) -> None:
    """Check nodes, types and shapes on a copy in which the weights are graph inputs: no weight has to exist.

    Raises:
        ExportError: the checker refuses the graph.
    """
    with weights_as_inputs(model.graph):
        copy = ir.to_proto(model)
    try:
        onnx.checker.check_model(copy, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(
            f"{model.graph.name}: ONNX's checker refuses the graph: {first_line(error)}{_remedy(error)}"
        ) from error


def check_file(path: Path) -> None:
    """Check that the file, with the weights it points at, can be opened as a whole.

    Raises:
        ExportError: the checker refuses the file.
    """
    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        raise ExportError(f"{path.name}: ONNX's checker refuses the file: {first_line(error)}") from error


def _remedy(error: Exception) -> str:
    """Convolutions, poolings and much else take bfloat16 since opset 22."""
    return "; from --opset 22 on it takes bfloat16" if "tensor(bfloat16)" in str(error) else ""


INNER_SUM = 2**14
"""At most so many elements are summed in the first step."""

HALF_TYPES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
"""Squares and sums of these are taken in float32, as a runtime's own InstanceNormalization takes them."""


def split_long_normalizations(graph: ir.Graph) -> None:
    """Replace each InstanceNormalization over more than ``LONGEST_SUM`` elements by means in two steps."""
    for node in list(graph):
        if node.op_type == "InstanceNormalization" and (rows := _rows(node)) > 1:
            _replace(graph, node, rows)


def _rows(node: ir.Node) -> int:
    """Into how many equal parts an instance is cut: 1 where it is short, or cannot be cut."""
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    if shape is None or not shape.is_static():
        return 1
    elements = prod(int(size) for size in shape.numpy()[2:])
    if elements <= LONGEST_SUM:
        return 1
    rows = 1
    while elements // rows > INNER_SUM and elements % (2 * rows) == 0:
        rows *= 2
    return rows


def _replace(graph: ir.Graph, node: ir.Node, rows: int) -> None:
    """(x - mean) / sqrt(mean((x - mean)^2) + epsilon), over (N, C, rows, rest), then scale and bias."""
    x, scale, bias = node.inputs
    if x is None or x.shape is None:
        return
    sizes = [int(size) for size in x.shape.numpy()]
    tape = ir.tape.Tape()
    half = x.dtype if x.dtype in HALF_TYPES else None
    wide = x if half is None else tape.op("Cast", [x], {"to": ir.DataType.FLOAT})
    cut = tape.op("Reshape", [wide, _ints(tape, [sizes[0], sizes[1], rows, -1])])
    centered = tape.op("Sub", [cut, _mean(tape, cut)])
    variance = _mean(tape, tape.op("Mul", [centered, centered]))
    epsilon = np.array(node.attributes.get_float("epsilon", 1e-5), np.float32)
    deviation = tape.op("Sqrt", [tape.op("Add", [variance, _constant(tape, epsilon)])])
    result = tape.op("Reshape", [tape.op("Div", [centered, deviation]), _ints(tape, sizes)])
    if half is not None:
        result = tape.op("Cast", [result], {"to": half})
    per_channel = [1, sizes[1], *[1] * (len(sizes) - 2)]
    for operator, value, neutral in (("Mul", scale, 1.0), ("Add", bias, 0.0)):
        if not _is_filled_with(value, neutral):
            result = tape.op(operator, [result, tape.op("Reshape", [value, _ints(tape, per_channel)])])
    for step in tape.nodes:
        step.metadata_props.update(node.metadata_props)
    result.shape = node.outputs[0].shape
    ir.convenience.replace_nodes_and_values(graph, node, [node], tape.nodes, node.outputs, [result])


def _mean(tape: ir.tape.Tape, value: ir.Value) -> ir.Value:
    """The mean over the last two axes, the last one first."""
    inner = tape.op("ReduceMean", [value, _ints(tape, [3])], {"keepdims": 1})
    return tape.op("ReduceMean", [inner, _ints(tape, [2])], {"keepdims": 1})


def _ints(tape: ir.tape.Tape, values: list[int]) -> ir.Value:
    return _constant(tape, np.array(values, np.int64))


def _constant(tape: ir.tape.Tape, value: np.ndarray) -> ir.Value:
    return tape.op("Constant", [], {"value": ir.tensor(value)})


def _is_filled_with(value: ir.Value | None, number: float) -> bool:
    constant = ir.convenience.get_const_tensor(value) if value is not None else None
    return constant is not None and bool((constant.numpy() == number).all())
