"""Tries cases with ONNX Runtime's QNN provider and its HTP simulator, whole nodes on the NPU alone.

Run by ``generate.py`` in a Python with onnxruntime-qnn.
"""

from importlib.metadata import version

import onnxruntime as ort
import onnxruntime_qnn
from trying import Refused, try_all

PROVIDER = "QNNExecutionProvider"
OPTIONS = {
    "backend_path": onnxruntime_qnn.get_qnn_htp_path(), "htp_arch": "75", "soc_model": "57",
    "enable_htp_fp16_precision": "1",
}  # fmt: skip
ort.set_default_logger_severity(4)
ort.register_execution_provider_library(PROVIDER, onnxruntime_qnn.get_library_path())
DEVICES = [each for each in ort.get_ep_devices() if each.ep_name == PROVIDER]


def outputs_of(folder, case, inputs):
    """The outputs by name."""
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_provider_for_devices(DEVICES, OPTIONS)
    try:
        session = ort.InferenceSession(str(folder / "model.onnx"), options)
    except Exception as error:
        left = "fallback to CPU EP has been explicitly disabled" in str(error)
        raise Refused("the provider leaves the node to the processor" if left else error) from error
    return dict(zip(case["outputs"], session.run(case["outputs"], inputs), strict=True))


if __name__ == "__main__":
    try_all(outputs_of, version("onnxruntime-qnn"))
