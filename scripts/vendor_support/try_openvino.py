"""Tries cases with OpenVINO on the processor: run by ``generate.py`` in OpenVINO's own Python."""

import openvino as ov
from trying import Refused, try_all

CORE = ov.Core()
SETTINGS = {"INFERENCE_PRECISION_HINT": "f32"}


def outputs_of(folder, case, inputs):
    """The outputs by name."""
    try:
        compiled = CORE.compile_model(str(folder / "model.onnx"), "CPU", SETTINGS)
    except Exception as error:
        raise Refused(error) from error
    run = compiled.create_infer_request()
    run.infer(list(inputs.values()))
    return {name: run.get_output_tensor(index).data for index, name in enumerate(case["outputs"])}


if __name__ == "__main__":
    try_all(outputs_of, ov.__version__.partition("-")[0])
