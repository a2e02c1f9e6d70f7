"""Converts a traced module to int8 TFLite, and has Vela write its table of layers: see ``start.py``.

It runs where litert-torch, ai-edge-quantizer and Vela are. A TFLite file may be given in the module's place.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

SIGNATURE = "serving_default"

FLOAT_FILE, INT8_FILE = "float.tflite", "int8.tflite"


def _labelled(program: Any, labels: dict[str, str]) -> None:
    """Have what the converter names each operation after be its label: it writes the module's classes."""
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
        node.meta.pop("nn_module_stack", None)
        if label := labels.get(node.name):
            node.meta["nn_module_stack"] = {"label": ("", label)}


def _converted(request: dict[str, Any]) -> Path:
    """The float TFLite file; its operations have our names."""
    import torch
    from litert_torch import fx_infra
    from litert_torch._convert import core, litert_converter, signature

    program = torch.export.load(request["program"])
    _labelled(program, request["labels"])
    samples = tuple(program.example_inputs[0])
    decompositions = fx_infra.decomp.pre_convert_decomp()
    program = fx_infra.safe_run_decompositions(program, decompositions, can_skip=False)
    program = core._run_convert_passes(program)
    signed = signature.Signature(SIGNATURE, torch.nn.Module().eval(), samples, {}, None)
    path = Path(FLOAT_FILE)
    path.write_bytes(litert_converter.exported_programs_to_flatbuffer([program], [signed]).to_bytes())
    return path


def _quantized(path: Path) -> Path:
    """The file with int8 weights, activations, inputs and outputs, calibrated by one sample."""
    import numpy as np
    from ai_edge_quantizer import quantizer, recipe

    with np.load("inputs.npz") as arrays:
        sample = {f"args_{name}": _narrow(arrays[name]) for name in arrays.files}
    work = quantizer.Quantizer(str(path), recipe.static_wi8_ai8())
    found = work.calibrate({SIGNATURE: [sample]})
    quantized = Path(INT8_FILE)
    quantized.write_bytes(work.quantize(found).quantized_model)
    return quantized


def _narrow(array: Any) -> Any:
    """As the converter has types: 64 bits become 32."""
    import numpy as np

    narrow = {np.dtype(np.int64): np.int32, np.dtype(np.float64): np.float32}.get(array.dtype)
    return array if narrow is None else array.astype(narrow)


def _compiled(path: Path, request: dict[str, Any]) -> Path:
    """Vela's table of layers."""
    from ethosu.vela import vela

    chosen = ["--accelerator-config", request["accelerator"], "--config", "Arm/vela.ini"]
    chosen += ["--system-config", request["system"], "--memory-mode", request["memory"]]
    shown = ["--verbose-performance", "--show-cpu-operations", "--output-dir", "vela"]
    if code := vela.main([str(path), *chosen, *shown]):
        sys.exit(f"Vela ended with the code {code}")
    (found,) = Path("vela").glob("*_per-layer.csv")
    return found


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Convert the module, unless a TFLite file is given; have it compiled."""
    given = request.get("tflite")
    table = _compiled(Path(given) if given else _quantized(_converted(request)), request)
    made_by = ", ".join(f"{name} {version(name)}" for name in ("litert-torch", "ai-edge-quantizer"))
    return {
        "version": version("ethos-u-vela"),
        "report": str(table),
        "notes": [f"int8 by {made_by}, calibrated by one sample"],
    }
