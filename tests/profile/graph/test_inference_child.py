"""Libraries' inference runs in a process of its own: it may take too much or die, and the file is read."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import onnx
import pytest

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.graph.loading.inference import child, steps
from onnxlens.profile.graph.loading.inference.child import GaveUpError, Limits, WorkFailedError, in_child
from tests.profile.models import op, save, value

LIMITS = Limits(2**26, 1)
FORKS = pytest.mark.skipif(sys.platform != "linux", reason="a fork is made on Linux alone")
WAYS = [pytest.param(True, id="fork", marks=FORKS), pytest.param(False, id="process")]


def eat() -> bytes:
    return b"".join(bytes(2**20) for _ in range(2**12))


def spin() -> bytes:
    while True:
        pass


def sleep() -> bytes:
    time.sleep(60)
    return b""


def die() -> bytes:
    os.write(2, b"a library's last words")
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def leave() -> bytes:
    os._exit(7)


def fail() -> bytes:
    raise ValueError("does not fit\nmore of it")


def many(count: int) -> bytes:
    return b"x" * count


GIVEN_UP: dict[str, tuple[Callable[[], bytes], str]] = {
    "memory": (eat, "it needs more than 64 MiB of memory"),
    "time": (spin, "it takes more than 1 s"),
    "death": (die, "its process died of SIGKILL"),
    "end": (leave, "its process ended without an answer"),
}


@pytest.mark.parametrize("fork", WAYS)
@pytest.mark.parametrize("case", GIVEN_UP)
def test_work_that_takes_too_much_or_dies_is_given_up(
    case: str, fork: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    work, reason = GIVEN_UP[case]
    limits = LIMITS if case == "time" else replace(LIMITS, cpu_s=30)  # a busy machine reaches one limit alone
    with pytest.raises(GaveUpError, match=reason):
        in_child(work, limits, fork=fork)
    assert capfd.readouterr() == ("", "")


@FORKS
def children() -> str:
    """The processes that this one has started and that are not gone; other tests may have some."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii")


def test_work_that_waits_for_ever_is_ended_by_the_clock() -> None:
    before = children()
    with pytest.raises(GaveUpError, match="it takes more than 0 s"):
        in_child(sleep, Limits(2**26, 0.01))
    assert children() == before


@pytest.mark.parametrize("fork", WAYS)
def test_what_the_work_returns_or_raises_comes_back(fork: bool) -> None:
    assert in_child(partial(many, 10**6), LIMITS, fork=fork) == b"x" * 10**6
    with pytest.raises(WorkFailedError, match="^does not fit$"):
        in_child(fail, LIMITS, fork=fork)


@FORKS
def test_a_result_that_the_parent_cannot_hold_is_not_taken() -> None:
    with pytest.raises(GaveUpError, match="its result has more than 16 MiB"):
        in_child(partial(many, 2**25), LIMITS)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Without shapes but that of its input, and with an operator that ONNX Runtime alone knows."""
    nodes = [
        op("Relu", "x", "a"),
        op("Gelu", "a", "b", domain="com.microsoft"),
        op("Reshape", "b s", "c"),
        op("Transpose", "c", "y"),
    ]
    shape = onnx.helper.make_tensor("s", onnx.TensorProto.INT64, [2], [3, -1])
    return save(tmp_path, nodes, [value("x", (2, 3))], [value("y", None)], [shape])


def test_both_ways_find_the_same(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = build_ledger(load_graph(bare))
    monkeypatch.setattr(child, "_forked", child._spawned)
    assert build_ledger(load_graph(bare)) == found
    assert found.totals.unknown_nodes == 0


@FORKS
def test_the_walk_finds_what_a_library_gave_up_on_and_a_note_says_so(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = build_ledger(load_graph(bare))
    monkeypatch.setattr(steps, "_inferred", lambda skeleton, with_nodes: die())
    alone = build_ledger(load_graph(bare))
    assert alone.nodes == found.nodes
    assert [note for note in alone.notes if "gave up" in note] == [
        "ONNX's shape inference gave up: its process died of SIGKILL; what only it could find stays unknown"
    ]
