"""Which reader a report gets: recognized, named, registered by a program, or brought by a package."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import onnxlens
from onnxlens import readers
from onnxlens.errors import UsageError
from onnxlens.profile.vendor.readers import lookup
from onnxlens.profile.vendor.readers.given import Given
from onnxlens.profile.vendor.readers.lookup import read_report
from onnxlens.specs.layers import LayerRecord, LayerReport
from tests.profile.vendor.readers.recorded import DATA, report_of

RECORDED = {
    "ethos-u/hed-u55-256_per-layer.csv": "ethos-u",
    "ethos-u/ds-cnn-legacy_per-layer.csv": "ethos-u",
    "k230": "k230",
    "k230/mac.csv": "k230",
    "k230/quant_error.csv": "k230",
    "rknn/hed.txt": "rknn",
    "rknn/hed-int8-accuracy.txt": "rknn",
    "tpu-mlir": "tpu-mlir",
    "tpu-mlir/compiler_profile_0.txt": "tpu-mlir",
    "qnn/unet-input_blocks.1.csv": "qnn",
    "ai-hub/profile.json": "qnn",
    "tensorrt/hed.profile.json": "tensorrt",
    "core-ml/plan.json": "core-ml",
    "onnxruntime/small-profile.json": "onnxruntime",
    "executorch/small.csv": "executorch",
    "executorch/small-xnnpack.csv": "executorch",
    "executorch/small-xnnpack.txt": "executorch",
    "openvino/hed-counters.json": "openvino",
    "openvino/benchmark_detailed_counters_report.csv": "openvino",
    "openvino/benchmark_average_counters_report.csv": "openvino",
    "openvino/benchmark_detailed_counters_report.json": "openvino",
    "scalesim": "scalesim",
    "scalesim/COMPUTE_REPORT.csv": "scalesim",
    "tt-perf/report.csv": "tt-perf",
    "tt-perf/ops_perf_results.csv": "tt-perf",
    "zigzag": "zigzag",
    "zigzag/node_a_complete.json": "zigzag",
}


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test starts without registered readers, and leaves none."""
    monkeypatch.setattr(lookup, "_registered", {})
    for cached in (lookup._installed, lookup._warn_of_faults):
        cached.cache_clear()
    yield
    lookup._installed.cache_clear()


def acme(given: Given) -> LayerReport:
    records = (
        LayerRecord(row["op"], figures={"cycles": row.whole("cyc")}) for row in given.table(("op", "cyc"))
    )
    return LayerReport("acme", tuple(records))


ACME = readers.Reader("acme", "acme's CSV", lambda given: given.head().startswith("op,cyc"), acme)


def acme_file(folder: Path) -> Path:
    path = folder / "acme.csv"
    path.write_text("op,cyc\nconv,12\n", encoding="utf-8")
    return path


def test_the_public_name_is_the_module() -> None:
    assert readers is onnxlens.readers is sys.modules["onnxlens.profile.vendor.readers"]


@pytest.mark.parametrize(("name", "tool"), RECORDED.items(), ids=RECORDED)
def test_a_report_is_recognized_as_its_tools_alone(name: str, tool: str) -> None:
    given = Given(DATA / name)
    takes = [reader.tool for reader in readers.readers().values() if reader.recognizes(given)]
    assert [each for each in takes if each != "plain"] == [tool]
    assert report_of(name).tool == tool


def test_every_reader_has_a_table_of_its_own() -> None:
    assert set(readers.readers()) == {
        "core-ml", "ethos-u", "executorch", "k230", "onnxruntime", "openvino", "plain", "qnn", "rknn",
        "scalesim", "tensorrt", "tpu-mlir", "tt-perf", "zigzag",
    }  # fmt: skip


