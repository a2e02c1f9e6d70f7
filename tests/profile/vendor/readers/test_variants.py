"""Forms that other versions and other programs of a tool write, built by hand as they are documented."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.vendor.names import naming_of
from onnxlens.profile.vendor.readers import read_report
from tests.profile.vendor.readers.test_built import QNN_HEAD, written

RULE = "    " + "=" * 40
COLUMNS = (
    ("ID", 5), ("OpType", 15), ("DataType", 9), ("Target", 7), ("InputShape", 32), ("OutputShape", 18),
    ("DDR Cycles", 15), ("NPU Cycles", 15), ("Total Cycles", 15), ("Time(us)", 15), ("MacUsage(%)", 15),
    ("WorkLoad(0/1/2)-ImproveTherical", 39), ("Task Number", 15), ("RW(KB)", 15), ("FullName", 16),
)  # fmt: skip


def padded(*cells: str) -> str:
    return "    " + "".join(cell.ljust(width) for cell, (_, width) in zip(cells, COLUMNS, strict=True))


IDLE = "0.0%/0.0%/0.0% - Up:0.0%"
RKNN_1_5 = [
    RULE, "                  Performance", RULE, padded(*(name for name, _ in COLUMNS)),
    padded("1", "InputOperator", "UINT8", "CPU", "\\", "(1,3,224,224)", "0", "0", "0", "21", "\\", IDLE, "0",
           "147.00", "InputOperator:data"),
    padded("2", "ConvRelu", "UINT8", "NPU", "(1,3,224,224),(32,3,3,3),(32)", "(1,32,112,112)", "94150",
           "10584", "94150", "375", "2.82", IDLE, "0", "543.75", "Conv:conv1"),
    "", "    Total Operator Elapsed Time(us): 396", "",
]  # fmt: skip
"""The table of ``eval_perf`` up to toolkit 1.5: cycles in three columns, blanks in cells, and no rule."""

RKNN_BLANK = [
    "---> ------", "  Network Layer Information Table", "------",
    "ID   OpType   DataType Target InputShape      OutputShape     Cycles(DDR/NPU/Total)    Time(us)     "
    "MacUsage(%)          WorkLoad(0/1/2)      RW(KB)       FullName        ",
    "------",
    "1    Conv     FLOAT16  NPU    (1,3,8,8)       (1,3,8,8)       609/1310/1310            390          "
    "0.30/0.00/0.00       100.0%/0.0%/0.0%     384",
    "2    Pad      FLOAT16  NPU    (1,3,8,8),(8)   (1,3,10,10)     0/0/0                    307          "
    "                     100.0%/0.0%/0.0%     1024         Pad:/e/conv.0/Pad",
    "------", "Total Operator Elapsed Per Frame Time(us): 697",
]  # fmt: skip
"""A board's table in which the use of the MACs is empty where a layer has none."""


def test_rknn_tables_of_older_toolkits(tmp_path: Path) -> None:
    data, convolution = read_report(written(tmp_path, "perf.txt", "\n".join(RKNN_1_5))).records
    assert data.figures == {"time_s": 2.1e-05, "off_chip_read_bytes": 147 * 1024}
    assert convolution.sources == ("Conv:conv1",)
    assert convolution.inputs[0] == (1, 3, 224, 224)
    assert convolution.figures == {
        "cycles": 94150,
        "compute_cycles": 10584,
        "memory_cycles": 94150,
        "time_s": 0.000375,
        "off_chip_read_bytes": 556800,
    }
    cut = "\n".join(RKNN_1_5[:-3])
    with pytest.raises(UsageError, match="line 6: the table of layers has no end; is the log whole"):
        read_report(written(tmp_path, "perf.txt", cut))


def test_rknn_cells_that_are_empty(tmp_path: Path) -> None:
    nameless, pad = read_report(written(tmp_path, "perf.txt", "\n".join(RKNN_BLANK))).records
    assert (nameless.name, nameless.sources) == ("Conv 1", ())
    assert nameless.figures["off_chip_read_bytes"] == 384 * 1024
    assert pad.figures == {"time_s": 0.000307, "off_chip_read_bytes": 1024 * 1024}
    assert pad.sources == ("Pad:/e/conv.0/Pad",)


def test_rknn_accuracy_of_older_toolkits(tmp_path: Path) -> None:
    """Cosines alone; ``nan`` is that of a tensor of zeros, as the log says itself."""
    lines = [
        "layer_name              simulator_error          runtime_error",
        "                        entire    single         entire   single_sim",
        "[Input] data            1.000000  1.000000",
        "[Relu] relu1            0.999967  0.999969       0.999960  0.999942",
        "[Conv] conv1",
        "[Conv] zeros            nan  1.0",
    ]
    records = read_report(written(tmp_path, "accuracy.txt", "\n".join(lines))).records
    assert [record.figures for record in records] == [
        {"cosine_distance": 0.0},
        {"cosine_distance": pytest.approx(3.3e-05, abs=1e-12)},
        {},
        {},
    ]


