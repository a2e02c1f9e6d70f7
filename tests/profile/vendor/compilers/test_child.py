"""A worker in a process of its own: its result, or in one line why there is none."""

from __future__ import annotations

import ast
import subprocess
import sys
import tempfile
from pathlib import Path
from textwrap import indent
from time import monotonic, sleep

import pytest

from onnxlens.errors import ToolError
from onnxlens.profile.vendor.compilers.child import LAST_CHARACTERS, WORKERS, Outcome, run_worker
from onnxlens.profile.vendor.compilers.lookup import COMPILERS

HEAD = "import atexit, os, pathlib, subprocess, sys, time\n\ndef main(request):\n"


def ran(folder: Path, code: str, timeout_s: float = 60, memory_bytes: int | None = None) -> Outcome:
    worker = folder / "json.py"  # its name is a module's: it must not be imported for it
    worker.write_text(HEAD + indent(code, "    "))
    inside = folder / "inside"
    inside.mkdir(exist_ok=True)
    return run_worker(
        Path(sys.executable), worker, {"a": 1}, inside, timeout_s, {"B": "2"}, memory_bytes=memory_bytes
    )


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended, and that nobody has waited for, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def all_end_soon(pids: Path) -> bool:
    until, known = monotonic() + 10, [int(pid) for pid in pids.read_text().split()]
    while any(map(is_alive, known)) and monotonic() < until:
        sleep(0.05)
    return not any(map(is_alive, known))


def test_a_worker_reads_its_request_and_the_environment_and_answers(tmp_path: Path) -> None:
    code = "print('said')\nreturn {'given': request, 'b': os.environ['B'], 'where': os.getcwd()}"
    outcome = ran(tmp_path, code)
    assert outcome.crashed == ""
    assert outcome.result == {"given": {"a": 1}, "b": "2", "where": str(tmp_path / "inside")}
    assert outcome.log.read_text() == "said\n"


def test_every_worker_has_what_is_called() -> None:
    """They are not imported: each needs its tool."""
    scripts = [path for path in WORKERS.glob("*.py") if path.stem not in ("__init__", "start")]
    made = {path.stem: ast.parse(path.read_text()).body for path in scripts}
    assert set(made) == set(COMPILERS.values())
    for parts in made.values():
        assert "main" in [part.name for part in parts if isinstance(part, ast.FunctionDef)]


def test_what_a_tool_leaves_in_the_temporary_folder_goes_with_it(tmp_path: Path) -> None:
    left = Path(ran(tmp_path, "import tempfile\nreturn {'file': tempfile.mkstemp()[1]}").result["file"])
    assert left.parent != Path(tempfile.gettempdir()) and not left.exists()


def test_an_earlier_result_is_not_taken_for_the_new_one(tmp_path: Path) -> None:
    assert ran(tmp_path, "return {'a': 1}").result == {"a": 1}
    assert ran(tmp_path, "os._exit(0)").result == {}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            "print('Loading', flush=True)\nprint('terminate called', flush=True)\n"
            "print('  what():  no tile fits\\x1b[0m', flush=True)\nos.abort()",
            "its process died of SIGABRT; its last words: terminate called | what(): no tile fits\\x1b[0m",
        ),
        (
            "sys.exit(3)",
            "its process ended without a result, with the code 3",
        ),
        (
            "raise ValueError('no such layer')",
            'its process ended without a result, with the code 1; its last words: raise ValueError("no such '
            'layer") | ValueError: no such layer',
        ),
        (
            "found = 1 + int('x')",  # Python marks a part of the line, below it
            "its process ended without a result, with the code 1; its last words: found = 1 + int('x') | "
            "ValueError: invalid literal for int() with base 10: 'x'",
        ),
        (
            "pathlib.Path('result.json').write_text('{\"half')\nos._exit(0)",
            "its process ended without a result, with the code 0",
        ),
    ],
    ids=["abort", "exit", "exception", "marks", "half a result"],
)
def test_a_crash_is_one_line_with_the_last_words(tmp_path: Path, code: str, expected: str) -> None:
    outcome = ran(tmp_path, code.replace("'no such layer'", '"no such layer"'))
    assert (outcome.result, outcome.crashed) == ({}, expected)


def test_last_words_are_short_however_much_is_said(tmp_path: Path) -> None:
    outcome = ran(tmp_path, "print('x' * 10**7 + 'end')")
    assert outcome.crashed.endswith("xend")
    assert len(outcome.crashed) < LAST_CHARACTERS + 100


def test_a_tool_that_crashes_at_its_exit_has_answered(tmp_path: Path) -> None:
    assert ran(tmp_path, "atexit.register(os.abort)\nreturn {'a': 1}").result == {"a": 1}


FORK = """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
pathlib.Path("pid").write_text(f"{child.pid} {os.getpid()}")
"""


def test_a_worker_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    outcome = ran(tmp_path, f"{FORK}\nprint('waiting', flush=True)\ntime.sleep(600)", timeout_s=4)
    assert outcome.crashed == "it takes more than 4 s (--timeout); its last words: waiting"
    assert all_end_soon(tmp_path / "inside" / "pid")


def test_what_a_worker_leaves_running_is_ended_with_it(tmp_path: Path) -> None:
    assert ran(tmp_path, f"{FORK}\nreturn {{'a': 1}}").result == {"a": 1}
    assert all_end_soon(tmp_path / "inside" / "pid")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not list what a process holds")
def test_a_worker_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    code = "held = bytearray(2**28)\nheld[::4096] = bytes(len(held[::4096]))\ntime.sleep(600)"
    outcome = ran(tmp_path, code, memory_bytes=2**27)
    assert outcome.crashed == "it needs more than 0.1 GiB of memory"


def test_a_worker_ends_when_nobody_waits_for_it(tmp_path: Path) -> None:
    """As after a kill of the parent, which closes the worker's standard input; it holds Python's lock."""
    worker = tmp_path / "worker.py"
    worker.write_text(f"{HEAD}{indent(FORK, '    ')}\n    import ctypes\n    ctypes.PyDLL(None).sleep(600)")
    code = (
        "import pathlib, sys\nfrom onnxlens.profile.vendor.compilers.child import run_worker\n"
        f"run_worker(pathlib.Path(sys.executable), pathlib.Path({str(worker)!r}), {{}}, "
        f"pathlib.Path({str(tmp_path)!r}), 600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    until = monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert monotonic() < until
        sleep(0.05)
    parent.kill()
    parent.wait()
    assert all_end_soon(tmp_path / "pid")


def test_a_python_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"nowhere: cannot be started \(No such file or directory\)"):
        run_worker(tmp_path / "nowhere", tmp_path / "worker.py", {}, tmp_path, 1)