@pytest.mark.parametrize("tool", sorted(lookup.READERS))
def test_a_named_reader_refuses_what_is_not_its_tools(tool: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("a report of nobody\n", encoding="utf-8")
    with pytest.raises(UsageError) as refusal:
        readers.read_report(path, tool)
    assert str(refusal.value).startswith(f"{path}")
    assert "\n" not in str(refusal.value)


def test_an_unknown_report_is_refused_with_the_tools_that_are_known(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("a report of nobody\n", encoding="utf-8")
    with pytest.raises(UsageError) as refusal:
        readers.read_report(path)
    assert str(refusal.value) == (
        f"{path}: the report of no tool that is known (core-ml, ethos-u, executorch, k230, onnxruntime, "
        "openvino, plain, qnn, rknn, scalesim, tensorrt, tpu-mlir, tt-perf, zigzag); name the tool, or give "
        "a CSV file with the columns name and time"
    )


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the report of no tool that is known"):
        readers.read_report(tmp_path)


@pytest.mark.parametrize("tool", ["", "rknn"])
def test_the_only_file_of_a_folder_that_is_a_report(tool: str, tmp_path: Path) -> None:
    (tmp_path / "dataset.txt").write_text("sample.npy\n")
    shutil.copy(DATA / "rknn" / "hed.txt", tmp_path / "log.txt")
    assert read_report(tmp_path, tool) == report_of("rknn/hed.txt")
    shutil.copy(DATA / "rknn" / "hed-int8-accuracy.txt", tmp_path)
    with pytest.raises(UsageError, match="3 files of it are a log of rknn-toolkit2"):
        read_report(tmp_path, tool)


@pytest.mark.parametrize("tool", ["", "ethos-u"])
def test_a_report_in_a_folder_of_the_folder(tool: str, tmp_path: Path) -> None:
    """As a compiler's worker leaves it, beside a log; of two, one is to be given."""
    vela = DATA / "ethos-u" / "hed-u55-256_per-layer.csv"
    (tmp_path / "vela").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "log.txt").write_text("compiling\n")
    shutil.copy(vela, tmp_path / "vela")
    assert read_report(tmp_path, tool) == read_report(vela)
    (tmp_path / "vela" / "dataset.csv").write_text("sample.npy\n")
    shutil.copytree(tmp_path / "vela", tmp_path / "again")
    with pytest.raises(UsageError, match=r"reports are in 2 folders of it \(again, vela\); give one of them"):
        read_report(tmp_path, tool)


def test_a_tool_that_has_no_reader_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no reader is called 'acme'; give one of core-ml, ethos-u,"):
        readers.read_report(acme_file(tmp_path), "acme")


def test_a_registered_reader_reads(tmp_path: Path) -> None:
    readers.register(ACME)
    assert readers.read_report(acme_file(tmp_path)).records[0].figures == {"cycles": 12}


def test_two_readers_for_one_report_are_told(tmp_path: Path) -> None:
    readers.register(ACME)
    readers.register(readers.Reader("other", "a CSV", ACME.recognizes, acme))
    path = acme_file(tmp_path)
    with pytest.raises(UsageError) as refusal:
        readers.read_report(path)
    assert str(refusal.value) == f"{path}: it may be a report of acme and other; name the tool"
    assert readers.read_report(path, "other").tool == "acme"


def test_a_reader_is_replaced_only_on_purpose(tmp_path: Path) -> None:
    mine = readers.Reader("plain", "mine", ACME.recognizes, acme, general=True)
    with pytest.raises(UsageError, match=f"the reader plain from {__name__} would replace another;"):
        readers.register(mine)
    readers.register(mine, replace=True)
    assert readers.read_report(acme_file(tmp_path)).tool == "acme"


@pytest.mark.parametrize("wrong", [3, acme, None])
def test_only_a_reader_is_registered(wrong: object) -> None:
    with pytest.raises(UsageError, match="is no reader; expected an onnxlens.readers.Reader"):
        readers.register(wrong)  # type: ignore[arg-type]


def test_a_reader_needs_its_functions() -> None:
    with pytest.raises(UsageError, match="the reader 'acme' needs a name, and two functions"):
        readers.Reader("acme", "", ACME.recognizes, "no function")  # type: ignore[arg-type]


def test_what_a_users_reader_raises_or_returns_is_an_error_of_the_report(tmp_path: Path) -> None:
    def broken(given: Given) -> LayerReport:
        raise KeyError("cyc")

    path = acme_file(tmp_path)
    readers.register(readers.Reader("acme", "acme's CSV", ACME.recognizes, broken))
    with pytest.raises(
        UsageError, match=r"acme.csv: not a report of acme that can be read \(KeyError: 'cyc'\)"
    ):
        readers.read_report(path)
    nothing = readers.Reader("acme", "acme's CSV", ACME.recognizes, lambda given: None)  # type: ignore[arg-type, return-value]
    readers.register(nothing, replace=True)
    with pytest.raises(
        UsageError, match="the reader acme from onnxlens returned None; expected a LayerReport"
    ):
        readers.read_report(path)


def test_a_report_without_layers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "acme.csv"
    path.write_text("op,cyc\n", encoding="utf-8")
    readers.register(ACME)
    with pytest.raises(UsageError, match="acme.csv: no layer of acme in it; expected acme's CSV"):
        readers.read_report(path)


def package(folder: Path, entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package with an entry point, as far as Python's metadata goes."""
    info = folder / "acme_readers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-readers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[onnxlens.readers]\nacme = {entry}\n")
    monkeypatch.syspath_prepend(str(folder))


def test_a_package_brings_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, f"{__name__}:add_acme", monkeypatch)
    assert readers.readers()["acme"].source == "acme-readers"
    assert readers.read_report(acme_file(tmp_path)).records[0].name == "conv"


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("add_twice", "UsageError: the reader acme from acme-readers would replace another"),
        ("add_none", "UsageError: None from acme-readers is no reader"),
        ("missing", "AttributeError"),
    ],
)
def test_a_package_that_fails_is_named(
    entry: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, f"{__name__}:{entry}", monkeypatch)
    with pytest.raises(UsageError) as refusal:
        readers.read_report(acme_file(tmp_path))
    assert str(refusal.value).startswith(
        f"package acme-readers: its entry point acme = {__name__}:{entry} (group"
    )
    assert fault in str(refusal.value)


