"""Formats whose tools do not run here: files built as documented, see tests/data/vendor/README.md."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.vendor.readers import read_report
from tests.profile.vendor.readers.recorded import DATA, report_of


def written(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_tensorrt_with_layers() -> None:
    report = report_of("tensorrt/hed.profile.json")
    copy, sub, fused, _, region, last = report.records
    assert report.notes == ()
    assert copy.sources == ()  # the engine's own
    assert copy.figures == {"time_s": 1.13e-05}
    assert sub.sources == ("node_sub",)
    # the nodes of one kernel stand behind 0x1F, other groups of a region behind 0x1E
    assert fused.sources == ("node_conv2d", "node_relu")
    assert region.sources == ("node_conv2d_2", "node_max_pool2d")
    assert fused.inputs == ((1, 3, 128, 128),)
    assert (fused.op_type, fused.placement) == ("Convolution", "gpu")
    assert last.figures == {}  # 0 of 400 runs: not executed
    assert last.sources == ("node_conv2d_3",)  # no metadata: the name
    assert last.outputs == ()  # one size is not known


@pytest.mark.parametrize("names", [None, DATA / "tensorrt" / "names-only.json"], ids=["none", "names only"])
def test_tensorrt_by_names(names: Path | None) -> None:
    report = read_report(DATA / "tensorrt" / "hed.profile.json", names=names)
    assert [record.sources for record in report.records[:3]] == [
        (),
        ("node_sub",),
        ("node_conv2d", "node_relu"),
    ]


@pytest.mark.parametrize(
    ("name", "sources"),
    [
        # as TensorRT 7 has them
        ("conv1 + relu1 input reformatter 0", ()),
        ("a + relu_a || b + relu_b", ("a", "relu_a", "b", "relu_b")),
        # and later ones
        ("/neck/Concat_/neck/Resize_output_0_clone_0 copy", ()),
        ("[trainStation1]", ()),
        ("(Unnamed Layer* 718) [NMS]_1_output[DevicetoShapeHostCopy]", ()),
        ("/head/copy/Conv + /head/copy/Relu", ("/head/copy/Conv", "/head/copy/Relu")),
        ("{ForeignNode[a...b + c]}", ("{ForeignNode[a...b + c]}",)),
    ],
)
def test_tensorrt_names(name: str, sources: tuple[str, ...], tmp_path: Path) -> None:
    profile = written(tmp_path, "engine.profile", [{"count": 1}, {"name": name, "averageMs": 1}])
    assert read_report(profile).records[0].sources == sources


def test_tensorrt_as_a_folder(tmp_path: Path) -> None:
    for name in ("hed.profile.json", "hed.layers.json"):
        written(tmp_path, name, (DATA / "tensorrt" / name).read_text(encoding="utf-8"))
    assert read_report(tmp_path) == report_of("tensorrt/hed.profile.json")
    written(tmp_path, "other.layers.json", {"Layers": []})
    with pytest.raises(UsageError, match="1 profiles and 2 files of layers"):
        read_report(tmp_path)


def test_tensorrt_layers_alone_are_no_report() -> None:
    with pytest.raises(
        UsageError, match=r"layers.json: 0 profiles and 1 files of layers; give the JSON of trtexec"
    ):
        report_of("tensorrt/hed.layers.json")


def test_tensorrt_of_another_engine(tmp_path: Path) -> None:
    layers = written(tmp_path, "layers.json", {"Layers": [{"Name": "node_sub", "Metadata": ""}]})
    report = read_report(DATA / "tensorrt" / "hed.profile.json", names=layers)
    assert report.notes == ("5 layers of the profile are not in layers.json",)


def test_tensorrt_on_a_deep_learning_accelerator(tmp_path: Path) -> None:
    layer = {
        "Name": "{ForeignNode[a...b]}",
        "LayerType": "DLA",
        "Metadata": "[ONNX Layer: a]\x1f[ONNX Layer: b]",
    }
    layers = written(tmp_path, "layers.json", {"Layers": [layer]})
    profile = written(tmp_path, "p.json", [{"count": 1}, {"name": layer["Name"], "averageMs": 2}])
    (record,) = read_report(profile, names=layers).records
    assert (record.placement, record.sources, record.figures) == ("dla", ("a", "b"), {"time_s": 0.002})


def test_names_with_brackets_in_metadata(tmp_path: Path) -> None:
    name = "/blocks[0]/Conv [x]"
    layers = written(
        tmp_path, "layers.json", {"Layers": [{"Name": "k", "Metadata": f"[ONNX Layer: {name}]"}]}
    )
    profile = written(tmp_path, "p.json", [{"count": 1}, {"name": "k", "averageMs": 1}])
    assert read_report(profile, names=layers).records[0].sources == (name,)


def test_core_ml() -> None:
    report = report_of("core-ml/plan.json")
    cast, convolution, relu, split = report.records  # the constant has no device
    assert report.version == "9.0"
    assert (cast.placement, cast.op_type, cast.sources) == ("cpu", "cast", ("image_to_fp16",))
    assert (convolution.placement, convolution.figures) == ("npu", {"cost_share": 0.6})
    assert relu.figures == {}
    assert split.sources == ("a", "b")


def test_ai_hub() -> None:
    convolution, relu, gather = report_of("ai-hub/profile.json").records
    assert convolution.figures == {"time_s": 0.000417, "cycles": 612345}
    assert (relu.figures, relu.placement) == ({}, "npu")
    assert (gather.placement, gather.figures) == ("cpu", {"time_s": 3.35e-05})


QNN_HEAD = "Msg Timestamp,Message,Time,Unit of Measurement,Timing Source,Event Level,Event Identifier\n"


def qnn(*events: tuple[str, int, str]) -> str:
    rows = (f"0,{message},{time},CYCLES,BACKEND,SUB-EVENT,{name}\n" for message, time, name in events)
    return QNN_HEAD + "".join(rows)


def test_qnn_runs_are_averaged(tmp_path: Path) -> None:
    run = [("BACKEND", 5, "Accelerator (execute) time (cycles)")]
    events = [*run, ("NODE", 10, "a:OpId_1 (cycles)"), ("NODE", 3, "b:OpId_2 (cycles)"), *run]
    more = [("NODE", 13, "a:OpId_1 (cycles)"), ("NODE", 5, "b:OpId_2 (cycles)"), *run]
    report = read_report(written(tmp_path, "two.csv", qnn(*events, *more)))
    assert [record.figures for record in report.records] == [{"cycles": 11.5}, {"cycles": 4}]
    assert "the mean of 2 executions" in report.notes


def test_qnn_graphs_follow_each_other(tmp_path: Path) -> None:
    root = ("EXECUTE", 1, "QNN (execute) time")
    report = read_report(
        written(
            tmp_path, "x.csv", qnn(("NODE", 1, "a:OpId_1 (cycles)"), root, ("NODE", 2, "b:OpId_1 (cycles)"))
        )
    )
    assert [(record.sources, record.figures) for record in report.records] == [
        (("a",), {"cycles": 1}),
        (("b",), {"cycles": 2}),
    ]


def test_qnn_graphs_say_what_events_do_not(tmp_path: Path) -> None:
    """A change of layout has the names of what it reads and makes; weights are no inputs that move."""
    events = qnn(("NODE", 1, "Transpose:OpId_1 (cycles)"), ("NODE", 2, "conv_token_1:OpId_2 (cycles)"))
    tensors = {
        "image": {"type": 0, "dims": [1, 3, 8, 8]},
        "image_nhwc": {"type": 3, "dims": [1, 8, 8, 3]},
        "w": {"type": 4, "dims": [3, 3, 3, 4]},
        "y": {"type": 1, "dims": [1, 8, 8, 4]},
    }
    nodes = {
        "Transpose": {"type": "Transpose", "input_names": ["image"], "output_names": ["image_nhwc"]},
        "conv_token_1": {"type": "Conv2d", "input_names": ["image_nhwc", "w"], "output_names": ["y"]},
    }
    graph = written(tmp_path, "graph.json", json.dumps({"graph": {"tensors": tensors, "nodes": nodes}}))
    profile = written(tmp_path, "profile.csv", events)
    layout, convolution = read_report(profile, names=graph).records
    assert (layout.op_type, layout.sources) == ("", ("image_nhwc", "image"))
    assert (layout.inputs, layout.outputs) == (((1, 3, 8, 8),), ((1, 8, 8, 3),))
    assert (convolution.op_type, convolution.sources) == ("Conv2d", ("conv_token_1",))
    assert (convolution.inputs, convolution.figures) == (((1, 8, 8, 3),), {"cycles": 2})


@pytest.mark.parametrize(
    ("graph", "fault"),
    [
        ({}, "expected the field 'graph'"),
        ({"graph": {"tensors": {}, "nodes": {"a": {"type": "Relu"}}}}, "expected the field 'input_names'"),
        (
            {
                "graph": {
                    "tensors": {},
                    "nodes": {"a": {"type": "Relu", "input_names": ["x"], "output_names": []}},
                }
            },
            "tensor x: expected an object",
        ),
    ],
)
def test_a_broken_qnn_graph_is_one_line(tmp_path: Path, graph: Any, fault: str) -> None:
    names = written(tmp_path, "graph.json", json.dumps(graph))
    profile = written(tmp_path, "profile.csv", qnn(("NODE", 1, "a:OpId_1 (cycles)")))
    with pytest.raises(UsageError, match=fault):
        read_report(profile, names=names)


OPENVINO = [
    {"node_name": "in", "node_type": "Parameter", "status": "NOT_RUN", "real_time": 0.0},
    {"node_name": "r", "node_type": "Convolution", "exec_type": "jit_avx2_FP32", "status": "EXECUTED",
     "real_time": 412.5, "cpu_time": 400, "originalLayersNames": "node_conv2d,node_relu"},
    {"node_name": "n", "node_type": "MVN", "status": "Status.EXECUTED", "real_time": 7},
]  # fmt: skip


def test_openvino_counters(tmp_path: Path) -> None:
    records = read_report(written(tmp_path, "counters.json", OPENVINO)).records
    assert [record.figures for record in records] == [{}, {"time_s": 0.0004125}, {"time_s": 7e-06}]
    assert [record.sources for record in records] == [("in",), ("node_conv2d", "node_relu"), ("n",)]
    assert [record.placement for record in records] == ["", "jit_avx2_FP32", ""]


def test_openvino_counters_with_times_as_python_writes_them(tmp_path: Path) -> None:
    """``json.dump(..., default=str)`` of what ``get_profiling_info()`` returns."""
    nodes = [{"node_name": "r", "real_time": time} for time in ("0:00:00.000412", "0:01:02", "0:00:00")]
    records = read_report(written(tmp_path, "counters.json", nodes)).records
    assert [record.figures for record in records] == [{"time_s": 0.000412}, {"time_s": 62.0}, {}]


def benchmark_app(*requests: list[tuple[str, str, str]], end: str = ";") -> str:
    text = ""
    for request in requests:
        text += f"layerName;execStatus;layerType;execType;realTime (ms);cpuTime (ms){end}\n"
        text += "".join(
            f"{name};{status};Convolution;jit;{time};{time}{end}\n" for name, status, time in request
        )
        text += f"Total;;;;1.0;1.0{end}\n\n"
    return text


def test_openvino_reports_with_a_separator_at_the_end(tmp_path: Path) -> None:
    """As the benchmark_app in C++ writes them; a table for each request."""
    one = [("a", "EXECUTED", "0.250"), ("b", "NOT_RUN", "0.000")]
    two = [("a", "EXECUTED", "0.750"), ("b", "NOT_RUN", "0.000")]
    report = read_report(written(tmp_path, "x.csv", benchmark_app(one, two)))
    assert [record.figures for record in report.records] == [{"time_s": 0.0005}, {}]
    assert report.notes == ("the mean of 2 requests",)
    with pytest.raises(UsageError, match="the tables of its requests have different layers"):
        read_report(written(tmp_path, "x.csv", benchmark_app(one, two[:1])))


def test_openvino_json_that_lost_its_nodes(tmp_path: Path) -> None:
    """What benchmark_app -report_type average_counters -json_stats of openvino 2026.4.1 writes."""
    node = {"name": "image", "node_type": "Parameter", "status": "Status.NOT_RUN", "real_time": "0.000"}
    path = written(tmp_path, "x.json", {"report_type": "average", "avg_performance": {"nodes": [node]}})
    with pytest.raises(
        UsageError, match="x.json: benchmark_app left out all nodes but one; give its CSV, or"
    ):
        read_report(path)


def test_a_topology_that_is_too_short(tmp_path: Path) -> None:
    short = written(tmp_path, "short.topology", "Layer name, IFMAP Height,\nnode_conv2d, 8,\n")
    with pytest.raises(UsageError, match="short.topology: 1 layers, but the report has layer 4"):
        read_report(DATA / "scalesim", names=short)


def zigzag_layer(name: str, **outputs: Any) -> dict[str, Any]:
    latency = {"data_onloading": 10.0, "computation": 500.0, "data_offloading": 5.0}
    return {
        "outputs": {"memory": {"word_accesses": {}}, "energy": {"energy_total": 12.5}, "latency": latency}
        | outputs,
        "inputs": {
            "layer": {"name": name, "type": "conv", "loop_dimensions": {"B": 1, "K": 8, "C": 3, "FX": 3}}
        },
    }


def test_zigzag_layers_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("node_conv2d_10", "node_conv2d_2"):
        written(tmp_path, f"{name}_complete.json", zigzag_layer(name))
    written(tmp_path, "overall_complete.json", {"outputs": {}})  # the sum of all, and no layer
    assert [record.name for record in read_report(tmp_path).records] == ["node_conv2d_2", "node_conv2d_10"]


def test_zigzag_simple(tmp_path: Path) -> None:
    written(tmp_path, "node_gemm_simple.json", {"energy": 3.5, "latency": 99})
    assert read_report(tmp_path).records[0].figures == {"energy_pj": 3.5, "cycles": 99}


INSPECTOR = ",event_block_name,event_name,p50 (us),is_delegated_op,delegate_backend_name\n"


def test_executorch_with_a_delegate_in_a_unit_of_its_own(tmp_path: Path) -> None:
    """Cycles, below a head that says microseconds: only the call has a time."""
    rows = "0,Execute,conv,51200,True,Npu\n1,Execute,DELEGATE_CALL,40,False,Npu\n"
    conv, call = read_report(written(tmp_path, "x.csv", INSPECTOR + rows)).records
    assert (conv.figures, call.figures) == ({}, {"time_s": 4e-05})


def test_executorch_with_a_delegated_operator_without_its_call(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="x.csv, line 2: the operator of a delegate, without the DELEGATE_CALL"
    ):
        read_report(written(tmp_path, "x.csv", INSPECTOR + "0,Execute,conv,5,True,Npu\n"))


def test_rknn_on_a_board(tmp_path: Path) -> None:
    """The table of ``eval_perf``: it has times, more columns, and no marks of the log before its lines."""
    rule = "-" * 80
    head = (
        "ID   OpType   DataType Target InputShape  OutputShape  Cycles(DDR/NPU/Total)  Time(us)  MacUsage(%)"
        "  WorkLoad(0/1/2)  RW(KB)  FullName"
    )
    rows = [
        r"0 InputOperator UINT8 CPU \ (1,3,224,224) 0/0/0 6 \ 0.0%/0.0%/0.0% 0 InputOperator:input",
        "1 ConvRelu UINT8 NPU (1,3,224,224),(32,3,3,3),(32) (1,32,112,112) 4710/5017/5017 308 9.52 "
        "100.0%/0.0%/0.0% 147 Conv:conv",
    ]
    log = "\n".join(
        [rule, "Network Layer Information Table", rule, head, rule, *rows, rule, "Total Time(us): 314"]
    )
    first, convolution = read_report(written(tmp_path, "perf.txt", log)).records
    assert first.figures == {"time_s": 6e-06}
    assert convolution.figures == {
        "cycles": 5017,
        "compute_cycles": 5017,
        "memory_cycles": 4710,
        "time_s": 0.000308,
        "off_chip_read_bytes": 147 * 1024,
    }
    assert convolution.sources == ("Conv:conv",)


def test_tpu_mlir_prefers_the_mlir_beside_its_trace(tmp_path: Path) -> None:
    for name in ("compiler_profile_0.txt", "hed_bm1684x_f16_final.mlir"):
        shutil.copy(DATA / "tpu-mlir" / name, tmp_path)
    written(tmp_path, "a.tensor_location.json", [])
    assert read_report(tmp_path) == report_of("tpu-mlir")
    shutil.copy(tmp_path / "hed_bm1684x_f16_final.mlir", tmp_path / "other_final.mlir")
    with pytest.raises(
        UsageError, match=r"it has several final MLIR files \(hed_.*, other_final.mlir\); give"
    ):
        read_report(tmp_path)


def test_a_group_with_a_depthwise_kernel_has_no_sizes(tmp_path: Path) -> None:
    """nncase writes it with one output channel, so that its size would be that of no node."""
    head = "Name, Mac, FLOPs, OnChipMemTraffic, OffChipMemTraffic, OffChipMemLWTraffic"
    written(tmp_path, "mac.csv", f"{head}\nTile_0, 5050368, 5050368, 9, 8, 7\n")
    sizes = "B,OC,IC,OH,OW,KH,KW"
    point, depthwise = (
        f"GNNEConv2D\n{sizes}\n1,144,24,32,32,1,1\n",
        f"GNNEPdp0DW\n{sizes}\n1,1,160,16,16,3,3\n",
    )
    written(tmp_path, "Tile_0.csv", point)
    assert read_report(tmp_path).records[0].outputs == ((1, 144, 32, 32),)
    written(tmp_path, "Tile_0.csv", point + depthwise)
    assert read_report(tmp_path).records[0].outputs == ()
