"""Core ML's compute plan: the device that each operation is planned for, and its share of the cost.

Source: ``MLComputePlan`` in Apple's documentation and in coremltools, which is an interface for programs on
a Mac and writes no file. docs/readers.md has the few lines that do: a JSON object ``core_ml_compute_plan``
with ``operations``, each with ``operator`` (``ios17.conv``), ``outputs`` (the names in the ML program), the
preferred ``device`` and the estimated ``cost``, which is a share of the whole model's and no time. Constants
have no device: they are not layers.
"""

from __future__ import annotations

import re
from typing import Any

from onnxlens.profile.vendor.readers.given import Given
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import entry, known, listed, named, number, refuse, shown
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "core-ml"

DOCUMENT = "core_ml_compute_plan"

DEVICES = {"CPU": "cpu", "GPU": "gpu", "NeuralEngine": "npu"}
"""The middle of the devices' class names, ``MLNeuralEngineComputeDevice``, and what runs there."""

DEVICE = re.compile(r"(?:ML)?(\w+?)(?:ComputeDevice)?\Z")


def _recognizes(given: Given) -> bool:
    return f'"{DOCUMENT}"' in given.head()


def _read(given: Given) -> LayerReport:
    path = given.one_named(r"\.json", "a compute plan of Core ML")
    where = str(path)
    plan = entry(entry(given.json(path), where, DOCUMENT)[DOCUMENT], where, "operations")
    operations = listed(plan["operations"], where, "operations")
    records = [_record(each, f"{where}: operation {at}") for at, each in enumerate(operations)]
    return LayerReport(
        TOOL,
        tuple(record for record in records if record is not None),
        version=str(plan.get("version", "")),
        notes=("cost_share is an estimate of the whole model's cost, and no time",),
    )


def _record(value: Any, where: str) -> LayerRecord | None:
    operation = entry(value, where, "operator", "outputs")
    outputs = tuple(named(each, where) for each in listed(operation["outputs"], where, "names"))
    device, cost = operation.get("device"), operation.get("cost")
    if device is None:
        return None
    match = DEVICE.match(named(device, where))
    if match is None or match[1] not in DEVICES:
        refuse(where, f"expected a device such as MLNeuralEngineComputeDevice, found {shown(device)}")
    figures = known({"cost_share": None if cost is None else number(cost, f"{where}: cost")})
    operator = named(operation["operator"], where).rpartition(".")[2]
    return LayerRecord(", ".join(outputs) or operator, operator, outputs, DEVICES[match[1]], figures)


READERS = (Reader(TOOL, "Core ML's compute plan as JSON, see docs/readers.md", _recognizes, _read),)
