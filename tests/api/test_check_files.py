"""Files of other people, checked against themselves without optimizations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

import onnxlens as api
from onnxlens.errors import GraphError, UsageError
from onnxlens.profile.runtime.session import open_session, run
from onnxlens.specs.bench import BenchRequest
from onnxlens.specs.parity import ParityReport
from tests.profile.models import IR_VERSION, far_weight, integers, op, value

OPSETS = {"": 21, "ai.onnx.ml": 3}
Values = list[ValueInfoProto]


def save(folder: Path, nodes: list[NodeProto], inputs: Values, outputs: Values, *held: TensorProto) -> Path:
    graph = helper.make_graph(nodes, "theirs", inputs, outputs, held)
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    path = folder / "theirs.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION), path)
    return path


def check(path: Path, **settings: Any) -> ParityReport:
    return api.check_graph(path, api.Settings(**settings), reference="unoptimised")


def in_domain(node: NodeProto, domain: str = "ai.onnx.ml") -> NodeProto:
    node.domain = domain
    return node


def sequence_of_two(folder: Path) -> Path:
    nodes = [op("SplitToSequence", "x size", "s", axis=1)]
    output = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    return save(folder, nodes, [value("x", (2, 16))], [output], integers("size", 8))


def maps_of_three(folder: Path) -> Path:
    nodes = [in_domain(op("ZipMap", "x", "p", classlabels_int64s=[10, 20, 30]))]
    kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    output = helper.make_value_info("p", helper.make_sequence_type_proto(kind))
    return save(folder, nodes, [value("x", (2, 3))], [output])


def texts(folder: Path) -> Path:
    labels = {"keys_int64s": [0, 1], "values_strings": ["a", "b"]}
    nodes = [in_domain(op("LabelEncoder", "t", "i", **labels))]
    inputs, outputs = [value("t", (3,), TensorProto.INT64)], [value("i", (3,), TensorProto.STRING)]
    return save(folder, nodes, inputs, outputs)


@pytest.mark.parametrize(
    ("made", "outputs"),
    [
        (sequence_of_two, ["s length", "s[0]", "s[1]"]),
        (maps_of_three, ["p keys", "p"]),
        (texts, ["i"]),
    ],
)
def test_outputs_that_are_no_tensors_of_numbers_are_compared(
    tmp_path: Path, made: Any, outputs: list[str]
) -> None:
    report = check(made(tmp_path))
    assert [result.tensor for result in report.outputs] == outputs
    assert report.passed


FOREIGN = {
    "bfloat16": TensorProto.BFLOAT16,
    "float8_e4m3fn": TensorProto.FLOAT8E4M3FN,
    "float8_e5m2": TensorProto.FLOAT8E5M2,
    "int4": TensorProto.INT4,
    "uint4": TensorProto.UINT4,
}


@pytest.mark.parametrize("name", FOREIGN)
def test_values_of_types_that_numpy_lacks_go_in_and_come_out(tmp_path: Path, name: str) -> None:
    nodes = [op("Cast", "x", "wide", to=TensorProto.FLOAT), op("Cast", "wide", "y", to=FOREIGN[name])]
    path = save(
        tmp_path,
        nodes,
        [value("x", (3, 3), FOREIGN[name])],
        [value("wide", (3, 3)), value("y", (3, 3), FOREIGN[name])],
    )
    numbers = np.arange(9).reshape(3, 3) - (0 if name == "uint4" else 4)
    given = numbers.astype(getattr(ml_dtypes, name))  # an odd number of elements: half a byte is left
    got = run(open_session(path), {"x": given})
    np.testing.assert_array_equal(got["wide"], numbers.astype(np.float32))
    assert got["y"].dtype == given.dtype
    np.testing.assert_array_equal(got["y"].astype(np.float32), numbers.astype(np.float32))
    assert check(path).passed
    assert api.bench_graph(path, request=BenchRequest(runs=1, matmul_peak=False)).latency.runs == 1


@pytest.mark.parametrize(
    "element", [TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64, TensorProto.UINT8]
)
def test_a_scalar_input_runs(tmp_path: Path, element: int) -> None:
    nodes = [op("Cast", "t", "f", to=TensorProto.FLOAT), op("Mul", "x f", "y")]
    path = save(tmp_path, nodes, [value("x", (2, 3)), value("t", (), element)], [value("y", (2, 3))])
    assert check(path).passed


def quantized(folder: Path, side: int = 64) -> Path:
    """Four layers of products between 8-bit roundings, of which the optimizer makes integer products."""
    generator = np.random.default_rng(0)
    held = [
        numpy_helper.from_array(np.array(number, kind), name)
        for name, number, kind in (("s", 0.02, "f4"), ("z", 128, "u1"), ("ws", 0.01, "f4"), ("wz", 0, "i1"))
    ]
    nodes = [op("QuantizeLinear", "x s z", "q0"), op("DequantizeLinear", "q0 s z", "d0")]
    for layer in range(4):
        weight = generator.integers(-60, 60, (side, side), dtype=np.int8)
        held.append(numpy_helper.from_array(weight, f"w{layer}"))
        nodes += [
            op("DequantizeLinear", f"w{layer} ws wz", f"v{layer}"),
            op("MatMul", f"d{layer} v{layer}", f"m{layer}"),
            op("QuantizeLinear", f"m{layer} s z", f"q{layer + 1}"),
            op("DequantizeLinear", f"q{layer + 1} s z", f"d{layer + 1}"),
        ]
    return save(folder, nodes, [value("x", (8, side))], [value("d4", (8, side))], *held)


def test_a_healthy_quantized_file_passes(tmp_path: Path) -> None:
    assert check(quantized(tmp_path)).passed


def test_a_weight_of_four_bits_is_a_reason_for_more_tolerance(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    weight = generator.integers(-8, 8, (64, 64)).astype(ml_dtypes.int4)
    held = (
        helper.make_tensor("w", TensorProto.INT4, (64, 64), weight.astype(np.int8).ravel()),
        numpy_helper.from_array(np.full((2, 64), 0.01, np.float32), "s"),
    )
    nodes = [op("DequantizeLinear", "w s", "d", axis=0, block_size=32), op("MatMul", "x d", "y")]
    path = save(tmp_path, nodes, [value("x", (8, 64))], [value("y", (8, 64))], *held)
    (result,) = check(path).outputs  # the optimizer rounds x to 8 bits, too
    assert result.rel_l2 > 1e-4
    assert result.passed
    assert result.reason.startswith("its own noise is")
    assert not api.check_graph(path, reference="unoptimised", tolerance=1e-5).passed


def run_as(monkeypatch: pytest.MonkeyPatch, fake: Callable[..., Any]) -> None:
    """Have the reference and what is checked run so."""
    for module in ("check", "providers"):
        monkeypatch.setattr(f"onnxlens.api.{module}.run", fake)


def test_a_quantized_file_without_floating_inputs_has_a_tolerance_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [numpy_helper.from_array(np.array(number, kind), name)
            for name, number, kind in (("s", 0.02, "f4"), ("z", 128, "u1"))]  # fmt: skip
    nodes = [op("Cast", "i", "x", to=TensorProto.FLOAT), op("QuantizeLinear", "x s z", "q"),
             op("DequantizeLinear", "q s z", "y")]  # fmt: skip
    path = save(tmp_path, nodes, [value("i", (64,), TensorProto.INT64)], [value("y", (64,))], *held)
    for factor, passed in ((1.09, True), (1.11, False)):
        runs = iter(
            [1.0, factor]
        )  # the reference first, then what is checked, then the reference for its noise
        run_as(
            monkeypatch,
            lambda *given, runs=runs: {name: next(runs, 1.0) * array for name, array in run(*given).items()},
        )
        (result,) = check(path).outputs
        assert (result.passed, result.reason.split(":")[0]) == (passed, "the file is quantized")


def test_an_output_that_is_nothing_but_rounding_passes_and_says_so(tmp_path: Path) -> None:
    # the sum of a softmax is 1, and what is left of it in another order of summation
    nodes = [
        op("Softmax", "x", "p", axis=-1),
        op("ReduceSum", "p axes", "s", keepdims=0),
        op("Sub", "s one", "y"),
    ]
    one = numpy_helper.from_array(np.float32(1), "one")
    path = save(tmp_path, nodes, [value("x", (64, 4096))], [value("y", (64,))], integers("axes", [1]), one)
    (result,) = check(path).outputs
    assert result.reference_max_abs < 1e-5
    assert result.passed


def test_a_wrong_output_fails_whatever_the_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, [op("Tanh", "x", "y")], [value("x", (64,))], [value("y", (64,))])
    runs = iter([0.01, 0.0])  # the reference is run first: it is off by a hundredth

    def off(*given: Any) -> Any:
        return {name: array + next(runs, 0.01) for name, array in run(*given).items()}

    run_as(monkeypatch, off)
    (result,) = check(path).outputs
    assert not result.passed


def test_what_differs_from_run_to_run_is_noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, [op("Tanh", "x", "y")], [value("x", (64,))], [value("y", (64,))])
    generator = np.random.default_rng(0)

    def restless(*given: Any) -> Any:
        return {name: array + 0.01 * generator.random(array.shape) for name, array in run(*given).items()}

    run_as(monkeypatch, restless)
    (result,) = check(path).outputs
    assert result.passed
    assert "a second run" in result.reason


def test_a_reference_that_is_not_finite_is_said(tmp_path: Path) -> None:
    nodes = [op("Abs", "x", "a"), op("Neg", "a", "b"), op("Sqrt", "b", "y")]
    path = save(tmp_path, nodes, [value("x", (4,))], [value("y", (4,))])
    (result,) = check(path).outputs
    assert not result.passed
    assert result.reason.startswith("the reference is not finite in any of 4 values")


def test_an_operator_that_the_runtime_does_not_know_is_named(tmp_path: Path) -> None:
    path = save(tmp_path, [in_domain(op("Own", "x", "y"), "acme")], [value("x", (4,))], [value("y", (4,))])
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("acme", 1))
    onnx.save(model, path)
    with pytest.raises(GraphError, match=r"does not know the operator acme:Own .*onnxlens\.rules\.register"):
        check(path)


def test_a_missing_file_of_weights_is_named(tmp_path: Path) -> None:
    nodes = [op("Add", "x w", "y")]
    path = save(tmp_path, nodes, [value("x", (4,))], [value("y", (4,))], far_weight("w", 4))
    with pytest.raises(GraphError, match=r"its weights are in absent\.onnx\.data, which is not beside it"):
        check(path)


def test_given_inputs_are_used_and_checked(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Neg", "x", "y")], [value("x", ("n", 2))], [value("y", ("n", 2))])
    given = tmp_path / "given.npz"
    np.savez(given, x=np.array([[3.0, 4.0]]))  # float64, as numpy makes it; and n is 1
    (result,) = check(path, inputs=given).outputs
    assert (result.reference_max_abs, result.passed) == (4.0, True)
    for arrays, message in (
        ({"z": np.zeros(2)}, "no input 'z'"),
        ({"x": np.zeros((2, 3, 1))}, r"input 'x' has 2 dimensions, its shape was given with 3: 2, 3, 1"),
        ({"x": np.zeros((1, 2), complex)}, r"'x' is complex128\(1, 2\); the input is float32\(1, 2\)"),
    ):
        np.savez(given, **arrays)
        with pytest.raises((UsageError, GraphError), match=message):
            check(path, inputs=given)
    given.write_bytes(b"no archive")
    with pytest.raises(UsageError, match=r"given\.npz: cannot be read as \.npz"):
        check(path, inputs=given)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "a Git LFS pointer"),
        (b"\x28\0\0\0ORTM" + bytes(60), "in ONNX Runtime's own format"),
        (b"\x1c\0\0\0TFL3" + bytes(60), "a TensorFlow Lite model"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"PK\3\4" + bytes(60), "a ZIP archive"),
        (b'\x08\0\0\0\0\0\0\0{"a":{}}' + bytes(40), "a safetensors file"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "theirs.onnx"
    path.write_bytes(content)
    with pytest.raises(GraphError, match=rf"not an ONNX file \(.*\); it is {told}"):
        check(path)


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = texts(tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(GraphError, match="it is cut off after .* bytes; download or export it again"):
        check(path)


def test_outputs_that_differ_in_a_graph_with_random_nodes_name_these(tmp_path: Path) -> None:
    """The output that passes says nothing; of a Dropout only one that drops is random."""
    nodes = [
        op("Relu", "x", "same"), op("Dropout", "same", "kept"), op("Dropout", "kept rate yes", "dropped"),
        op("RandomNormalLike", "dropped", "noise"), op("Add", "noise dropped", "y"),
    ]  # fmt: skip
    held = (
        numpy_helper.from_array(np.float32(0.5), "rate"),
        numpy_helper.from_array(np.array(True), "yes"),
    )
    path = save(
        tmp_path, nodes, [value("x", (64,))], [value(name, (64,)) for name in ("same", "kept", "y")], *held
    )
    results = {result.tensor: result for result in api.check_graph(
        path, reference="unoptimised", tolerance=1e-5
    ).outputs}  # fmt: skip
    assert [(results[name].passed, results[name].reason) for name in ("same", "kept")] == [(True, "")] * 2
    assert not results["y"].passed
    assert results["y"].reason == (
        "Dropout node_dropped, RandomNormalLike node_noise: random, so that every run differs; take them out "
        "to compare"
    )
