"""The description of the machine, and what it says where something cannot be read."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import onnxruntime as ort
import pytest
import torch

from onnxlens.profile.runtime import machine as described
from onnxlens.profile.runtime.machine import machine


def cpuinfo(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr(described, "Path", lambda _: path)


def installed(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str]) -> None:
    def version(package: str) -> str:
        if package not in versions:
            raise PackageNotFoundError(package)
        return versions[package]

    monkeypatch.setattr(described, "version", version)


def test_versions_and_system_are_those_that_run() -> None:
    said = machine()
    assert (said["torch"], said["onnxruntime"]) == (torch.__version__, ort.__version__)
    assert said["system"] == f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    assert list(said) == ["processor", "cores", "memory", "system", "load", "torch", "onnxruntime"]
    assert all(said.values())


def test_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    assert machine()["cores"] == "3"
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert machine()["cores"] == "12"


def test_memory_and_load_are_in_units(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 6 * 2**30 // 4096}
    monkeypatch.setattr(os, "sysconf", figures.__getitem__)
    monkeypatch.setattr(os, "getloadavg", lambda: (1.26, 5.0, 9.0))
    said = machine()
    assert (said["memory"], said["load"]) == ("6 GiB", "1.3 over the last minute")


def test_the_processor_is_named_once_as_the_system_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = ("processor\t: 0", "model\t\t: 85", "model name\t: Chip 9: the fast one", "model name\t: other")
    (tmp_path / "cpuinfo").write_text("\n".join(lines), encoding="utf-8")
    cpuinfo(monkeypatch, tmp_path / "cpuinfo")
    assert machine()["processor"] == "Chip 9: the fast one"


def test_a_processor_without_a_name_is_its_architecture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\n", encoding="utf-8")
    for path in (tmp_path / "cpuinfo", tmp_path / "missing"):
        cpuinfo(monkeypatch, path)
        assert machine()["processor"] == "riscv64"


@pytest.mark.parametrize(
    ("versions", "runtime"),
    [
        ({"onnxruntime-gpu": "1.31.1"}, "1.31.1"),
        ({"onnxruntime": "1.32.0"}, "1.32.0"),
        ({}, "unknown"),
    ],
)
def test_either_package_of_the_runtime_is_found(
    versions: dict[str, str], runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, {"torch": "2.13.0", **versions})
    assert machine()["onnxruntime"] == runtime
