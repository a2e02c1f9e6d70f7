"""What every ``try_TOOL.py`` shares: standard library and numpy alone, as the tools' Pythons have those.

    python try_TOOL.py CASES RESULTS TOLERANCE

A line of JSON is appended to RESULTS as each case begins and as it ends, so that ``generate.py`` knows which
one a crash belongs to; cases that stand there are not tried again.
"""

import ctypes
import importlib.util
import json
import os
import resource
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

WORDS = 160

CPU_S = 60
"""Of a case that runs in a process of its own."""

WORKERS = Path(__file__).parents[2] / "onnxlens" / "profile" / "vendor" / "compilers" / "workers"

MARK = "== case "
"""Stands in the log where a case begins."""


class Refused(Exception):
    """The tool does not take the node."""


class Crashed(Exception):
    """A process of the tool died."""


def worker(name):
    """The script that ``compile`` runs in the tool's Python, as a module."""
    spec = importlib.util.spec_from_file_location("worker", WORKERS / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def apart(outputs_of):
    """The same in a process of its own in an empty folder, whose ``log.txt`` has what it prints.

    What takes long to import is imported once.
    """

    def outputs(folder, case, inputs):
        with TemporaryDirectory() as made:
            made = Path(made)
            pid = os.fork()
            if not pid:
                _child(made, outputs_of, folder.absolute(), case, inputs)
            _, status = os.waitpid(pid, 0)
            if os.WIFSIGNALED(status):
                raise Crashed(f"its process ends with {-os.WTERMSIG(status)}")
            if status:
                kind = {"Crashed": Crashed, "Refused": Refused}
                name, _, why = (made / "why.txt").read_text().partition(":")
                raise kind.get(name, RuntimeError)(why.strip() or name)
            with np.load(made / "outputs.npz") as held:
                return {name: held[name] for name in held.files}

    return outputs


def printed():
    """What the process of a case has printed so far."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)
    return Path("log.txt").read_text("utf-8", "replace")


def _child(made, outputs_of, folder, case, inputs):
    code = 1
    try:
        os.chdir(made)
        log = os.open("log.txt", os.O_WRONLY | os.O_CREAT)
        for stream in (1, 2):
            os.dup2(log, stream)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        np.savez("outputs.npz", **outputs_of(folder, case, inputs))
        code = 0
    except BaseException as error:
        (made / "why.txt").write_text(f"{type(error).__name__}: {error}")
    finally:
        os._exit(code)


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
        wanted = {name: held[f"out_{name}"] for name in case["outputs"] if f"out_{name}" in held.files}
    try:
        got = outputs_of(folder, case, inputs)
    except Refused as error:
        return "refused", str(error)
    except Crashed as error:
        return "crashed", str(error)
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
