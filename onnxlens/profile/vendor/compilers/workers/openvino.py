"""Runs a model in OpenVINO on the processor and writes its counters: a script, see ``start.py``."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import openvino as ov

NAMES = "originalLayersNames"


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Run the model; its outputs and counters are left as files."""
    core = ov.Core()
    settings = {"PERF_COUNT": True, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(request["model"], "CPU", settings)
    with np.load("inputs.npz") as held:
        inputs = {name: held[str(index)] for index, name in enumerate(request["inputs"])}
    taken = {name for port in compiled.inputs for name in port.get_names()}
    inputs = {name: inputs[name] for name in inputs if name in taken}
    run = compiled.create_infer_request()
    for _ in range(request["warmup"]):
        run.infer(inputs)
    runs = []
    for _ in range(request["runs"]):
        run.infer(inputs)
        runs.append(run.get_profiling_info())
    outputs = [run.get_tensor(name).data for name in request["outputs"]]
    np.savez("outputs.npz", **{str(index): array for index, array in enumerate(outputs)})
    Path("counters.json").write_text(json.dumps(_counters(compiled, runs), indent=1), encoding="utf-8")
    threads = compiled.get_property("INFERENCE_NUM_THREADS")
    return {
        "version": ov.__version__.partition("-")[0],
        "notes": [
            f"times: medians of {request['runs']} runs on {core.get_property('CPU', 'FULL_DEVICE_NAME')}, "
            f"{threads} threads, in float32, with its counters on"
        ],
    }


def _counters(compiled: Any, runs: list[Any]) -> list[dict[str, Any]]:
    """What OpenVINO counts of every node, in the order of execution; medians in microseconds."""
    sources = {}
    for op in compiled.get_runtime_model().get_ordered_ops():
        info = op.get_rt_info()
        sources[op.get_friendly_name()] = str(info[NAMES].value) if NAMES in info else ""
    return [
        {
            "node_name": same[0].node_name,
            "node_type": same[0].node_type,
            "exec_type": same[0].exec_type,
            "status": same[0].status.name,
            "real_time": median(each.real_time.total_seconds() * 1e6 for each in same),
            "cpu_time": median(each.cpu_time.total_seconds() * 1e6 for each in same),
            NAMES: sources.get(same[0].node_name, ""),
        }
        for same in zip(*runs, strict=True)
    ]
