"""The committed tables of what chips' tools say are made of the committed records, and say what these say."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from onnxlens.specs.layers import LayerRecord, LayerReport
from reference_report.vendors.networks import CHIPS, NETWORKS
from reference_report.vendors.page import PAGE, PICTURED, PICTURES, texts
from reference_report.vendors.recording import LARGEST, write_record
from reference_report.vendors.records import reports_of

VENDORS = Path(__file__).parents[2] / "reports" / "vendors"
STALE = "stale: run scripts/reference_report.sh"
GOAL = 0.97

NAMES = [network.name for network in NETWORKS]


@pytest.fixture(scope="module")
def made() -> Mapping[str, str]:
    return texts(VENDORS)


@pytest.mark.parametrize("name", [PAGE, *(f"{name}.csv" for name in NAMES)])
def test_the_committed_tables_are_made_of_the_records(made: Mapping[str, str], name: str) -> None:
    assert made[name] == (VENDORS / name).read_text(encoding="utf-8"), STALE


@pytest.mark.parametrize("name", NAMES)
def test_every_tool_has_a_small_record_with_its_version(name: str) -> None:
    reports = reports_of(VENDORS / name)
    assert sorted({report.tool for report in reports}) == sorted(CHIPS)
    assert len(reports) == sum(map(len, CHIPS.values()))
    assert all(re.fullmatch(r"[\d.]+", report.version) for report in reports)
    assert all(path.stat().st_size <= LARGEST for path in (VENDORS / name).iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_a_module_has_the_sum_of_what_is_led_into_it(name: str) -> None:
    """Of the first row, which is the whole network, by the records themselves: what leads nowhere is less."""
    with (VENDORS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        whole = next(csv.DictReader(file))
    for report in reports_of(VENDORS / name):
        figure = whole.get(f"cycles@{report.label}")
        if figure:
            every = sum(record.figures.get("cycles", 0) for record in report.records)
            assert GOAL * every <= float(figure) <= every


def test_the_dilated_convolution_is_half_of_the_ethos_us_cycles() -> None:
    """5 x 5 holes make 11 x 11 of its 3 x 3 taps; the others multiply the 9."""
    with (VENDORS / "mlsd-tiny.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["module"]: row for row in csv.DictReader(file)}
    dilated = rows["block16.conv1.0"]
    assert float(dilated["macs@ethos-u-u55-256"]) * 9 == 121 * int(dilated["MACs"])

    def part(tool: str) -> float:
        return float(dilated[f"cycles@{tool}"]) / float(rows["mlsd-tiny"][f"cycles@{tool}"])

    assert part("ethos-u-u55-256") > 0.4
    assert part("rknn-rk3588") < 0.2


def test_every_picture_is_there() -> None:
    assert {path.name for path in VENDORS.glob("*.svg")} == {f"{PICTURED}-{label}.svg" for label in PICTURES}


@pytest.mark.parametrize(("layers", "name"), [(2, "rknn-rk3588.json"), (2000, "rknn-rk3588.json.gz")])
def test_a_record_is_read_as_it_was_written(tmp_path: Path, layers: int, name: str) -> None:
    figures = {"cycles": 7, "off_chip_bytes": 3}
    records = tuple(
        LayerRecord(f"layer_{index}", "Conv", (), "npu", figures, ((1, 2),), ((1, 2),))
        for index in range(layers)
    )
    report = LayerReport("rknn", records, "2.5.0", "rk3588", {"node": "no such operator"}, ("a note",))
    write_record(report, "net", tmp_path, "a digest")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert reports_of(tmp_path) == [report]
