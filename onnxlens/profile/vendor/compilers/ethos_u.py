"""Arm's Vela for the Ethos-U: cycles of its performance model, by layer of the module in int8."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from onnxlens.errors import UsageError
from onnxlens.profile.vendor.compilers.child import WORKERS, run_worker
from onnxlens.profile.vendor.compilers.exchange import result_of, write_arrays
from onnxlens.profile.vendor.compilers.fused_names import parts_of, with_own_names
from onnxlens.profile.vendor.compilers.lookup import Compiler, CompileRequest, find_packages
from onnxlens.profile.vendor.readers.lookup import read_report
from onnxlens.specs.layers import LayerReport

UNITS: Mapping[str, Sequence[int]] = MappingProxyType(
    {"u55": (256, 128, 64, 32), "u65": (512, 256), "u85": (512, 128, 256, 1024, 2048)}
)
"""MACs per cycle of each family."""

SYSTEMS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "u55": ("High_End_Embedded", "Deep_Embedded"),
        "u65": ("Client_Server", "Embedded", "Mid_End", "High_End"),
        "u85": ("SYS_DRAM_Mid", "SYS_DRAM_Low", "SYS_DRAM_High", "SYS_Flash_Low", "SYS_Flash_High"),
    }
)
"""Arm's example systems of ``Arm/vela.ini``, which are no chips that can be bought; the default first."""

MEMORIES = (
    "Shared_Sram",
    "Dedicated_Sram",
    "Sram_Only",
    "Dedicated_Sram_256KB",
    "Dedicated_Sram_384KB",
    "Dedicated_Sram_512KB",
)
"""Where weights and activations are held. The U55 shares its SRAM by default, the others have their own."""

INSTALL = (
    "python3.11 -m venv ethos-u && ethos-u/bin/pip install ethos-u-vela==5.2.0 litert-torch==0.10.0 "
    "ai-edge-quantizer==0.10.0 torch==2.13.0"
)

INT8_FILE = "int8.tflite"
"""What the worker makes of a module."""

REFUSED = re.compile(
    r"^Warning \(.*\) operator: (?P<operator>\w+), ofm: '(?P<name>[^']*)'\nReason: (?P<reason>(?:.+\n)+)",
    re.M,
)

PACKAGES = ("ethos-u-vela", "litert-torch", "ai-edge-quantizer")


def _variants(chip: str) -> Sequence[str]:
    return (*SYSTEMS[chip.partition("-")[0]], *MEMORIES)


def configuration(chip: str) -> Mapping[str, str]:
    """What Vela is told of a chip such as ``u55-256@Deep_Embedded+Sram_Only``.

    Raises:
        UsageError: two systems, or two memory modes.
    """
    unit, _, words = chip.partition("@")
    family = unit.partition("-")[0]
    chosen = [word for word in words.split("+") if word]
    systems = [word for word in chosen if word in SYSTEMS[family]]
    memories = [word for word in chosen if word in MEMORIES]
    if max(len(systems), len(memories)) > 1:
        raise UsageError(f"ethos-u: {chip} names {', '.join(chosen)}; give one system and one memory mode")
    (system,), (memory,) = systems or SYSTEMS[family][:1], memories or MEMORIES[family != "u55" :][:1]
    return {
        "accelerator": f"ethos-{unit}",
        "system": f"Ethos_{family.upper()}_{system}",
        "memory": memory,
    }


def _compile(request: CompileRequest) -> LayerReport:
    source, folder, chosen = request.source, request.folder, configuration(request.chip)
    made_before = next(folder.parent.glob(f"ethos-u*/{INT8_FILE}"), None)  # for another chip
    if tflite := request.given or made_before:
        asked: dict[str, Any] = {**chosen, "tflite": str(tflite.absolute())}
    else:
        asked = {**chosen, "program": "module.pt2", "labels": source.traced(folder / "module.pt2")}
        write_arrays(folder / "inputs.npz", source.inputs)
    worker = WORKERS / "ethos_u.py"
    outcome = run_worker(request.python, worker, asked, folder, request.timeout_s)
    result = result_of(outcome)
    report = read_report(folder / result["report"], "ethos-u", chip=request.chip)
    made = [f"of {request.given.name}"] if request.given else result["notes"]
    how = ", ".join((chosen["accelerator"], chosen["system"], chosen["memory"]))
    records = with_own_names(source.graph, report.records)
    refused = dict(refusals(outcome.log.read_text("utf-8", "replace")))
    notes = (*report.notes, how, *made)
    return replace(report, records=records, version=result["version"], refused=refused, notes=notes)


def refusals(log: str) -> Iterator[tuple[str, str]]:
    """The operations that Vela leaves to the processor, by the name of what they make, and why."""
    for match in REFUSED.finditer(log):
        yield ";".join(parts_of(match["name"])), f"{match['operator']}: {' '.join(match['reason'].split())}"


COMPILER = Compiler(
    name="ethos-u",
    doc="cycles of Arm's performance model by layer, of the NPU and of the memories, in int8",
    install=INSTALL,
    find=lambda python: find_packages(PACKAGES, python),
    compile=_compile,
    chips=tuple(f"{family}-{macs}" for family, sizes in UNITS.items() for macs in sizes),
    takes=".tflite",
    variants=_variants,
)
