"""Runs a model in ONNX Runtime on the simulator of Qualcomm's HTP: a script, see ``start.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import onnxruntime_qnn as qnn

PROVIDER = "QNNExecutionProvider"
PROFILE = "profile.csv"
EVERYTHING, FATAL_ONLY = 0, 4


def _quantized(model: str, inputs: dict[str, Any]) -> str:
    """The model with its operators in 8 bits, as ONNX Runtime quantizes for QNN, calibrated on the inputs."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize
    from onnxruntime.quantization.execution_providers.qnn import get_qnn_qdq_config

    class Once(CalibrationDataReader):  # type: ignore[misc]
        given: dict[str, Any] | None = inputs

        def get_next(self) -> dict[str, Any] | None:
            given, self.given = self.given, None
            return given

    kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8}
    quantize(model, "quantized.onnx", get_qnn_qdq_config(model, Once(), **kinds))
    return "quantized.onnx"


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Run the model; its outputs and the profile are left as files."""
    ort.register_execution_provider_library(PROVIDER, qnn.get_library_path())
    ort.set_default_logger_severity(FATAL_ONLY)
    options = ort.SessionOptions()
    options.log_severity_level = EVERYTHING if request["profile"] else FATAL_ONLY  # why nodes are refused
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    settings = {
        "backend_path": qnn.get_qnn_htp_path(),
        "htp_arch": str(request["htp_arch"]),
        "soc_model": str(request["soc_model"]),
        "enable_htp_fp16_precision": "1",
        "profiling_level": "detailed" if request["profile"] else "off",
    }
    if request["profile"]:
        settings["profiling_file_path"] = PROFILE
    devices = [device for device in ort.get_ep_devices() if device.ep_name == PROVIDER]
    options.add_provider_for_devices(devices, settings)
    with np.load("inputs.npz") as held:
        inputs = {name: held[str(index)] for index, name in enumerate(request["inputs"])}
    given = ort.InferenceSession(request["model"], providers=["CPUExecutionProvider"]).get_inputs()
    inputs = {value.name: inputs[value.name] for value in given}
    model = _quantized(request["model"], inputs) if request["is_int8"] else request["model"]
    session = ort.InferenceSession(model, options)
    outputs = session.run(request["outputs"], inputs)
    np.savez("outputs.npz", **{str(index): array for index, array in enumerate(outputs)})
    placed = [
        {"name": node.name, "op_type": node.op_type, "npu": graph.ep_name == PROVIDER}
        for graph in session.get_provider_graph_assignment_info()
        for node in graph.get_nodes()
    ]
    return {"version": qnn.__version__, "placed": placed}
