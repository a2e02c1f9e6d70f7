#!/usr/bin/env bash
# openvino 2026.4.1 (benchmark_app of the Python package), CPU.
#
# One would guess: `benchmark_app -report_type average_counters -json_stats` writes the counters that it writes without
# `-json_stats` as a CSV file, only as JSON.
#
# What happens: the JSON has one node, the graph's first input, with its time of 0.000, and totals of 0.000, whatever
# the network; there is no warning, and the log says that the report is stored. The CSV of the same run has every node.
# `detailed_counters` is whole in both forms, but its JSON is a list of requests where the average is an object.
#
# Why it matters: a script that adds up the layers of a run finds that the network takes no time, and a tool that leads
# layers back to a model finds one layer, which looks like a fully fused network.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6
"$folder/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | grep -E "^(openvino|onnx|numpy) "
cd "$folder"
venv/bin/python - <<'PY'
import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

nodes, value = [], "x"
for index in range(3):
    nodes.append(helper.make_node("Conv", [value, "w"], [f"c{index}"], name=f"conv{index}", pads=[1, 1, 1, 1]))
    nodes.append(helper.make_node("MaxPool", [f"c{index}"], [f"p{index}"], name=f"pool{index}", kernel_shape=[2, 2]))
    value = f"p{index}"
shapes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in
          (("x", [1, 8, 32, 32]), (value, [1, 8, 29, 29]))]
weight = numpy_helper.from_array(np.ones((8, 8, 3, 3), np.float32), "w")
graph = helper.make_graph(nodes, "net", shapes[:1], shapes[1:], [weight])
save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), "net.onnx")
PY
for form in "" -json_stats; do
    venv/bin/benchmark_app -m net.onnx -niter 4 -nireq 1 -api sync -report_type average_counters $form \
        -report_folder . > log.txt 2>&1
done
venv/bin/python - <<'PY'
import json

layers = [line for line in open("benchmark_average_counters_report.csv") if line.count(";") == 5][1:-1]
average = json.load(open("benchmark_average_counters_report.json"))["avg_performance"]
print(f"CSV:  {len(layers)} nodes, {sum('Status.EXECUTED' in line for line in layers)} of them ran")
print(f"JSON: {len(average['nodes'])} node, total {average['total_real_time']} ms: {average['nodes'][0]}")
assert len(layers) > 6
assert len(average["nodes"]) == 1 and average["total_real_time"] == "0.000", "benchmark_app's JSON is whole now"
PY
