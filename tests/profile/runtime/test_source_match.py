"""Source nodes found without their names: in functions, in bodies, and where the runtime changed a type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import FunctionProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper

import onnxlens as api
from onnxlens.profile.runtime.source_match import originals
from tests.profile.graph.test_optimized_files import drawn
from tests.profile.models import IR_VERSION, integers, op, save, value
from tests.profile.runtime.ort_profiles import Profiled, profiled

ROWS, WIDTH = 16, 64
IMAGE = (ROWS, WIDTH)
SQUARES = {name: (WIDTH, WIDTH) for name in ("w1", "w2", "w3")}
TRUE = numpy_helper.from_array(np.array(True), "true")


def sources(ran: Profiled) -> dict[str, list[str]]:
    """The names of the source nodes of each node of the optimized graph."""
    return {
        key: [ran.graph.nodes[source].view.name for source in it.sources]
        for key, it in ran.provenances.items()
    }


@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("InsertedPrecisionFreeCast_conv2d_nchwc", "conv2d"),
        ("FusedBack_relu_1", "relu_1"),
        ("fused node_conv_token_3", "node_conv"),
        ("fc/MatMulAddFusion/", "fc"),
        ("fc_FusedActivation", "fc"),
        ("norm_bn_nchwc", "norm"),
    ],
)
def test_a_name_of_the_runtimes_making_begins_or_ends_as_its_rewriting_writes(
    name: str, original: str
) -> None:
    assert list(originals(name))[-1] == original
    assert list(originals(original)) == []


@pytest.mark.parametrize("level", ["basic", "all"])
def test_a_convolution_in_half_precision_is_its_own_source(tmp_path: Path, level: str) -> None:
    settings = api.Settings(weights="seeded", dtype="float16", height=64, width=64)
    ran = profiled(api.export_graph("hed", tmp_path, settings).onnx_path, level)
    assert ran.unattributed == (0.0, 0)
    assert ran.misattributed_macs == ran.unmatched_sources == []
    assert [ran.op_types(it) for it in ran.of("Conv")] == [["Conv"]] * 18
    for it in ran.of("Conv"):
        assert it.kind == "node"
        assert it.module_path == ran.graph.nodes[it.sources[0]].module.path


def test_a_decomposed_norm_in_half_precision_belongs_to_the_norm(tmp_path: Path) -> None:
    # GroupNormalization has no kernel; its parts run between casts, and the last one's value is renamed
    settings = api.Settings(weights="seeded", opset=23, dtype="float16")
    ran = profiled(api.export_graph("tests.conformance.nets:upsampler", tmp_path, settings).onnx_path, "all")
    pieces = [
        it.module_path for key, it in ran.provenances.items() if "GroupNorm" in key or "group_norm" in key
    ]
    assert len(pieces) > 20
    assert set(pieces) == {"norm"}
    assert ran.misattributed_macs == ran.unmatched_sources == []


def layer(*steps: NodeProto) -> FunctionProto:
    """A function of an image, a weight and a bias."""
    return helper.make_function("own", "Layer", ["a", "w", "b"], ["r"], steps, [helper.make_opsetid("", 18)])


def calls(folder: Path, *steps: NodeProto, shape: tuple[int, ...] = IMAGE) -> Profiled:
    """Three calls of the function, one after the other, each with a weight and a bias of its own."""
    made = [op("Layer", f"{'xpq'[i]} w{i + 1} b{i + 1}", "pqy"[i]) for i in range(3)]
    for call in made:
        call.domain = "own"
    held = drawn(SQUARES | {name: (WIDTH,) for name in ("b1", "b2", "b3")})
    graph = helper.make_graph(made, "functions", [value("x", shape)], [value("y", shape)], held)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, functions=[layer(*steps)])
    path = folder / "functions.onnx"
    onnx.save(model, path)
    return profiled(path, "all")


def test_what_runs_inside_a_function_of_the_file_is_found_call_by_call(tmp_path: Path) -> None:
    ran = calls(tmp_path, op("MatMul", "a w", "m"), op("Erf", "m", "e"), op("Mul", "e b", "r"))
    assert [(it.op_type, it.kind, it.sources) for it in ran.provenances.values()] == [
        (op_type, "node", (index,)) for index, op_type in enumerate(["MatMul", "Erf", "Mul"] * 3)
    ]


def test_what_a_product_inside_a_function_takes_in_belongs_to_its_call(tmp_path: Path) -> None:
    ran = calls(tmp_path, op("MatMul", "a w", "m"), op("Add", "m b", "s"), op("Erf", "s", "r"))
    assert [(it.op_type, it.kind, it.sources) for it in ran.provenances.values()] == [
        found
        for first in (0, 3, 6)
        for found in (("Gemm", "fused", (first, first + 1)), ("Erf", "node", (first + 2,)))
    ]


def test_two_reshapes_of_neighboring_calls_are_one_node_and_separate_no_call(tmp_path: Path) -> None:
    steps = [op("Reshape", "a flat", "f"), op("Gemm", "f w b", "g"), op("Erf", "g", "e"),
             op("Reshape", "e back", "r")]  # fmt: skip
    shapes = [op("Constant", "", name, value_ints=sizes) for name, sizes in
              (("flat", [ROWS, WIDTH]), ("back", [2, ROWS // 2, WIDTH]))]  # fmt: skip
    ran = calls(tmp_path, *shapes, *steps, shape=(2, ROWS // 2, WIDTH))
    products = [[name for name in ran.op_types(it) if name == "Gemm"] for it in ran.of("Gemm")]
    assert products == [["Gemm"]] * 3
    assert ran.misattributed_macs == []


def test_an_unknown_value_is_no_constant(tmp_path: Path) -> None:
    # both sums read x; what one of them adds has another name in the optimized graph, the other a constant
    held = [*drawn(SQUARES), numpy_helper.from_array(np.float32(2), "two"), TRUE]
    then = helper.make_graph([op("Tanh", "x", "t"), op("Add", "x t", "s")], "then", [], [value("s", IMAGE)])
    other = helper.make_graph([op("Add", "x two", "s")], "other", [], [value("s", IMAGE)])
    nodes = [op("If", "true", "q", then_branch=then, else_branch=other), op("Mul", "q two", "y")]
    ran = profiled(save(tmp_path, nodes, [value("x", IMAGE)], [value("y", IMAGE)], held), "all")
    assert [sources(ran)[it.node] for it in ran.of("Add")] == [["q/then_branch/node_s", "node_q"]]


def branch(weight: str, activation: str) -> GraphProto:
    """Two nodes, with names that the other branch has too."""
    nodes = [op("MatMul", f"x {weight}", "m"), op(activation, "m", "r")]
    return helper.make_graph(nodes, weight, [], [value("r", IMAGE)])


def choice(condition: str, output: str, activations: tuple[str, str] = ("Relu", "Tanh")) -> NodeProto:
    then, other = (branch(weight, op_type) for weight, op_type in zip(("w1", "w2"), activations, strict=True))
    return op("If", condition, output, then_branch=then, else_branch=other)


FLAG = value("flag", (), TensorProto.BOOL)


@pytest.mark.parametrize("renamed", [False, True])
@pytest.mark.parametrize("taken", [False, True])
def test_the_branch_that_ran_has_the_events(tmp_path: Path, taken: bool, renamed: bool) -> None:
    # the runtime removes an Identity behind the If, which then makes y: its bodies' names begin otherwise
    nodes = [choice("flag", "q"), op("Identity", "q", "y")] if renamed else [choice("flag", "y")]
    path = save(tmp_path, nodes, [value("x", IMAGE), FLAG], [value("y", IMAGE)], drawn(SQUARES))
    fed = {"x": np.ones(IMAGE, np.float32), "flag": np.array(taken)}
    ran = profiled(path, "all", fed)
    assert ran.unattributed == (0.0, 0)
    assert ran.misattributed_macs == ran.unmatched_sources == []
    inside = ("q" if renamed else "y") + ("/then_branch/" if taken else "/else_branch/")
    made = [sources(ran)[key] for key in ran.keys if key is not None]
    assert made[:2] == [[f"{inside}node_m"], [f"{inside}node_r"]]


def test_a_branch_that_a_constant_chooses_is_written_out_and_the_other_has_no_time(tmp_path: Path) -> None:
    path = save(
        tmp_path, [choice("true", "y")], [value("x", IMAGE)], [value("y", IMAGE)], [*drawn(SQUARES), TRUE]
    )
    ran = profiled(path, "all")
    assert list(sources(ran).values()) == [["y/then_branch/node_m"], ["y/then_branch/node_r", "node_y"]]
    assert ran.unmatched_sources == ["y/else_branch/node_m", "y/else_branch/node_r"]


def test_unnamed_nodes_of_a_loop_are_found_by_their_position_in_its_body(tmp_path: Path) -> None:
    nodes = [op("MatMul", "before w1", "m"), op("Relu", "m", "after"), op("Identity", "go", "still")]
    for node in nodes:
        node.ClearField("name")
    given = [value("turn", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("before", IMAGE)]
    body = helper.make_graph(
        nodes, "body", given, [value("still", (), TensorProto.BOOL), value("after", IMAGE)]
    )
    path = save(
        tmp_path,
        [op("Loop", "count true x", "y", body=body)],
        [value("x", IMAGE)],
        [value("y", IMAGE)],
        [*drawn(SQUARES), integers("count", 3), TRUE],
    )
    ran = profiled(path, "all")
    inside = ["y/body/Identity:still", "y/body/MatMul:m", "y/body/Relu:after"]
    assert list(ran.keys) == [*inside * 3, "node_y"]
    assert ran.unmatched_sources == []


def test_what_keeps_a_loop_inside_a_function_going_is_found(tmp_path: Path) -> None:
    body = helper.make_graph(
        [op("Identity", "go", "still"), op("MatMul", "before w", "m"), op("Tanh", "m", "after")],
        "body",
        [value("turn", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("before", None)],
        [value("still", (), TensorProto.BOOL), value("after", None)],
    )
    for node in body.node:
        node.ClearField("name")
    count = helper.make_node("Constant", [], ["count"], value_int=3)
    ran = calls(tmp_path, count, op("Loop", "count - a", "r", body=body))
    identities = [it for it in ran.provenances.values() if it.op_type == "Identity"]
    assert [(it.kind, *ran.op_types(it)) for it in identities] == [("node", "Identity")] * 3
    assert ran.unattributed == (0.0, 0)
