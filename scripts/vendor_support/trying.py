"""What every ``try_TOOL.py`` shares: standard library and numpy alone, as the tools' Pythons have those.

    python try_TOOL.py CASES RESULTS TOLERANCE

A line of JSON is appended to RESULTS as each case begins and as it ends, so that ``generate.py`` knows which
one a crash belongs to; cases that stand there are not tried again.
"""

import json
import sys
from pathlib import Path

import numpy as np

WORDS = 160

MARK = "== case "
"""Stands in the log where a case begins."""


class Refused(Exception):
    """The tool does not take the node."""


def try_all(outputs_of, version):
    """Try every case that has no line yet."""
    cases, results, tolerance = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    known = (
        {json.loads(line)["case"] for line in results.read_text().splitlines()} if results.exists() else set()
    )
    with results.open("a") as file:

        def told(**line):
            print(json.dumps(line), file=file, flush=True)

        for folder in sorted(cases.iterdir()):
            if folder.name in known:
                continue
            told(case=folder.name, result="begun")
            print(f"{MARK}{folder.name}", flush=True)
            result, reason = _tried(folder, outputs_of, tolerance)
            told(case=folder.name, result=result, reason=_short(reason), version=version)


def _short(reason):
    """The last line that says something, which of a traceback is the error."""
    lines = [" ".join(line.split()) for line in reason.splitlines() if line.strip()]
    return lines[-1][:WORDS] if lines else ""


def _tried(folder, outputs_of, tolerance):
    case = json.loads((folder / "case.json").read_text())
    with np.load(folder / "data.npz") as held:
        inputs = {name: held[f"in_{name}"] for name in case["inputs"]}
        wanted = {name: held[f"out_{name}"] for name in case["outputs"]}
    try:
        got = outputs_of(folder, case, inputs)
    except Refused as error:
        return "refused", str(error)
    except Exception as error:
        return "refused", f"when it runs: {error}"
    faults = (fault(got[name], array, tolerance) for name, array in wanted.items())
    worst = next(filter(None, faults), "")
    return ("wrong", worst) if worst else ("accepted", "")


def fault(got, wanted, tolerance):
    """What is wrong with an output; nothing if it is right."""
    got = np.asarray(got)
    if got.shape != wanted.shape:
        return f"the shape {got.shape} instead of {wanted.shape}"
    if wanted.dtype.kind != "f":
        differ = int(np.count_nonzero(got != wanted))
        return f"{differ} of {wanted.size} values differ" if differ else ""
    want, found = wanted.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(want)
    if not np.array_equal(np.isfinite(found), finite) or not np.array_equal(
        found[~finite], want[~finite], equal_nan=True
    ):
        return "infinities or NaNs in other places"
    error = np.linalg.norm(found[finite] - want[finite])
    size = np.linalg.norm(want[finite])
    if error > tolerance * size and error > tolerance * 1e-3:
        return f"relative L2 error {error / size:.1e}" if size else "not 0"
    return ""
