"""Make a table of what a tool supports from real runs over ONNX's single-node backend tests.

By hand:

    python scripts/vendor_support/cases.py CASES
    python scripts/vendor_support/generate.py TOOL PYTHON CASES RESULTS.jsonl [OUT.toml]

PYTHON is that of the tool's own environment. A case that takes too long or kills its process is ``crashed``,
and the rest goes on in a new process; a second call continues with RESULTS.jsonl.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from trying import MARK

from onnxlens.profile.vendor.support.verdicts import traits

HERE = Path(__file__).parent

LIMIT_S = 60
"""For one case, by the clock; where each has a process of its own, of the processor (``trying.CPU_S``)."""

APART = ("tpu-mlir", "ethos-u")
"""Tools whose cases have."""

START_S = 600
"""For a tool to be imported."""

EXACT, FLOAT16_EXACT = 1e-3, 2048

TOLERANCES = {"openvino": EXACT, "qnn": 1e-2, "k230": 1e-2, "rknn": 1e-2, "tpu-mlir": 1e-2, "ethos-u": EXACT}
"""Relative L2 error of what counts as right: in float32, or where the tool computes in float16."""

TYPES = {"float": "float32", "double": "float64"}
"""ONNX's names for our dtypes, where they differ."""

HOW = {
    "openvino": "compile_model on CPU, INFERENCE_PRECISION_HINT f32",
    "qnn": "HTP simulator, htp_arch 75, soc_model 57, fp16, session.disable_cpu_ep_fallback",
    "k230": "Compiler for k230 in float32, and Simulator",
    "rknn": "RKNN.build for rk3588 without quantization, and its simulator",
    "tpu-mlir": "model_transform and model_deploy for bm1684x in float16, and its simulator",
    "ethos-u": "litert-torch 0.10.0, ai-edge-quantizer 0.10.0 (int8) and Vela for ethos-u55-256",
}

MODULES = "ethos-u"
"""The tool that converts from PyTorch, and of which nothing runs: its cases are those of ``modules.py``."""


def run(tool: str, python: str, cases: Path, results: Path) -> None:
    """Try all cases, in as many processes as it takes."""
    log = results.with_suffix(".log")
    while True:
        script = HERE / f"try_{tool.replace('-', '_')}.py"
        command = [python, str(script), str(cases), str(results), str(TOLERANCES[tool])]
        with log.open("wb") as printed:
            process = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT)
        size, since, stopped = -1, time.monotonic(), ""
        while process.poll() is None:
            time.sleep(0.2)
            now = results.stat().st_size if results.exists() else 0
            if now != size:
                size, since = now, time.monotonic()
                continue
            limit_s = LIMIT_S if begun(results) and tool not in APART else START_S
            if time.monotonic() - since > limit_s:
                process.kill()
                process.wait()
                stopped = f"more than {limit_s} s"
        open_case = begun(results)
        if not open_case:
            if process.returncode:
                raise SystemExit(f"{' '.join(command)} fails with {process.returncode}: run it by hand")
            return
        why = stopped or f"{last_words(log)} (the process ends with {process.returncode})"
        line = {"case": open_case, "result": "crashed", "reason": why}
        with results.open("a") as file:
            print(json.dumps(line), file=file)


def last_words(log: Path) -> str:
    """The exception that a tool dies of, or the last line that it prints."""
    printed = log.read_text("utf-8", "replace").rpartition(MARK)[2]
    lines = [line.strip() for line in printed.splitlines()[1:] if line.strip()]
    named = [line for line in lines if "xception" in line or "rror" in line]
    return (named or lines or [""])[-1][:160]


def begun(results: Path) -> str:
    """The case that has begun and not ended."""
    lines = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    return lines[-1]["case"] if lines and lines[-1]["result"] == "begun" else ""


def table(tool: str, cases: Path, results: Path) -> str:
    """All results as TOML: a line for each kind of node of an operator, with its results."""
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    ended = [line for line in lines if line["result"] != "begun"]
    ended = [line for line in ended if is_typical(cases, line["case"], TOLERANCES[tool] > EXACT)]
    version = next(line["version"] for line in ended if line.get("version"))
    found: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for line in ended:
        case = json.loads((cases / line["case"] / "case.json").read_text())
        name = f"{case['domain']}.{case['op_type']}" if case["domain"] else case["op_type"]
        found[name][json.dumps(kind_of(case))].append(line)
    right = f"right within a relative L2 error of {TOLERANCES[tool]:g}"
    tests = f"single-node backend tests of onnx {onnx.__version__}"
    if tool == MODULES:
        right, tests = "accepted is what runs on the NPU whole, numbers are not compared", "PyTorch modules"
    text = [
        f"# Made by scripts/vendor_support/generate.py from {len(ended)} runs; not edited by hand.",
        f"tool = {json.dumps(tool)}",
        f"version = {json.dumps(version)}",
        f"date = {date.today()}",
        f"how = {json.dumps(f'{HOW[tool]}; {right}')}",
        f"tests = {json.dumps(f'{len(ended)} runs of {tests}')}",
    ]
    for name in sorted(found):
        text.append(f"\n[operators.{json.dumps(name)}]\ncases = [")
        kinds = sorted(found[name].items())
        text += [f"  {inline({**json.loads(kind), **summed(rows)})}," for kind, rows in kinds]
        text.append("]")
    return "\n".join(text) + "\n"


def is_typical(cases: Path, case: str, in_float16: bool) -> bool:
    """Whether a case has no empty tensor, and for a tool that computes in float16 no larger numbers.

    Integers above 2,048 are not exact there: what a tool makes of them says nothing of the operator.
    """
    whole = cases / f"{case.partition('.')[0]}.given"  # has all inputs
    with np.load((whole if whole.exists() else cases / case) / "data.npz") as held:
        arrays = [held[name] for name in held.files]
    floats = [array for array in arrays if array.dtype.kind == "f" and array.size]
    largest = max((float(np.abs(array[np.isfinite(array)]).max(initial=0)) for array in floats), default=0)
    return all(array.size for array in arrays) and not (in_float16 and largest > FLOAT16_EXACT)


def kind_of(case: Any) -> dict[str, Any]:
    """What of a case decides: its attributes in few values."""
    rank = next(iter(case["ranks"]), -1)
    attributes = traits(case["op_type"], case["opset"], case["domain"], case["attributes"], rank)
    kind = {
        "types": [TYPES.get(each, each) for each in case["types"]],
        "rank": rank,
        "constant": case["constant"],
        "outputs": len(case["outputs"]) if len(case["outputs"]) > 1 else 0,
        "attributes": attributes,
    }
    return {key: value for key, value in kind.items() if value or key == "rank"}


def summed(rows: list[Any]) -> dict[str, Any]:
    """How often each result came, and the first test, or that of the first which is not accepted."""
    counts = Counter(row["result"] for row in rows)
    row = next((row for row in rows if row["result"] != "accepted"), rows[0])
    reason = {"reason": row["reason"]} if row["reason"] else {}
    return {**counts, **reason, "test": row["case"].partition(".")[0]}


def inline(value: Any) -> str:
    """A value as TOML has it in one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {inline(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return json.dumps(value)


def main() -> None:
    """Run, and write the table where one is named."""
    tool, python, cases, results = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    run(tool, python, cases, results)
    if len(sys.argv) > 5:
        Path(sys.argv[5]).write_text(table(tool, cases, results))


if __name__ == "__main__":
    main()
