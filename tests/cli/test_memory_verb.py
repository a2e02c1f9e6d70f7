"""``onnxlens memory``: what it prints, and the files that it writes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from onnx import TensorProto

import onnxlens as api
from onnxlens.reports.numbers import short_bytes
from tests.cli.calls import done, onnxlens
from tests.profile.models import op, save, value


def test_the_peak_is_that_of_profile_and_the_plan_stands_below_it(tiny: Path) -> None:
    plan = api.memory_plan(tiny)
    text = done("memory", tiny)
    assert plan.peak == api.memory_peak(tiny)
    assert [line for line in done("profile", tiny, "--peak").splitlines() if line not in text] == []
    assert "order: the file's\n" in text
    assert f"arena: {short_bytes(plan.arena_bytes)} for {len(plan.tensors)} tensors" in text
    lines = list(csv.DictReader(io.StringIO(done("memory", tiny, "--format", "csv"))))
    assert sum(int(line["size_bytes"]) for line in lines) == plan.peak.live_bytes


def test_options_change_the_plan_as_the_interface_does(tiny: Path) -> None:
    given = ("--in-place", "--order", "better", "--align", "256", "--as-dtype", "float16")
    plan = api.memory_plan(tiny, in_place=True, order="better", alignment_bytes=256, stored_as="float16")
    document = json.loads(done("memory", tiny, *given, "--format", "json"))
    assert (document["in_place"], document["order"], document["stored_as"]) == (True, plan.order, "float16")
    assert document["arena"]["size_bytes"] == plan.arena_bytes < api.memory_plan(tiny).arena_bytes
    assert [step["live_bytes"] for step in document["steps"]] == list(plan.levels_bytes)
    assert max(plan.levels_bytes) == document["peak"]["live_bytes"] <= document["file_peak_bytes"]
    assert all(tensor["offset_bytes"] % 256 == 0 for tensor in document["arena"]["tensors"])


def test_an_arena_is_written_as_csv_and_as_json(tiny: Path, tmp_path: Path) -> None:
    printed = done("memory", tiny, "--arena", tmp_path / "arena.json", "--format", "json")
    assert (tmp_path / "arena.json").read_text() == printed
    done("memory", tiny, "--arena", tmp_path / "arena.csv")
    with (tmp_path / "arena.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    tensors = json.loads(printed)["arena"]["tensors"]
    assert [line["tensor"] for line in lines] == [tensor["tensor"] for tensor in tensors]
    ends = [int(line["offset_bytes"]) + int(line["size_bytes"]) for line in lines]
    assert max(ends) == api.memory_plan(tiny).arena_bytes


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_plot_names_the_tensors_of_the_peak_and_is_the_same_each_time(
    tiny: Path, tmp_path: Path, suffix: str
) -> None:
    first, second = (tmp_path / f"{name}.{suffix}" for name in "ab")
    for path in (first, second):
        done("memory", tiny, "--in-place", "--plot", path)
    assert first.read_bytes() == second.read_bytes()
    if suffix == "svg":
        peak = api.memory_plan(tiny, in_place=True).peak
        text = first.read_text()
        assert f"peak {short_bytes(peak.live_bytes)} at step" in text
        largest = peak.tensors[0]
        assert f"{short_bytes(largest.size_bytes or 0)}   {largest.tensor.name}   " in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--arena", "a.bin"), "a.bin: an arena is written as .csv or .json; choose one of them"),
        (("--plot", "a.pdf"), "a.pdf: suffix '.pdf' cannot be plotted; choose .svg or .png"),
        (("--align", "0"), "an alignment of 0 bytes is not possible; give 1 to 1048576"),
    ],
)
def test_what_cannot_be_written_is_refused(tiny: Path, options: tuple[str, ...], message: str) -> None:
    outcome = onnxlens("memory", tiny, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[0] == f"onnxlens: {message}"


def test_sizes_that_are_not_known_make_lower_bounds(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a"), op("NonZero", "a", "y")]
    path = save(tmp_path, nodes, [value("x", (2, 3))], [value("y", (2, "n"), TensorProto.INT64)])
    text = done("memory", path)
    assert "alive: >= 48 B" in text and "arena: >= 48 B" in text
    assert "of unknown size, and in no arena: 1" in text


def test_what_is_wholly_unknown_is_not_said_to_be_nothing(tmp_path: Path) -> None:
    shape = ("N", 8, "H", "W")
    path = save(tmp_path, [op("Relu", "x", "y")], [value("x", shape)], [value("y", shape)])
    planned = onnxlens("memory", path).out
    assert "alive: ? in 2 tensors" in planned and "arena: ? for 0 tensors in 0 buffers, at least ?" in planned
    moved = onnxlens("traffic", path, "--on-chip", "64KiB").out
    assert "; at least ?: inputs, outputs and weights once" in moved
    assert "on the chip ? are read again" in moved and "knee: 16.00 KiB ?" in moved
    assert " 0 B" not in moved


def test_one_tensor_is_not_several_and_types_are_as_they_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    x, y = (value(name, (2, 8)) for name in "xy")
    path = save(tmp_path, [op("Relu", "x", "y")], [x], [y], [])
    done = onnxlens("memory", path, "--as-dtype", "int8", "--order", "better")
    # two maps of 16 bytes; in the order of the file, which is the only one
    assert "alive: 32 B in 2 tensors, while" in done.out and "float32" not in done.out
    assert done.out.count(" int8") == 3 and "types: as if floats were held as int8" in done.out
    assert "order: the file's, as no search found a lower peak" in done.out
    assert "order: the file's\n" in onnxlens("memory", path).out
    document = json.loads(onnxlens("memory", path, "--as-dtype", "int8", "--format", "json").out)
    assert {each["dtype"] for each in document["arena"]["tensors"]} == {"int8"}
    in_place = onnxlens("memory", path, "--in-place").out
    assert "for 2 tensors in 2 buffers" in in_place  # the input of the graph stays
    alone = onnxlens("memory", save(tmp_path, [op("Flatten", "x", "y")], [x], [y], [])).out  # a view
    assert "alive: 64 B in 1 tensor, while" in alone and "for 1 tensor in 1 buffer, at least 64 B" in alone


def test_tensors_without_elements_take_no_memory(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a"), op("Concat", "a z", "y", axis=0)]
    x, z, y = value("x", (0, 8)), value("z", (2, 8)), value("y", (2, 8))
    path = save(tmp_path, nodes, [x, z], [y], [])
    for given in ((), ("--in-place", "--order", "better"), ("--align", "64")):
        document = json.loads(onnxlens("memory", path, *given, "--format", "json").out)
        assert document["peak"]["live_bytes"] == 2 * 64 and document["arena"]["unsized_tensors"] == 0
        sizes = {each["tensor"]: each["size_bytes"] for each in document["arena"]["tensors"]}
        assert sizes == {"x": 0, "a": 0, "z": 64, "y": 64}
        assert document["arena"]["size_bytes"] == 128
    nothing = save(tmp_path, [op("Relu", "x", "y")], [x], [value("y", (0, 8))], [])
    done = onnxlens("memory", nothing, "--plot", tmp_path / "empty.svg")
    assert done.code == 0 and "alive: 0 B" in done.out
