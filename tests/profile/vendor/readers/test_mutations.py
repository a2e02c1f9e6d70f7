"""Reports, spoiled in every way that files are: one line says the file, the line and what is wrong."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.vendor.readers import given as given_module
from onnxlens.profile.vendor.readers import read_report
from tests.profile.vendor.readers.recorded import DATA, report_of

VELA = "ethos-u/hed-u55-256_per-layer.csv"
QNN = "qnn/unet-input_blocks.1.csv"
RKNN = "rknn/hed.txt"
ACCURACY = "rknn/hed-int8-accuracy.txt"
TRACE = "tpu-mlir/compiler_profile_0.txt"
MAC = "k230/mac.csv"
ERRORS = "k230/quant_error.csv"
ORT = "onnxruntime/small-profile.json"
TENSORRT = "tensorrt/hed.profile.json"
CORE_ML = "core-ml/plan.json"
AI_HUB = "ai-hub/profile.json"
COUNTERS = "openvino/hed-counters.json"
EXECUTORCH = "executorch/small-xnnpack.csv"
PRINTED = "executorch/small-xnnpack.txt"
AVERAGE = "openvino/benchmark_average_counters_report.csv"
TT_PERF = "tt-perf/report.csv"
PROFILER = "tt-perf/ops_perf_results.csv"
ZIGZAG = "zigzag/node_a_complete.json"
SCALESIM = "scalesim/COMPUTE_REPORT.csv"

FILES = {
    VELA: "ethos-u", QNN: "qnn", RKNN: "rknn", ACCURACY: "rknn", TRACE: "tpu-mlir", MAC: "k230",
    ERRORS: "k230", ORT: "onnxruntime", TENSORRT: "tensorrt", CORE_ML: "core-ml", AI_HUB: "qnn",
    COUNTERS: "openvino", AVERAGE: "openvino", TT_PERF: "tt-perf", PROFILER: "tt-perf", ZIGZAG: "zigzag",
    SCALESIM: "scalesim", EXECUTORCH: "executorch", PRINTED: "executorch",
}  # fmt: skip
"""One file of each format, and its tool."""

SPOILED: list[tuple[str, str, str, str]] = [
    # the file, what is in it, what takes its place the first time it stands there, what is said
    (VELA, "Op Cycles,", "Op Cycles,Op Cycles,", r"line 1: the column 'Op Cycles' stands there twice"),
    (VELA, "MAC Count", "MACs", r"line 1: no column 'MAC Count' among 'Original Operator', .*, \.\.\."),
    (
        VELA,
        "395302,1.526947965136783,395302",
        "nan,1.5,1",
        r"line 4, column 'Op Cycles': .* not negative, found 'nan'",
    ),
    (
        VELA,
        "395302,1.526947965136783,395302",
        "-5,1.5,1",
        r"line 4, column 'Op Cycles': .* not negative, found '-5'",
    ),
    (VELA, "395302,1.526947965136783,395302", "1e999,1.5,1", r"line 4, column 'Op Cycles': .* found '1e999'"),
    (
        VELA,
        "395302,1.526947965136783,395302",
        "1.5,1.5,1",
        r"line 4, column 'Op Cycles': '1.5' is not a whole number",
    ),
    (
        VELA,
        "395302,1.526947965136783,395302",
        "1.234,5,1.5,1",
        r"line 4: 17 cells; expected the 16 of the first line",
    ),
    (VELA, "Transpose,Transpose,NPU,98304", '"Transpose,NPU,98304', r"not CSV: "),
    (VELA, "Original Operator", "Ursprünglicher Operator", r"line 1: no column 'Original Operator'"),
    (QNN, "Unit of Measurement", "Einheit", r"line 1: no column 'Unit of Measurement'"),
    (
        QNN,
        "0,NODE,10720811,CYCLES",
        "0,NODE,10720811,FURLONGS",
        r"line 17: expected the unit CYCLES or US of a node",
    ),
    (QNN, "0,NODE,10720811,", "0,NODE,-1,", r"line 17, column 'Time': .* found '-1'"),
    (QNN, "0,NODE,10720811,", "0,NODE,", r"line 17: 6 cells; expected the 7"),
    (
        RKNN,
        "15241/32768/32768",
        "15241/32768",
        r"line 10: expected cycles as DDR/NPU/Total, found '15241/32768'",
    ),
    (RKNN, "15241/32768/32768", "15241/x/32768", r"line 10, cycles: expected a number .* found 'x'"),
    (
        RKNN,
        "15241/32768/32768        96",
        "15241/32768/32768        -96",
        r"line 10, RW\(KB\): .* found '-96'",
    ),
    (RKNN, "FullName", "Name", r"has no table of layers; build with RKNN\(verbose=True\)"),
    (RKNN, "3    ConvRelu", "ConvRelu", r"line 12: expected a layer or the rule that ends the table"),
    (ACCURACY, "0.99994 | 3.64223", "x | 3.64223", r"line 16: expected a number .* found 'x'"),
    (
        TRACE,
        "s:4908|b:2|g:3|e:5931",
        "b:2|g:3|e:5931",
        r"line 8: expected s:NUMBER in an instruction, found ''",
    ),
    (
        TRACE,
        "s:4908|b:2|g:3|e:5931",
        "s:4908|b:2|g:3|e:31",
        r"line 8: Sub_51 ends at 31, before it starts at 4908",
    ),
    (TRACE, "sz:196608", "sz:NaN", r"line 5: expected sz:NUMBER"),
    (TRACE, "total_cycle", "cycles", r"the trace has no total_cycle; is it whole\?"),
    (MAC, "OffChipMemTraffic", "DDR", r"line 1: no column 'OffChipMemTraffic'"),
    (
        MAC,
        "TileConv2d_0, 1048576",
        "TileConv2d_0, 1048576.5",
        r"line 2, column 'Mac': '1048576.5' is not a whole number",
    ),
    (MAC, "TileConv2d_0, 1048576", "TileConv2d_0, -1", r"line 2, column 'Mac': .* found '-1'"),
    (ERRORS, "image, 0.9999981", "image, nan", r"line 2, column 'cosine_error': .* found 'nan'"),
    (ORT, '"dur" :216', '"dur" :-216', r"event 2: dur: expected a number .* found '-216'"),
    (ORT, '"dur" :216', '"dur" :NaN', r"json: expected a number .* found 'NaN'"),
    (ORT, '"dur" :216,"ts"', '"ts"', r"event 2: expected the field 'dur' among"),
    (
        TENSORRT,
        '"averageMs" : 0.0113',
        '"averageMs" : -1',
        r"layer 1: averageMs: expected a number .* found '-1'",
    ),
    (TENSORRT, '"averageMs" : 0.0113', '"averageMs" : Infinity', r"expected a number .* found 'Infinity'"),
    (
        TENSORRT,
        '"averageMs" : 0.0113',
        '"averageMs" : "x"',
        r"layer 1: averageMs: expected a number .* found 'x'",
    ),
    (
        TENSORRT,
        '"averageMs" : 0.0113,',
        "",
        r"layer 1: expected the field 'averageMs' among 'name', 'timeMs'",
    ),
    (TENSORRT, '"count" : 400', '"runs" : 400', r"entry 0: expected the field 'count' among 'runs'"),
    (CORE_ML, '"operations"', '"operation"', r"expected the field 'operations' among 'version', "),
    (
        CORE_ML,
        "MLCPUComputeDevice",
        "MLTPUComputeDevice",
        r"operation 1: expected a device such as ML.*'MLTPUCompute",
    ),
    (CORE_ML, "0.022767", "-0.1", r"operation 1: cost: expected a number .* found '-0.1'"),
    (AI_HUB, '"execution_time": 417', '"execution_time": "-"', r"layer 0: execution_time: expected a number"),
    (AI_HUB, '"name": "node_conv2d",', "", r"layer 0: expected the field 'name' among 'type'"),
    (
        COUNTERS,
        '"real_time": 100.0',
        '"real_time": -100.0',
        r"node 1: real_time: expected a number .* '-100.0'",
    ),
    (COUNTERS, '"node_name": "image",', "", r"node 0: expected the field 'node_name' among 'node_type'"),
    (
        AVERAGE,
        "realTime (ms)",
        "Echtzeit (ms)",
        r"line 1: no column 'realTime \(ms\)' of benchmark_app's report",
    ),
    (AVERAGE, ";0.703;", ";0,703;", r"line 5, column 'realTime \(ms\)': expected a number .* found '0,703'"),
    (AVERAGE, ";brgconv_avx512_bf16;0.703;0.703", "", r"line 5: expected a layer of benchmark_app's report"),
    (AVERAGE, "Total;", "Sum;", r"line 52: the last table has no total; is the report whole"),
    (
        EXECUTORCH,
        ",p50 (ms),",
        ",p50,",
        r"line 1: no column such as 'p50 \(ms\)'; write it with include_units=True",
    ),
    (EXECUTORCH, "0.012575,0.013009,", "0.012575,-1,", r"line 7, column 'p50 \(ms\)': .* found '-1'"),
    (EXECUTORCH, "event_name", "event", r"line 1: no column 'event_name' among '', 'event_block_name'"),
    (PRINTED, "0.013009", "zero", r"line 14, column 'p50 \(ms\)': .* found 'zero'"),
    (TT_PERF, ",0,10.429,", ",0,inf,", r"line 3, column 'Device Time': expected a number .* found 'inf'"),
    (TT_PERF, "Device Time", "Zeit", r"line 1: no column 'Device Time' among 'ID', 'Total %', "),
    (
        PROFILER,
        ",2048,0,wormhole_b0",
        ",2048,1,wormhole_b0",
        r"line 6: a second device; give the table of tt-perf",
    ),
    (PROFILER, "DEVICE ID", "DEVICE", r"line 1: no column 'DEVICE ID'"),
    (PROFILER, ",3838,3038,", ",3838,-3038,", r"line 5, column 'DEVICE KERNEL DURATION \[ns\]': .* '-3038'"),
    (ZIGZAG, '"computation": 1152.0', '"computation": NaN', r"expected a number .* found 'NaN'"),
    (ZIGZAG, '"computation": 1152.0', '"work": 1152.0', r"latency: expected the field 'computation' among"),
    (ZIGZAG, '"name": "node_a"', '"title": "node_a"', r"layer: expected the field 'name' among 'title'"),
    (
        SCALESIM,
        "Stall Cycles",
        "Stalls",
        r"COMPUTE_REPORT.csv, line 1: no column 'Stall Cycles' among 'LayerID'",
    ),
    (
        SCALESIM,
        "0, 230, 157, 0",
        "0, 230, x, 0",
        r"line 2, column 'Total Cycles': expected a number .* found 'x'",
    ),
    (SCALESIM, "0, 230, 157, 0", "0, 230, 157, 158", r"line 2: 158 stalls of 157 cycles"),
]


def spoiled(name: str, folder: Path, change: Callable[[bytes], bytes]) -> Path:
    """A copy of a report, changed; alone in its folder."""
    path = folder / Path(name).name
    path.write_bytes(change((DATA / name).read_bytes()))
    return path


def refusal_of(path: Path, tool: str = "") -> str:
    with pytest.raises(UsageError) as refusal:
        read_report(path, tool)
    text = str(refusal.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    assert len(text) < 500
    return text


@pytest.mark.parametrize(
    ("name", "old", "new", "said"), SPOILED, ids=[f"{row[0]}-{row[2][:30]}" for row in SPOILED]
)
def test_a_fault_is_told_with_its_place(name: str, old: str, new: str, said: str, tmp_path: Path) -> None:
    assert old in (DATA / name).read_text(encoding="utf-8")
    path = spoiled(name, tmp_path, lambda data: data.replace(old.encode(), new.encode(), 1))
    assert re.search(said, refusal_of(path, FILES[name]))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("mark", ["", "bom", "utf-16"])
def test_files_of_windows_are_read(name: str, mark: str, tmp_path: Path) -> None:
    def windows(data: bytes) -> bytes:
        text = data.decode().replace("\n", "\r\n")
        return text.encode({"": "utf-8", "bom": "utf-8-sig", "utf-16": "utf-16"}[mark])

    assert read_report(spoiled(name, tmp_path, windows)).records == report_of(name, alone=True).records


BINARY = bytes(range(256)) * 40


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: b"", "the file is empty"),
        (lambda data: b"\n \r\n", "the file is empty"),
        (lambda data: BINARY, r"line \d+: not text"),
        (lambda data: data[: len(data) // 2] + BINARY, r"line \d+: not text"),
        (lambda data: "ä".encode("latin-1") + data, r"not text in UTF-8 \(byte 0xe4\)"),
        (lambda data: b"\x1f\x8b\x08" + data, "not text in UTF-8"),
    ],
    ids=["empty", "blank", "binary", "binary in it", "latin-1", "gzip"],
)  # fmt: skip
def test_what_is_no_text_is_refused(
    name: str, change: Callable[[bytes], bytes], said: str, tmp_path: Path
) -> None:
    assert re.search(said, refusal_of(spoiled(name, tmp_path, change), FILES[name]))


def cut_off(data: bytes) -> bytes:
    """The first half of a report and nine bytes of the next line."""
    half = data[: data.index(b"\n", len(data) // 2) + 1]
    return half + data[len(half) :][:9]


@pytest.mark.parametrize("name", [name for name in FILES if name != ACCURACY])
def test_a_report_that_is_cut_off_is_refused(name: str, tmp_path: Path) -> None:
    """Within a line: at the end of one it may be whole, as may a name alone in an accuracy analysis."""
    refusal_of(spoiled(name, tmp_path, cut_off), FILES[name])


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("other", sorted(set(FILES.values())))
def test_a_report_of_another_tool_is_refused(name: str, other: str) -> None:
    if other != FILES[name]:
        refusal_of(DATA / name, other)


def test_a_kernels_file_that_is_cut_off(tmp_path: Path) -> None:
    folder = tmp_path / "k230"
    shutil.copytree(DATA / "k230", folder)
    (folder / "TileConv2d_0.csv").write_text("GNNEConv2D\nB,OC,IC,OH,OW,KH,KW\n", encoding="utf-8")
    with pytest.raises(
        UsageError, match=r"TileConv2d_0.csv, line 2: expected a kernel's name, the head of its"
    ):
        read_report(folder)
    (folder / "TileConv2d_0.csv").write_text("GNNEConv2D\nB,OC,IC,OH,OW,KH,KW\n1,2,3\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"TileConv2d_0.csv, line 3: expected the sizes B,OC,IC,OH,OW,KH,KW"):
        read_report(folder)


def test_dumps_of_two_models_in_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "k230"
    shutil.copytree(DATA / "k230", folder)
    shutil.copy(folder / "mac.csv", folder / "other-mac.csv")
    with pytest.raises(
        UsageError, match=r"several files of it have the column .* \(mac.csv, other-mac.csv\); give"
    ):
        read_report(folder)


def test_a_file_that_is_too_large_for_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given_module, "MOST_BYTES", 1000)
    assert re.search("it has 0 MB, more than any report", refusal_of(DATA / VELA))


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("hed_bm1684x_f16_final.mlir", "#loc", "#where", "mlir: expected the final MLIR of tpu-mlir"),
        (
            "hed_bm1684x_f16_final.mlir",
            "module",
            "\nmodule",
            "mlir, line 46: expected the Load of the trace; is it",
        ),
        (
            "tensor_location.json",
            '"file-line":49',
            '"file-line":"x"',
            "command 1: file-line: expected a number",
        ),
        (
            "tensor_location.json",
            '"file-line":54',
            '"file-line":55',
            "json, line 54: expected the Conv2D of the",
        ),
        ("tensor_location.json", '"results"', '"result"', "command 0: expected the field 'results' among"),
    ],
)
def test_names_of_another_trace(name: str, old: str, new: str, said: str, tmp_path: Path) -> None:
    names = tmp_path / name
    text = (DATA / "tpu-mlir" / name).read_text(encoding="utf-8")
    assert old in text
    names.write_text(text.replace(old, new) if old == "#loc" else text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        read_report(DATA / TRACE, names=names)


@pytest.mark.parametrize("shapes", [5, "x", [5], [{"float": ["x"]}], [{"Dimensions": [None]}], {"a": 1}])
def test_shapes_of_another_form_are_unknown(shapes: object, tmp_path: Path) -> None:
    """Times are read all the same; a list of fields that newer versions write otherwise is no fault."""
    events = json.loads((DATA / ORT).read_text(encoding="utf-8"), strict=False)
    for event in events:
        event.get("args", {})["input_type_shape"] = shapes
    (tmp_path / "profile.json").write_text(json.dumps(events))
    read = read_report(tmp_path / "profile.json").records
    assert [each.figures for each in read] == [each.figures for each in report_of(ORT).records]
    assert {each.inputs for each in read} == {()}
    layers = json.loads((DATA / "tensorrt/hed.layers.json").read_text(encoding="utf-8"), strict=False)
    for layer in layers["Layers"]:
        layer["Inputs"] = layer["Origin"] = shapes
    (tmp_path / "layers.json").write_text(json.dumps(layers))
    read = read_report(DATA / TENSORRT, names=tmp_path / "layers.json").records
    assert {each.inputs for each in read} == {()}


def test_a_row_that_is_only_a_number(tmp_path: Path) -> None:
    """Cut off behind the number of a layer, and the rule of another table below it."""
    path = spoiled(RKNN, tmp_path, lambda data: data.replace(b"3    ConvRelu", b"3\n---", 1))
    assert re.search(
        r"line 12: expected a layer or the rule that ends the table, found '3'", refusal_of(path)
    )
