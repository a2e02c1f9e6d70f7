"""What a worker is given and gives back: arrays in a file, and a report or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onnxlens.errors import ToolError
from onnxlens.profile.vendor.compilers.child import WORKERS, Outcome, run_worker
from onnxlens.profile.vendor.compilers.lookup import Run

SHOWN = 3
"""How many outputs a note names."""


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> Sequence[str]:
    """Write arrays as ``0``, ``1``, ...; their names, which a file may not take, in that order.

    Raises:
        ToolError: one is of a type that numpy alone does not read, such as bfloat16 or text.
    """
    for name, array in arrays.items():
        if array.dtype.kind in "VO":
            raise ToolError(f"input {name!r} is {array.dtype}, which cannot be handed to another program")
    held: dict[str, Any] = {str(index): array for index, array in enumerate(arrays.values())}
    np.savez(path, **held)
    return list(arrays)


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays that a worker has written in the order of these names."""
    with np.load(path) as held:
        return {name: held[str(index)] for index, name in enumerate(names)}


def result_of(outcome: Outcome) -> Mapping[str, Any]:
    """The worker's result.

    Raises:
        ToolError: it crashed.
    """
    if outcome.crashed:
        raise ToolError(outcome.crashed)
    return outcome.result


def ran(run: Run, compiler: str, **asked: object) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
    """The result of a compiler's worker that runs a model, and the outputs."""
    folder = run.model.parent
    request = {
        "model": run.model.name,
        "inputs": write_arrays(folder / "inputs.npz", run.inputs),
        "outputs": list(run.outputs),
        **asked,
    }
    outcome = run_worker(run.python, WORKERS / f"{compiler}.py", request, folder, run.timeout_s)
    return result_of(outcome), read_arrays(folder / "outputs.npz", run.outputs)


def output_errors(got: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> Mapping[str, float]:
    """The relative L2 error of every output."""
    return {name: relative_error(got[name], array) for name, array in expected.items() if name in got}


def error_note(errors: Mapping[str, float]) -> str:
    """How far the outputs are from ONNX Runtime's, worst first."""
    worst = sorted(errors, key=lambda name: -errors[name])
    named = ", ".join(f"{name} {errors[name]:.1e}" for name in worst[:SHOWN])
    more = f", {len(worst) - SHOWN} more below" if len(worst) > SHOWN else ""
    return f"relative L2 error of the outputs against ONNX Runtime in float32: {named}{more}"


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    """The relative L2 error; infinite where the shapes or the values that are not finite differ."""
    if got.shape != expected.shape:
        return float("inf")
    have, want = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    differ = (have != want) & ~(np.isnan(have) & np.isnan(want))
    with np.errstate(invalid="ignore", over="ignore"):
        difference = np.linalg.norm(have[differ] - want[differ])
        whole = np.linalg.norm(want[np.isfinite(want)])
    if not differ.any():
        return 0.0
    found = float(difference / whole) if whole else float("inf")
    return found if np.isfinite(found) else float("inf")
