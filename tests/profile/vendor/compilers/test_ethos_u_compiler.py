"""What Vela and its converter are told, and what becomes of the table that they write."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.vendor.compilers import ethos_u
from onnxlens.profile.vendor.compilers.child import Outcome
from onnxlens.profile.vendor.compilers.lookup import CompileRequest
from onnxlens.specs.progress import silent

TABLE = Path(__file__).parents[3] / "data" / "vendor" / "ethos-u" / "hed-u55-256_per-layer.csv"

LOG = """
Warning (supported operators) operator: MEAN, ofm: 'node_group_norm;7'
Reason: Unsupported depth-reduction.  IFM: 1, 32, 10, 256
Reduction over depth is only supported if any of h,w,c == 1

Warning (supported operators) operator: GATHER, ofm: 'a;;b'
Reason: Not an operator

####
"""


@pytest.mark.parametrize(
    ("chip", "accelerator", "system", "memory"),
    [
        ("u55-256", "ethos-u55-256", "Ethos_U55_High_End_Embedded", "Shared_Sram"),
        ("u65-512", "ethos-u65-512", "Ethos_U65_Client_Server", "Dedicated_Sram"),
        ("u85-2048", "ethos-u85-2048", "Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram"),
        ("u55-32@Deep_Embedded", "ethos-u55-32", "Ethos_U55_Deep_Embedded", "Shared_Sram"),
        ("u55-32@Sram_Only", "ethos-u55-32", "Ethos_U55_High_End_Embedded", "Sram_Only"),
        (
            "u85-512@Dedicated_Sram_384KB+SYS_DRAM_High",
            "ethos-u85-512",
            "Ethos_U85_SYS_DRAM_High",
            "Dedicated_Sram_384KB",
        ),
    ],
)
def test_a_chip_is_a_configuration_of_vela(chip: str, accelerator: str, system: str, memory: str) -> None:
    assert ethos_u.COMPILER.chip(chip) == chip
    expected = {"accelerator": accelerator, "system": system, "memory": memory}
    assert ethos_u.configuration(chip) == expected


def test_there_is_a_configuration_for_every_unit() -> None:
    macs = {"u55": (32, 64, 128, 256), "u65": (256, 512), "u85": (128, 256, 512, 1024, 2048)}
    assert set(ethos_u.COMPILER.chips) == {f"{unit}-{each}" for unit, sizes in macs.items() for each in sizes}


@pytest.mark.parametrize(
    ("chip", "message"),
    [
        ("u55-512", "there is no chip 'u55-512'; it compiles for u55-256, "),
        ("u55-256@SYS_DRAM_Mid", "u55-256 has no variant 'SYS_DRAM_Mid'; it has High_End_Embedded, "),
        ("u55-256@", None),
        ("u55-256@Sram_Only+Shared_Sram", "names Sram_Only, Shared_Sram; give one system and one memory"),
    ],
)
def test_a_chip_that_there_is_not_is_refused(chip: str, message: str | None) -> None:
    if message is None:
        assert ethos_u.configuration(ethos_u.COMPILER.chip(chip))["memory"] == "Shared_Sram"
        return
    with pytest.raises(UsageError, match=message):
        ethos_u.configuration(ethos_u.COMPILER.chip(chip))


@dataclass
class Network:
    """A source of one module, and what it was asked for."""

    inputs: Mapping[str, np.ndarray] = field(default_factory=lambda: {"image": np.ones((1, 3), np.float32)})
    traced_to: Path | None = None
    graph: Any = field(default_factory=lambda: SimpleNamespace(nodes=(), hierarchy=SimpleNamespace(paths=())))

    def traced(self, path: Path) -> Mapping[str, str]:
        self.traced_to = path
        return {"conv2d": "node_conv2d"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the worker is asked; it writes the table of a real run."""
    seen: dict[str, Any] = {}

    def run_worker(python: Path, worker: Path, request: Any, folder: Path, timeout_s: float) -> Outcome:
        assert worker.is_file()
        seen.update(request)
        (folder / "vela").mkdir()
        shutil.copy(TABLE, folder / "vela")
        result = {"version": "5.2.0", "report": f"vela/{TABLE.name}", "notes": ["int8 by one"]}
        (folder / "log.txt").write_text(LOG)
        return Outcome(folder / "log.txt", result)

    monkeypatch.setattr(ethos_u, "run_worker", run_worker)
    return seen


def request_for(network: Network, folder: Path, given: Path | None = None) -> CompileRequest:
    return CompileRequest(network, "u55-256@Sram_Only", Path("python"), folder, 9, silent, given)  # type: ignore[arg-type]


def test_the_module_goes_to_the_worker_with_names_for_its_operations(
    asked: dict[str, Any], tmp_path: Path
) -> None:
    network = Network()
    report = ethos_u.COMPILER.compile(request_for(network, tmp_path))
    assert network.traced_to == tmp_path / asked["program"]
    assert asked["labels"] == {"conv2d": "node_conv2d"}
    assert asked["memory"] == "Sram_Only"
    assert (tmp_path / "inputs.npz").is_file()
    assert (report.label, report.version) == ("ethos-u-u55-256@Sram_Only", "5.2.0")
    assert report.notes[-2:] == ("ethos-u55-256, Ethos_U55_High_End_Embedded, Sram_Only", "int8 by one")
    assert report.refused == {
        "node_group_norm": "MEAN: Unsupported depth-reduction. IFM: 1, 32, 10, 256 "
        "Reduction over depth is only supported if any of h,w,c == 1",
        "a;b": "GATHER: Not an operator",
    }
    assert any(record.figures.get("macs") == 28_311_552 for record in report.records)  # 128 x 128 x 64 x 27


def test_a_file_of_the_users_needs_no_module(asked: dict[str, Any], tmp_path: Path) -> None:
    network, given = Network(), tmp_path / "own.tflite"
    given.touch()
    ethos_u.COMPILER.require_given(given)
    report = ethos_u.COMPILER.compile(request_for(network, tmp_path, given))
    assert network.traced_to is None
    assert asked["tflite"] == str(given)
    assert report.notes[-1] == "of own.tflite"


def test_a_second_chip_gets_the_file_that_the_first_has_left(asked: dict[str, Any], tmp_path: Path) -> None:
    network, first, second = Network(), tmp_path / "ethos-u-u55-256", tmp_path / "ethos-u-u85-512"
    for folder in (first, second):
        folder.mkdir()
    (first / ethos_u.INT8_FILE).touch()
    report = ethos_u.COMPILER.compile(request_for(network, second))
    assert network.traced_to is None
    assert asked["tflite"] == str(first / ethos_u.INT8_FILE)
    assert report.notes[-1] == "int8 by one"


def test_only_a_tflite_file_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "own.onnx").touch()
    for name in ("own.onnx", "none.tflite"):
        with pytest.raises(UsageError, match=r"expected a file \.tflite"):
            ethos_u.COMPILER.require_given(tmp_path / name)
