from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from onnxlens.errors import GraphError, ToolError
from onnxlens.profile.runtime.session import LEVELS, PLAIN, UNOPTIMIZED, SessionRequest, open_session, run
from tests.profile.models import far_weight, op, save, value


@pytest.fixture
def difference(tmp_path: Path) -> Path:
    nodes = [op("Sub", "a b", "d"), op("Neg", "d", "n")]
    inputs = [value("a", (2,)), value("b", (2,))]
    return save(tmp_path, nodes, inputs, [value("n", (2,)), value("d", (2,))], opsets={"": 18})


INPUTS = {"b": np.array([1.0, 2.0], np.float32), "a": np.array([5.0, 5.0], np.float32)}


@pytest.mark.parametrize("how", [PLAIN, UNOPTIMIZED])
def test_a_run_gives_every_output_by_name(difference: Path, how: SessionRequest) -> None:
    got = run(open_session(difference, request=how), INPUTS)
    assert {name: array.tolist() for name, array in got.items()} == {"n": [-4.0, -3.0], "d": [4.0, 3.0]}


def test_inputs_that_the_graph_does_not_have_are_left_out(difference: Path) -> None:
    got = run(open_session(difference), {**INPUTS, "unused": np.zeros(3)})
    assert got["d"].tolist() == [4.0, 3.0]


def test_unoptimized_turns_every_optimization_off(difference: Path) -> None:
    plain, fast = open_session(difference, request=UNOPTIMIZED), open_session(difference)
    level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    assert plain.get_session_options().graph_optimization_level == level
    assert fast.get_session_options().graph_optimization_level != level


@pytest.mark.parametrize(("threads", "set_threads"), [(None, 0), (1, 1), (3, 3)])
def test_threads_are_those_of_the_session_and_none_leaves_the_choice_to_onnx_runtime(
    difference: Path, threads: int | None, set_threads: int
) -> None:
    assert (
        open_session(difference, request=SessionRequest(threads=threads))
        .get_session_options()
        .intra_op_num_threads
        == set_threads
    )


def test_a_level_is_the_sessions_and_an_unknown_one_is_refused(difference: Path) -> None:
    for level, wanted in LEVELS.items():
        options = open_session(difference, request=SessionRequest(level)).get_session_options()
        assert options.graph_optimization_level == wanted
    with pytest.raises(ToolError, match="level 'fast' is not one of disabled, basic, extended, all"):
        open_session(difference, request=SessionRequest("fast"))


@pytest.mark.parametrize("level", LEVELS)
def test_the_optimized_graph_and_its_profile_are_written_as_requested(difference: Path, level: str) -> None:
    saved = difference.with_name("saved.onnx")
    prefix = difference.with_name("times")
    session = open_session(difference, request=SessionRequest(level, prefix, saved))
    run(session, INPUTS)
    profile = Path(session.end_profiling())
    assert profile.parent == prefix.parent and profile.name.startswith("times")
    ran = [event["args"] for event in json.loads(profile.read_text()) if event["cat"] == "Node"]
    assert {args["op_name"] for args in ran} == {node.op_type for node in onnx.load(saved).graph.node}


def test_the_cpu_session_runs_on_the_cpu_alone(difference: Path) -> None:
    assert open_session(difference).get_providers() == ["CPUExecutionProvider"]


def test_an_unknown_provider_is_refused_with_the_known_ones(difference: Path) -> None:
    with pytest.raises(ToolError, match="provider 'npu' is not one of cpu, cuda, tensorrt"):
        open_session(difference, "npu")


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine may have a CUDA device")
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_missing_device_is_an_error_and_not_a_silent_run_on_the_cpu(
    provider: str, difference: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ToolError, match=f"provider '{provider}'") as raised:
        open_session(difference, provider)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr() == ("", "")  # ONNX Runtime would print pages of the libraries it did not find


def test_a_broken_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(GraphError, match="ONNX Runtime refuses it") as raised:
        open_session(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_a_file_without_its_weights_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = save(
        tmp_path, [op("Add", "x w", "y")], [value("x", (2,))], [value("y", (2,))], [far_weight("w", 2)]
    )
    with pytest.raises(GraphError, match=f"{path}: ONNX Runtime refuses it"):
        open_session(path)


def test_the_runtime_prints_nothing_of_what_it_raises(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ends = [value("x", (6,)), value("sizes", (1,), onnx.TensorProto.INT64)], [value("y", None)]
    path = save(tmp_path, [op("Reshape", "x sizes", "y")], *ends)
    with pytest.raises(GraphError, match="could not run the graph"):
        run(open_session(path), {"x": np.zeros(6, np.float32), "sizes": np.array([5])})
    path.write_bytes(b"no model")
    with pytest.raises(GraphError, match="ONNX Runtime refuses it"):  # it would miss a profile to end
        open_session(path, request=SessionRequest(profile_prefix=tmp_path / "profile"))
    assert capfd.readouterr().err == ""
