"""Packed weights: what each operator's stands for, views of one, and what is stored beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.count.packing import packing
from onnxlens.profile.count.parameters import parameter_sizes
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.ledger import Totals
from tests.profile.count.rules.nodes import node
from tests.profile.models import integers, op, save, value

MICROSOFT = "com.microsoft"
OPSETS = {"": 21, MICROSOFT: 1, "qonnx.custom_op.general": 1, "com.amd.quark": 1}


def tensor(name: str, shape: Sequence[int], dtype: Any = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.ones(shape, dtype), name)


def number(name: str, held: float) -> TensorProto:
    return numpy_helper.from_array(np.array(held, np.float32), name)


def loaded(folder: Path, nodes: Sequence[NodeProto], held: Sequence[TensorProto], **more: Any) -> Graph:
    inputs = more.pop("inputs", [value("x", (3, 64))])
    return load_graph(save(folder, nodes, inputs, [value("y", None)], held, opsets=OPSETS))


def totals(graph: Graph) -> Totals:
    return build_ledger(graph).totals


# 64 x 10 in blocks of 32: two blocks of 16 bytes (4 bits) for each of 10 columns
PACKED = {
    "MatMulNBits": ([(3, 64), (10, 2, 16), (20,)], 1, {"K": 64, "N": 10}, 640),
    "MatMulNBits of 2 bits": ([(3, 60), (10, 2, 8), (20,)], 1, {"K": 60, "N": 10, "bits": 2}, 600),
    "MatMulBnb4": ([(3, 64), (320,), (10,)], 1, {"K": 64, "N": 10}, 640),
    "MatMulFpQ4": ([(2, 3, 64), (400,), (2,)], 1, {}, 640),
    "MatMulBlockQuantizedFp4Weight": ([(2, 3, 64), (10, 32), (10, 4)], 1, {}, 640),
    "MatMulNBitsMlp gate": ([(3, 64), None, None, (10, 2, 16)], 3, {"K": 64, "N": 10}, 640),
    "MatMulNBitsMlp up": ([(3, 64), *[None] * 5, (10, 2, 16)], 6, {"K": 64, "N": 10}, 640),
    "MatMulNBitsQkv q": ([(3, 64), None, None, (10, 2, 16)], 3, {"K": 64, "Nq": 10, "Nkv": 6}, 640),
    "MatMulNBitsQkv k": ([(3, 64), *[None] * 5, (6, 2, 16)], 6, {"K": 64, "Nq": 10, "Nkv": 6}, 384),
    "MatMulNBitsQkv v": ([(3, 64), *[None] * 8, (6, 2, 16)], 9, {"K": 64, "Nq": 10, "Nkv": 6}, 384),
    "GatherBlockQuantized": ([(20, 32), (3,), (20, 2)], 0, {}, 1280),
    "GatherBlockQuantized of 8 bits": ([(20, 64), (3,), (20, 2)], 0, {"bits": 8}, 1280),
    # 5 experts of 64 x 24; 8 bits for one of the matrices
    "QMoE fc1": ([(3, 64), (3, 5), (5, 24, 32)], 2, {}, 5 * 64 * 24),
    "QMoE fc2": ([(3, 64), (3, 5), *[None] * 3, (5, 64, 24)], 5, {"fc2_expert_weight_bits": 8}, 5 * 64 * 24),
    "QMoE fc3": ([(3, 64), (3, 5), *[None] * 6, (5, 24, 64)], 8, {"expert_weight_bits": 8}, 5 * 64 * 24),
}


@pytest.mark.parametrize("name", PACKED)
def test_a_packed_weight_stands_for_its_matrix(name: str) -> None:
    inputs, index, attributes, numbers = PACKED[name]
    made = node(
        name.split()[0], inputs, [(2, 3, 10)], domain=MICROSOFT, dtypes={f"x{index}": "uint8"}, **attributes
    )
    assert packing(made, index) == (numbers, np.prod(inputs[index]))
    assert packing(made, index + 1) == packing(replace(made, domain="acme"), index) == (1, 1)


def test_a_table_that_is_not_packed_holds_a_number_in_each_element() -> None:
    made = node("GatherBlockQuantized", [(20, 64), (3,)], [(3, 64)], domain=MICROSOFT, dtypes={"x0": "int4"})
    assert packing(made, 0) == (1280, 1280)


@pytest.mark.parametrize("odd", ["GatherBlockQuantized", "MatMulNBits"])
def test_what_says_no_size_is_taken_as_it_is(odd: str) -> None:
    sizes: Any = {"bits": "four", "K": None}
    made = node(odd, [(20, 64), (20, 64)], [(3, 64)], domain=MICROSOFT, dtypes={"x0": "uint8"}, **sizes)
    assert packing(made, 0) == packing(made, 1) == (1, 1)


VIEWS = {
    "Reshape": [op("Reshape", "w rows", "t")],
    "Identity and Reshape": [op("Identity", "w", "a"), op("Reshape", "a rows", "t")],
    "a chain of transposes": [
        op("Transpose", "w", "a", perm=[2, 1, 0]), op("Transpose", "a", "b", perm=[2, 1, 0]),
        op("Reshape", "b rows", "t"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("way", VIEWS)
def test_a_tied_packed_table_is_one(way: str, tmp_path: Path) -> None:
    """32 words of 64 numbers, looked up and multiplied with: 2 blocks of 16 bytes and 2 scales each."""
    nodes = [
        *VIEWS[way],
        op("GatherBlockQuantized", "t x s", "h", domain=MICROSOFT, block_size=32, quantize_axis=1),
        op("MatMulNBits", "h w s", "y", domain=MICROSOFT, K=64, N=32, bits=4, block_size=32),
    ]
    held = [tensor("w", (32, 2, 16), np.uint8), tensor("s", (32, 2)), integers("rows", [32, 32])]
    graph = loaded(tmp_path, nodes, held, inputs=[value("x", ("batch", 5), TensorProto.INT64)])
    assert parameter_sizes(graph) == {"w": 32 * 64}
    assert totals(graph).resident_weight_bytes == 32 * 2 * 16 + 32 * 2 * 4
    assert graph.nodes[-1].view.output().shape == ("batch", 5, 32)


def test_a_table_that_two_dequantize_is_stored_once(tmp_path: Path) -> None:
    """Looked up as it is, and multiplied with transposed."""
    nodes = [
        op("DequantizeLinear", "w s z", "a"), op("Gather", "a x", "h"),
        op("DequantizeLinear", "w s z", "b"), op("Transpose", "b", "t"), op("MatMul", "h t", "y"),
    ]  # fmt: skip
    held = [tensor("w", (32, 64), np.int8), tensor("s", ()), tensor("z", (), np.int8)]
    graph = loaded(tmp_path, nodes, held, inputs=[value("x", (5,), TensorProto.INT64)])
    assert parameter_sizes(graph) == {"w": 32 * 64}
    assert totals(graph).resident_weight_bytes == 32 * 64 + 4 + 1


STORED = {"INT8": 8, "UINT4": 4, "INT4": 4, "INT2": 2, "FLOAT8E4M3FN": 8, "FLOAT8E5M2": 8, "FLOAT4E2M1": 4}


@pytest.mark.parametrize("dtype", STORED)
def test_a_weight_in_a_narrow_type_takes_its_bits(dtype: str, tmp_path: Path) -> None:
    """640 of them, and a scale of 4 bytes."""
    held = TensorProto(name="w", data_type=TensorProto.DataType.Value(dtype), dims=(64, 10))
    held.raw_data = bytes(640 * STORED[dtype] // 8)
    nodes = [op("DequantizeLinear", "w s", "f"), op("MatMul", "x f", "y")]
    graph = loaded(tmp_path, nodes, [held, number("s", 1)])
    assert parameter_sizes(graph) == {"w": 640}
    assert totals(graph).resident_weight_bytes == 640 * STORED[dtype] // 8 + 4
    assert totals(graph).macs == 3 * 640


EXPERTS = [tensor("r", (3, 5)), tensor("w", (5, 24, 32), np.uint8), tensor("s", (5, 24)),
           tensor("v", (5, 64, 12), np.uint8), tensor("u", (5, 64))]  # fmt: skip


def test_experts_are_params_each_without_scales(tmp_path: Path) -> None:
    """5 experts of 64 x 24 and 24 x 64 numbers, two in a byte."""
    nodes = [op("QMoE", "x r w s - v u", "y", domain=MICROSOFT, k=2, expert_weight_bits=4)]
    graph = loaded(tmp_path, nodes, EXPERTS)
    assert parameter_sizes(graph) == {"w": 5 * 24 * 64, "v": 5 * 64 * 24}
    (note,) = (note for note in build_ledger(graph).notes if "scales" in note)
    # half a byte each; a float for each row of both matrices
    assert note.endswith("; the file holds them in 7,680 bytes, and scales and zero points in 1,760")
    # and the router's floats
    assert totals(graph).resident_weight_bytes == 5 * 24 * 64 + 4 * (15 + 5 * 24 + 5 * 64)


NARROW = {
    "4 bits": ("Quant", "s z bits", 64 * 10 // 2 + 8, 4),
    # 640 x 3 bits are 240 bytes
    "3 bits": ("IntQuant", "s z bits", 240 + 8, 3),
    "1 bit": ("BipolarQuant", "s", 80 + 4, 0),
    "a sign, 4 and 3": ("FloatQuant", "s bits three z z", 640 + 4, 4),
    "truncated": ("Trunc", "s z three bits", 320 + 8, 4),
    "a width for each column": ("Quant", "s z widths", (2 + 4 * 8 + 6) * 64 // 8 + 8, 0),
}


@pytest.mark.parametrize("name", NARROW)
def test_a_fake_quantized_weight_takes_its_true_bits(name: str, tmp_path: Path) -> None:
    op_type, meaning, size, bits = NARROW[name]
    nodes = [op(op_type, f"w {meaning}", "q", domain="qonnx.custom_op.general"), op("MatMul", "x q", "y")]
    widths = numpy_helper.from_array(np.array([[2, *[4] * 8, 6]], np.float32), "widths")
    held = [tensor("w", (64, 10)), number("s", 0.1), number("z", 0), number("bits", bits),
            number("three", 3), widths]  # fmt: skip
    graph = loaded(tmp_path, nodes, held)
    assert parameter_sizes(graph) == {"w": 640}
    assert totals(graph).resident_weight_bytes == totals(graph).weight_read_bytes == size
    assert totals(graph).macs == 3 * 640


MEANING = {
    ("qonnx.custom_op.general", "Quant"): 3, ("qonnx.custom_op.general", "Trunc"): 6,
    ("qonnx.custom_op.general", "BipolarQuant"): 1, ("qonnx.custom_op.general", "FloatQuant"): 5,
    ("qonnx.custom_op.general", "MultiThreshold"): 1, ("org.openvinotoolkit", "FakeQuantize"): 4,
    ("com.amd.quark", "ExtendedQuantizeLinear"): 2, ("trt", "TRT_FP8DequantizeLinear"): 1,
}  # fmt: skip


@pytest.mark.parametrize(("domain", "op_type"), MEANING, ids=str)
def test_what_says_what_the_numbers_mean_is_no_weight(domain: str, op_type: str, tmp_path: Path) -> None:
    """Each a tensor with a number for every channel."""
    names = [f"m{index}" for index in range(MEANING[domain, op_type])]
    nodes = [op(op_type, f"w {' '.join(names)}", "q", domain=domain), op("MatMul", "x q", "y")]
    graph = loaded(tmp_path, nodes, [tensor("w", (64, 10)), *(tensor(name, (1, 10)) for name in names)])
    assert set(graph.weights) == set(parameter_sizes(graph)) == {"w"}
    (note,) = (note for note in build_ledger(graph).notes if "scales" in note)
    assert note.endswith(
        f"; the file holds them in 2,560 bytes, and scales and zero points in {40 * len(names)}"
    )


def test_a_width_that_a_run_decides_leaves_the_weight_as_it_is(tmp_path: Path) -> None:
    nodes = [
        op("Quant", "w s z bits", "q", domain="qonnx.custom_op.general"),
        op("MatMul", "x q", "y"),
    ]
    inputs = [value("x", (3, 64)), value("bits", ())]
    graph = loaded(tmp_path, nodes, [tensor("w", (64, 10)), number("s", 1), number("z", 0)], inputs=inputs)
    assert parameter_sizes(graph) == {"w": 640}
    assert totals(graph).resident_weight_bytes == 4 * 640 + 8


FAKED = {
    "com.amd.quark": [
        op("BFPQuantizeDequantize", "x", "a", domain="com.amd.quark", axis=1),
        op("BFPQuantizeDequantize", "w", "q", domain="com.amd.quark", axis=1),
    ],
    "aimet.customop.cpu": [
        op("QcQuantizeOp", "x", "a", domain="aimet.customop.cpu"),  # which the file does not import
        op("QcQuantizeOp", "w", "q", domain="aimet.customop.cpu"),
    ],
    "Quark's Q and DQ": [
        op("ExtendedQuantizeLinear", "x s z", "i", domain="com.amd.quark"),
        op("ExtendedDequantizeLinear", "i s z", "a", domain="com.amd.quark"),
        op("Identity", "w", "q"),
    ],
}


@pytest.mark.parametrize("tool", FAKED)
def test_nothing_is_lost_behind_a_fake_quantizer(tool: str, tmp_path: Path) -> None:
    nodes = [*FAKED[tool], op("MatMul", "a q", "p"), op("Add", "p b", "y")]
    held = [tensor("w", (64, 10)), tensor("b", (10,)), number("s", 1), tensor("z", (), np.int16)]
    graph = loaded(tmp_path, nodes, held, inputs=[value("x", ("batch", 64))])
    assert graph.nodes[-1].view.output().shape == ("batch", 10)
    assert parameter_sizes(graph) == {"w": 640, "b": 10}


def test_stored_integers_behind_another_tools_dequantizer_are_the_weight(tmp_path: Path) -> None:
    """Also those of 32 bits, which are a bias; two bytes a number, a scale and a zero point."""
    nodes = [
        op("ExtendedDequantizeLinear", "w s z", "q", domain="com.amd.quark"),
        op("ExtendedDequantizeLinear", "b s c", "d", domain="com.amd.quark"),
        op("Gemm", "x q d", "y"),
    ]
    held = [tensor("w", (64, 10), np.int16), tensor("b", (10,), np.int32), number("s", 1),
            tensor("z", (), np.int16), tensor("c", (), np.int32)]  # fmt: skip
    graph = loaded(tmp_path, nodes, held)
    assert parameter_sizes(graph) == {"w": 640, "b": 10}
    assert totals(graph).resident_weight_bytes == 2 * 640 + 4 * 10 + 4 + 2 + 4


def test_quarks_forms_of_layers_have_the_shapes_and_weights_of_onnxs(tmp_path: Path) -> None:
    """A sequence of 5, a batch of 2: the states are none."""
    lstm = op("ExtendedLSTM", "x W R B - h h", "s", domain="com.amd.quark", hidden_size=4)
    norm = op("ExtendedInstanceNormalization", "s g b", "y", domain="com.amd.quark")
    sizes = {"W": (1, 16, 3), "R": (1, 16, 4), "B": (1, 32), "h": (1, 2, 4)}
    held = [*(tensor(name, shape) for name, shape in sizes.items()),
            *(numpy_helper.from_array(np.array([2], np.float32), name) for name in "gb")]  # fmt: skip
    graph = loaded(tmp_path, [lstm, norm], held, inputs=[value("x", (5, 2, 3))])
    assert graph.nodes[-1].view.output().shape == (5, 1, 2, 4)
    assert parameter_sizes(graph) == {"W": 48, "R": 64, "B": 32, "g": 1, "b": 1}


DYNAMIC = {
    "TRT_MXFP8DynamicQuantize": ("float8e4m3fn", "float8e8m0"),
    "TRT_FP4DynamicQuantize": ("float4e2m1", "float8e4m3fn"),
}


@pytest.mark.parametrize("op_type", DYNAMIC)
def test_a_block_has_a_scale(op_type: str, tmp_path: Path) -> None:
    """64 numbers in blocks of 24 are three, the last one short; back to the type that is asked for."""
    dtype = TensorProto.FLOAT16
    nodes = [
        op(op_type, "x", "q s", domain="trt", axis=-1, block_size=24),
        op("TRT_MXFP8DequantizeLinear", "q s", "d", domain="trt", block_size=24, output_dtype=dtype),
        op("Cast", "d", "y", to=TensorProto.FLOAT),
    ]
    graph = loaded(tmp_path, nodes, [])
    made = [output for each in graph.nodes[:2] for output in each.view.outputs if output is not None]
    numbers, scales = DYNAMIC[op_type]
    assert [(each.dtype, each.shape) for each in made] == [
        (numbers, (3, 64)), (scales, (3, 3)), ("float16", (3, 64)),
    ]  # fmt: skip


def branch(name: str, rows: int) -> Any:
    """A branch that returns two tables of its own, one an initializer and one a Constant."""
    table = tensor("", (rows, 8))
    made = helper.make_node("Constant", [], ["sines"], value=table)
    outputs = [value("cosines", (rows, 8)), value("sines", (rows, 8))]
    return helper.make_graph([made], name, [], outputs, [tensor("cosines", (rows, 8))])


def test_rotary_tables_in_branches_are_kept_and_are_no_params(tmp_path: Path) -> None:
    """Long and short ones, by the length of the prompt: 2 x (16 + 32) rows of 8 floats."""
    nodes = [
        op("If", "far", "c s", then_branch=branch("long", 32), else_branch=branch("short", 16)),
        op("RotaryEmbedding", "x p c s", "y", domain=MICROSOFT, num_heads=1),
    ]
    inputs = [
        value("x", (1, 3, 16)),
        value("far", (), TensorProto.BOOL),
        value("p", (1, 3), TensorProto.INT64),
    ]
    graph = loaded(tmp_path, nodes, [], inputs=inputs)
    assert parameter_sizes(graph) == {}
    assert totals(graph).resident_weight_bytes == 2 * (16 + 32) * 8 * 4


@pytest.mark.parametrize(
    ("op_type", "made"),
    [
        ("GroupQueryAttention", "x k k - - n t c s - - sinks - - q q"),
        ("DynamicSparseAttention", "x k k - - - - i m n t c s - q q sinks"),
        ("PagedAttention", "x k k - - n t - c s - sinks q q"),
        ("SparsePagedAttention", "x k k - - n t - - i m - - - c s sinks q q"),
    ],
)
def test_sinks_and_norms_of_attention_are_params_and_rotary_tables_are_none(
    op_type: str, made: str, tmp_path: Path
) -> None:
    """4 heads of 16 in 64, also where all sinks are 0; rows of tables that were looked up are none either."""
    rows = [op("Gather", f"{table} p", name) for table, name in (("cosines", "c"), ("sines", "s"))]
    names = {"num_heads": 4, "kv_num_heads": 4, "do_rotary": 1}
    arrays = {"sinks": np.zeros(4, np.float32), "q": np.arange(16, dtype=np.float32)}
    own = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    held = [tensor("cosines", (32, 8)), tensor("sines", (32, 8)), *own]
    numbers = [value(name, (1,), TensorProto.INT32) for name in "ntimp"]
    inputs = [value("x", (1, 3, 64)), value("k", (1, 3, 64)), *numbers]
    nodes = [*rows, op(op_type, made, "y", domain=MICROSOFT, **names)]
    graph = loaded(tmp_path, nodes, held, inputs=inputs)
    assert parameter_sizes(graph) == {"q": 16, "sinks": 4}
    assert totals(graph).resident_weight_bytes == 4 * (16 + 4 + 2 * 32 * 8)


@pytest.mark.parametrize("rows", ["c s", "d e"])
def test_rows_that_were_looked_up_of_rotary_tables_are_no_params(rows: str, tmp_path: Path) -> None:
    """Each by one operator, as they are and in another type; the table of words is one."""
    nodes = [
        op("Gather", "cosines p", "c"), op("Gather", "sines p", "s"), op("Gather", "words p", "x"),
        op("Cast", "c", "d", to=TensorProto.FLOAT), op("Cast", "s", "e", to=TensorProto.FLOAT),
        op("GroupQueryAttention", f"x x x - - n t {rows}", "y", domain=MICROSOFT, num_heads=1, kv_num_heads=1,
           do_rotary=1),
    ]  # fmt: skip
    held = [tensor("cosines", (32, 8)), tensor("sines", (32, 8)), tensor("words", (9, 16))]
    kinds = {"p": (1, 3), "n": (1,), "t": (1,)}
    inputs = [value(name, shape, TensorProto.INT64) for name, shape in kinds.items()]
    assert parameter_sizes(loaded(tmp_path, nodes, held, inputs=inputs)) == {"words": 144}