OPENVINO_SORTED = """layerName,execStatus,layerType,execType,realTime (ms),cpuTime (ms),"proportion (%)
"
a,Status.EXECUTED,Convolution,jit,0.250,0.250,62.50%
"b,c",Status.EXECUTED,Relu,jit,0.150,0.150,37.50%

Total time: 0.40 milliseconds
Total CPU time: 0.40 milliseconds
"""


def test_openvino_sorted(tmp_path: Path) -> None:
    """What ``benchmark_app -pcsort`` of openvino 2026.4.1 writes, with a head of two lines."""
    report = read_report(written(tmp_path, "benchmark_sorted_report.csv", OPENVINO_SORTED))
    assert [(record.name, record.figures) for record in report.records] == [
        ("a", {"time_s": 0.00025}),
        ("b,c", {"time_s": 0.00015}),
    ]
    assert report.notes == ("-pcsort leaves out whole seconds: a layer of a second or more has too little",)


def test_openvino_with_a_column_of_processors(tmp_path: Path) -> None:
    head = "layerName;execStatus;layerType;execType;numaId;realTime (ms);cpuTime (ms);\n"
    text = f"{head}a;EXECUTED;Convolution;jit;0;0.250;0.250;\nTotal;;;;;0.25;0.25;\n"
    assert read_report(written(tmp_path, "bacr.csv", text)).records[0].figures == {"time_s": 0.00025}


QNN_VIEWER = (
    "1,EXECUTE,300,US,NETRUN,ROOT,Graph 0: net\n"
    "1,EXECUTE,200,US,BACKEND,SUB-EVENT,Accelerator (execute) time\n"
    "1,EXECUTE,{},CYCLES,BACKEND,SUB-EVENT,_encoder_MatMul:OpId_119 (cycles)\n"
    "1,EXECUTE,0,CYCLES,BACKEND,SUB-EVENT,_encoder_Add:OpId_120 (cycles)\n"
    "1,EXECUTE,5,CYCLES,BACKEND,SUB-EVENT,Input OpId_2 (cycles)\n"
)


def test_qnn_profile_viewer(tmp_path: Path) -> None:
    """Its events of nodes have the message of the execution; the loading of the graph is none of them."""
    load = "0,INIT,12,US,BACKEND,SUB-EVENT,QNN (load binary) time\n"
    text = QNN_HEAD + load + QNN_VIEWER.format(10) + QNN_VIEWER.format(30)
    matmul, add, graph_input = read_report(written(tmp_path, "viewer.csv", text)).records
    assert (matmul.sources, matmul.figures) == (("_encoder_MatMul",), {"cycles": 20})
    assert (add.figures, graph_input.sources) == ({}, ())
    with pytest.raises(
        UsageError, match="viewer.csv: it has no events of nodes; profile with the profiling l"
    ):
        read_report(written(tmp_path, "viewer.csv", QNN_HEAD + load))


def test_qnn_with_the_nodes_of_the_file(tmp_path: Path) -> None:
    """A column of ``enable_framework_op_trace``; empty where QNN made the node."""
    head = QNN_HEAD.strip() + ",ONNX Source Ops\n"
    rows = (
        "NODE,5,CYCLES,BACKEND,SUB-EVENT,q:OpId_3 (cycles),conv;relu",
        "NODE,6,CYCLES,B,SUB-EVENT,r:OpId_4,",
    )
    records = read_report(written(tmp_path, "x.csv", head + "".join(f"0,{row}\n" for row in rows))).records
    assert [record.sources for record in records] == [("conv", "relu"), ("r",)]


@pytest.mark.parametrize("name", ["relu(a, b)", "a,b", "a,,", ",", 'x "1", y', "a,OpId_3"])
def test_qnn_names_with_commas_are_not_in_quotes(name: str, tmp_path: Path) -> None:
    """``nodes`` has the same name: the graph that ONNX Runtime hands over says what the node is."""
    graph = {"tensors": {}, "nodes": {name: {"type": "Relu", "input_names": [], "output_names": []}}}
    nodes = written(tmp_path, "graph.json", json.dumps({"graph": graph}))
    root = "0,EXECUTE,9,US,NETRUN,ROOT,Graph 0: net, v2\n"
    text = f"{QNN_HEAD}{root}0,NODE,5,CYCLES,BACKEND,SUB-EVENT,{name}:OpId_22 (cycles)\n"
    (record,) = read_report(written(tmp_path, "x.csv", text), names=nodes).records
    assert (record.sources, record.op_type, record.figures) == ((name,), "Relu", {"cycles": 5})