@pytest.mark.parametrize("entry", ["acme_engine_missing:add", f"{__name__}:add_twice", f"{__name__}:leave"])
def test_a_package_that_fails_stops_only_what_needs_it(
    entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Reports of other tools are read, recognized or named, with one line that tells of the package."""
    package(tmp_path, entry, monkeypatch)
    vela = DATA / "ethos-u" / "hed-u55-256_per-layer.csv"
    assert read_report(vela).records == read_report(vela, "ethos-u").records
    (warning,) = caplog.messages
    assert warning.startswith(f"onnxlens: package acme-readers: its entry point acme = {entry} (group")
    caplog.clear()
    for tool in ("", "acme"):
        with pytest.raises(UsageError, match="^package acme-readers: its entry point acme") as refusal:
            readers.read_report(acme_file(tmp_path), tool)
        assert "\n" not in str(refusal.value)
    assert not caplog.messages


def leave(add: object) -> None:
    raise SystemExit("no engine\non this machine")


def add_acme(add: object) -> None:
    add(ACME)  # type: ignore[operator]


def add_twice(add: object) -> None:
    add_acme(add)
    add_acme(add)


def add_none(add: object) -> None:
    add(None)  # type: ignore[operator]


def test_a_chip_that_the_report_does_not_say() -> None:
    report = readers.read_report(DATA / "ethos-u" / "hed-u55-256_per-layer.csv", chip="u55-256")
    assert report.label == "ethos-u-u55-256"


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(
        UsageError, match="pipe: it is a pipe or a device, which can be read once; write the re"
    ):
        readers.read_report(tmp_path / "pipe")


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    for arguments in (
        {"path": tmp_path / "no.csv"},
        {"path": acme_file(tmp_path), "names": tmp_path / "no.csv"},
    ):
        with pytest.raises(UsageError, match="no.csv: there is no such file or folder"):
            readers.read_report(**arguments)


def test_a_document_that_is_nested_too_deep(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(UsageError, match="deep.json"):
        readers.read_report(path, "openvino")


def test_json_with_a_control_character(tmp_path: Path) -> None:
    """TensorRT writes 0x1F as it is, which JSON does not allow."""
    layers, profile = tmp_path / "l.json", tmp_path / "p.json"
    layers.write_text('{"Layers": [{"Name": "k", "Metadata": "[ONNX Layer: a]\x1f[ONNX Layer: b]"}]}')
    profile.write_text(json.dumps([{"count": 1}, {"name": "k", "averageMs": 1}]))
    assert readers.read_report(profile, names=layers).records[0].sources == ("a", "b")


def test_a_folder_that_compile_kept_is_its_tools_report(tmp_path: Path) -> None:
    kept = shutil.copy(DATA / "qnn" / "unet-input_blocks.1.csv", tmp_path / "profile.csv")
    (tmp_path / "result.json").write_text('{"status": "done"}')
    (tmp_path / "model.onnx").write_bytes(b"\x08\x0a\x00")
    assert read_report(tmp_path) == read_report(tmp_path, "qnn") == read_report(Path(kept))