def test_qnn_names_with_commas_before_the_nodes_of_the_file(tmp_path: Path) -> None:
    """The identifier ends with its number; where two may be its end, nothing is guessed."""
    head = QNN_HEAD.strip() + f",ONNX Source Ops\n0,EXECUTE,9,US,NETRUN,ROOT,Graph 0: net, v2,\n{QNN_NODE}"
    for told, sources in (
        ("relu(a, b):OpId_3 (cycles),conv, 1;relu", ("conv, 1", "relu")),
        ('r, s:OpId_4,"conv, 1;relu"', ("conv, 1", "relu")),
        ("r, s:OpId_4,", ("r, s",)),
    ):
        (record,) = read_report(written(tmp_path, "x.csv", f"{head}{told}\n")).records
        assert record.sources == sources
    with pytest.raises(UsageError, match=r"x.csv, line 3: two names may be in .*; rename the node"):
        read_report(written(tmp_path, "x.csv", f"{head}a:OpId_3,b:OpId_4,conv\n"))


QNN_NODE = "0,NODE,5,CYCLES,BACKEND,SUB-EVENT,"


def test_executorch_with_tabs(tmp_path: Path) -> None:
    """What ``save_data_to_tsv`` writes, and a spreadsheet makes of True."""
    rows = [
        ["", "event_block_name", "event_name", "p50 (ms)", "is_delegated_op", "delegate_backend_name"],
        ["0", "Execute", "conv", "0.2", "TRUE", "Npu"],
        ["1", "Execute", "DELEGATE_CALL", "0.5", "FALSE", "Npu"],
        ["2", "Execute", "Method::execute", "0.6", "FALSE", ""],
    ]
    text = "".join("\t".join(row) + "\n" for row in rows)
    conv, call = read_report(written(tmp_path, "x.tsv", text)).records
    assert (conv.figures, call.figures["time_s"]) == ({"time_s": 0.0002}, pytest.approx(0.0003, rel=1e-12))


TT_HEAD = (
    "OP CODE,OP TYPE,DEVICE ID,DEVICE KERNEL DURATION [ns],METAL TRACE ID,METAL TRACE REPLAY SESSION ID\n"
)


def test_tt_replays_of_a_trace_are_runs(tmp_path: Path) -> None:
    """Between two signposts, as nothing is behind the last; the operation on the host has no device."""
    rows = ["warm,d,0,999,,", "start,signpost,,,,", "(torch) add,python_fallback,,5,,"]
    rows += [
        f"{code},d,0,{ns},0,{replay}" for replay, ns in ((1, 100), (2, 300)) for code in ("Matmul", "Norm")
    ]
    report = read_report(written(tmp_path, "ops.csv", TT_HEAD + "\n".join([*rows, "stop,signpost,,,,", ""])))
    assert [(record.op_type, record.placement, record.figures) for record in report.records] == [
        ("(torch) add", "cpu", {}),
        ("Matmul", "npu", {"time_s": 2e-07}),
        ("Norm", "npu", {"time_s": 2e-07}),
    ]
    assert report.notes == ("the mean of 2 replays of a trace",)
    with pytest.raises(
        UsageError, match="ops.csv: the replays of trace 0 are of different operations; mark one"
    ):
        read_report(written(tmp_path, "ops.csv", TT_HEAD + "\n".join([*rows[:-1], ""])))


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("Conv_0 + PWN(Clip_3)", ["Conv_0", "Clip_3"]),
        ("PWN(PWN(/m/act/Sigmoid), /m/act/Mul)", ["/m/act/Sigmoid", "/m/act/Mul"]),
        ("PWN(PWN(PWN(/a/Sigmoid), PWN(/a/Mul)), /Add)", ["/a/Sigmoid", "/a/Mul", "/Add"]),
    ],
)
def test_tensorrt_pointwise_operations_of_one_kernel(name: str, names: list[str]) -> None:
    assert naming_of("tensorrt").pieces(name) == names


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("times.json", '[{ "startComputeMs" : 2, "endComputeMs" : 3, "computeMs" : 1, "latencyMs" : 3 }]'),
        ("trtexec.log", "[01/01/2026-00:00:00] [I] === Profile (1000 iterations ) ===\n"),
        ("layers.json", '{"Bindings": ["x"], "Layers": ["conv"]}'),
    ],
)
def test_tensorrt_files_without_times_of_layers(name: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"0 profiles and \d files of layers; give the JSON of trtexec --expor"
    ):
        read_report(written(tmp_path, name, text))


def test_openvino_names_that_are_cut_off(tmp_path: Path) -> None:
    """What ``benchmark_app -pc`` prints."""
    line = (
        "/block_0/con... EXECUTED  layerType: Add  execType: jit  realTime (ms): 0.123  cpuTime (ms): 0.1\n"
    )
    with pytest.raises(
        UsageError, match="what -pc prints has names that are cut off; give it -report_type aver"
    ):
        read_report(written(tmp_path, "pc.txt", line))
