"""Chips on the command line: listed, explained, and as columns of bounds."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from pathlib import Path

import pytest

import onnxlens as api
from onnxlens.profile.runtime.calibration import cache_bytes, calibrate, chip_text
from tests.cli.calls import onnxlens
from tests.profile.chip.test_bound import MACS, MAP, WEIGHT, worked
from tests.profile.models import op
from tests.specs.test_document_schemas import complaints

COLUMNS = ("--columns", "path,bound,bound_s@a100,limited_by,limited_by@a100,serial_s,grades")


@pytest.fixture(autouse=True)
def no_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONNXLENS_HOST", str(tmp_path / "configuration" / "host.toml"))
    return tmp_path / "configuration" / "host.toml"


def test_the_list_and_a_chip() -> None:
    listed = onnxlens("hardware")
    assert listed.code == 0
    lines = {line.split()[0]: line for line in listed.out.splitlines() if line}
    assert "614.40 G" in lines["k230"] and "datasheet, compiler-model" in lines["k230"]
    assert "host" not in lines
    one = onnxlens("hardware", "rk3576").out
    assert "third party" in one and "the claimed 6 TOPS do not fit" in one
    document = json.loads(onnxlens("hardware", "ethos-u65-512", "--format", "json").out)
    assert document["chips"][0]["peaks"]["int8xint8"]["value"] == 512 * 10**9
    assert complaints("hardware", document) == []
    everything = json.loads(onnxlens("hardware", "--format", "json").out)
    assert complaints("hardware", everything) == []
    rows = list(csv.DictReader(io.StringIO(onnxlens("hardware", "k210", "--format", "csv").out)))
    assert rows[0]["figure"] == "macs_per_cycle.int8xint8"


def test_bounds_are_columns_of_every_kind_of_row(tmp_path: Path) -> None:
    path = worked(tmp_path)
    for by in ("module", "node", "op", "family"):
        done = onnxlens("ledger", path, "--hardware", "h200,a100", "--by", by, "--format", "csv")
        rows = list(csv.DictReader(io.StringIO(done.out)))
        conv = max(rows, key=lambda row: float(row["bound_s"]))
        assert float(conv["bound_s"]) == pytest.approx(MACS / 247.25e12)
        assert float(conv["bound_s@a100"]) == pytest.approx(MACS / 78e12)
        assert (conv["limited_by"], conv["grades@a100"]) == ("compute", "quoted")


def test_bounds_are_tested_sorted_and_shown(tmp_path: Path) -> None:
    path = worked(tmp_path)
    given = ("ledger", path, "--hardware", "h200,a100")
    done = onnxlens(*given, "--where", "bound_s@a100>1us and limited_by@a100==compute", *COLUMNS)
    assert done.code == 0 and "rows: 2 of 3 modules" in done.out
    assert "sum of 2" in onnxlens(*given, "--sort", "bound_s@a100", "--top", "2").out
    plain = onnxlens("profile", path, "--hardware", "h200").out
    assert "h200 (NVIDIA H200 SXM; types as in the file): at least" in plain


@pytest.mark.parametrize("by", ["module", "node", "op", "family"])
def test_what_rows_take_together_is_the_bound_of_their_nodes(tmp_path: Path, by: str) -> None:
    kernel = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        op("Conv", "x w", "a", "one.conv", **kernel),
        op("Relu", "a", "b", "one.act"),
        op("Conv", "b w", "y", "two", **kernel),
    ]
    chips = ("--hardware", "k230,h200", "--as-dtype", "int8", "--fusion", "none")
    given = ("ledger", worked(tmp_path, nodes), *chips, "--by", by)
    document = json.loads(onnxlens(*given, "--format", "json").out)
    assert complaints("ledger", document) == []
    # both convolutions by compute; one after another the Relu's two maps pass the DRAM at 12.8 GB/s
    found = document["sum"]
    assert found["bound_s"] == found["compute_s"] == pytest.approx(2 * MACS / 614.4e9)
    assert found["serial_s"] == pytest.approx(2 * MACS / 614.4e9 + 2 * MAP / 12.8e9)
    assert found["bound_s@h200"] == pytest.approx(2 * MACS / 989.5e12)
    # unfused: the weight twice and three times a map in and out; the Relu's own
    assert found["fused_bytes"] == 2 * WEIGHT + 6 * MAP
    assert found["limited_by"] == "compute" and found["bound_percent"] == 100
    chosen = ("--where", "macs==0") if by != "module" else ("--where", "macs==0", "--leaves")
    part = json.loads(onnxlens(*given, *chosen, "--format", "json").out)["sum"]
    assert part["fused_bytes"] == 2 * MAP and part["bound_s"] == pytest.approx(2 * (MAP - 155_648) / 25.6e9)
    shown = onnxlens(*given, *chosen, "--columns", "macs,bound,bound@h200,fused_bytes").out
    sums = [line.split() for line in shown.splitlines() if line.startswith(("sum", "total  "))]
    assert sums[0][-7:-3] == ["0", "3.5", "us", "0.0"] and sums[1][2:5] == ["M", "376", "us"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--hardware", "h20"), "there is no chip 'h20'; did you mean h200"),
        (("--hardware", "h200,h200"), "name chips, each once"),
        (("--hardware", "k230"), "no peak is published for float32xfloat32"),
        (("--hardware", "host"), "host: this machine is not calibrated; 'onnxlens calibrate'"),
        (("--columns", "path,bound_s"), "column bound_s holds no figure; give --hardware"),
        (
            ("--hardware", "h200", "--columns", "fit_bound_s"),
            "fit_bound_s holds no figure; none of",
        ),
        (
            ("--hardware", "h200", "--columns", "vendor_macs"),
            "give --hardware with --model vendor",
        ),
        (("--where", "limited_by==HBM"), "column limited_by holds no figure; give --hardware"),
        (("--hardware", "h200", "--columns", "bound_s@a100"), "name a100 in --hardware; "),
        (("--hardware", "h200", "--sort", "bound_s@h200"), "of the first chip there it is bound_s"),
        (
            ("--hardware", "h200", "--columns", "macs@h200"),
            "called h200 that has it; macs is ours, and of no chip",
        ),
        (("--hardware", "h200", "--columns", "params@h200"), "'params' is of no chip; leave out '@h200'"),
        (("--as-dtype", "int8"), "add --hardware CHIP"),
        (("--roofline", "x.svg"), "--roofline needs --hardware CHIP"),
        (("--hardware", "h200", "--roofline", "x.pdf"), "suffix '.pdf' cannot be plotted"),
        (("--hardware", "h200", "--peak"), "--peak shows tensors"),
    ],
)
def test_what_cannot_be_bounded_is_refused_in_a_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = onnxlens("profile", worked(tmp_path), *arguments)
    assert done.code == 2 and message in done.err and len(done.err.strip().splitlines()) == 1


def test_what_is_unknown_has_no_bound_and_what_is_known_of_a_whole_a_lower_one(tmp_path: Path) -> None:
    kernel = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        op("Conv", "x w", "a", "known", **kernel),
        op("Exotic", "a", "b", "strange", domain="acme"),
        op("Conv", "b w", "y", "strange", **kernel),
    ]
    path = worked(tmp_path, nodes)
    given = ("ledger", path, "--hardware", "h200", "--by", "node")
    rows = list(csv.DictReader(io.StringIO(onnxlens(*given, "--format", "csv").out)))
    found = {row["node"]: (row["bound_s"], row["serial_s"]) for row in rows}
    assert float(found["node_a"][0]) == pytest.approx(MACS / 247.25e12)
    assert found["node_b"][0] == found["node_b"][1] == ""
    shown = onnxlens("ledger", path, "--hardware", "h200", "--columns", "path,bound_s,bound_percent").out
    lines = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line}
    assert lines["known"] == ["0.5", "us", "<=", "100.0", "%"] and lines["strange"] == ["?", "?"]
    undecided = onnxlens(*given, "--where", "bound_s<1us", "--columns", "node,bound_s").out
    listed = [line.split()[0] for line in undecided.splitlines() if line]
    assert "node_a" in listed and "node_b" not in listed
    document = json.loads(onnxlens("profile", path, "--hardware", "h200", "--format", "json").out)
    assert complaints("profile", document) == []
    assert document["bounds"][0]["modules"].keys() == {"", "known"}
    assert "bound_s" not in next(each for each in document["modules"] if each["path"] == "strange")
    alone = worked(tmp_path, [op("Exotic", "x", "b", domain="acme"), op("Relu", "b", "y")])
    note = "no bound, as nothing that is known of the graph takes time"
    assert note in onnxlens("profile", alone, "--hardware", "h200").out


def test_documents_with_bounds_follow_their_schemas(tmp_path: Path) -> None:
    path, chips = worked(tmp_path), ("--hardware", "k230,ethos-u55-256@Deep_Embedded", "--as-dtype", "int8")
    profile = json.loads(onnxlens("profile", path, *chips, "--format", "json").out)
    assert complaints("profile", profile) == []
    assert profile["bounds"][0]["modules"][""]["limits"]["compute"] == pytest.approx(MACS / 614.4e9)
    assert profile["modules"][0]["bound_s"] == pytest.approx(MACS / 614.4e9)
    ledger = json.loads(onnxlens("ledger", path, *chips, "--format", "json").out)
    assert complaints("ledger", ledger) == []
    # 256 MACs per cycle at 200 MHz
    assert ledger["rows"][0]["compute_s@ethos-u55-256@Deep_Embedded"] == pytest.approx(MACS / 51.2e9)


def test_the_roofline_is_drawn_the_same_every_time(tmp_path: Path) -> None:
    path, files = worked(tmp_path), [tmp_path / name for name in ("a.svg", "b.svg", "c.png")]
    for file in files:
        done = onnxlens("profile", path, "--hardware", "h200,a100", "--roofline", file)
        assert done.code == 0 and f"wrote {file}" in done.err
    assert files[0].read_bytes() == files[1].read_bytes()
    assert b"Roofline of" in files[0].read_bytes() and files[2].read_bytes()[:4] == b"\x89PNG"
    none = onnxlens("profile", path, "--hardware", "h200", "--depth", "5", "--roofline", tmp_path / "d.svg")
    assert none.code == 2 and "no module of depth 5 has MACs" in none.err


def test_every_chip_has_its_roofs(tmp_path: Path) -> None:
    """More than there are colors."""
    file, sizes = tmp_path / "a.svg", ("u55-32", "u55-64", "u55-128", "u55-256", "u85-1024", "u85-2048")
    chips = ",".join(["h200", "a100", "k230", *(f"ethos-{size}" for size in sizes)])
    done = onnxlens(
        "profile", worked(tmp_path), "--hardware", chips, "--as-dtype", "int8", "--roofline", file
    )
    assert done.code == 0, done.err
    assert file.read_text().count("largest point") == 9


def test_a_picture_is_colored_by_a_bound(tmp_path: Path) -> None:
    path, out = worked(tmp_path), tmp_path / "flow.dot"
    done = onnxlens("render", path, "--hardware", "h200", "--color", "bound_s", "--out", out)
    assert done.code == 0 and "lower bound" in out.read_text()
    refused = onnxlens("render", path, "--color", "bound_s", "--out", out)
    assert refused.code == 2 and "--hardware" in refused.err


@pytest.mark.parametrize(
    ("column", "given", "figures"),
    [
        # of the convolution, then of the Relu, by the worked example in docs/roofline.md
        ("bound_s@k230", ("--hardware", "h200,k230", "--as-dtype", "int8"), ("188 us", "3.5 us")),
        ("serial_s", ("--hardware", "k230", "--as-dtype", "int8"), ("188 us", "31.4 us")),
        ("fused_bytes", ("--fusion", "epilogue", "--as-dtype", "int8"), ("232.00 KiB", "196.00 KiB")),
        ("working", ("--as-dtype", "int8"), ("428.00 KiB", "392.00 KiB")),
    ],
)
def test_boxes_are_colored_by_any_column_of_chips_and_memory(
    tmp_path: Path, column: str, given: tuple[str, ...], figures: tuple[str, str]
) -> None:
    path, out = worked(tmp_path), tmp_path / "flow.dot"
    done = onnxlens("render", path, *given, "--color", column, "--out", out)
    assert (done.code, done.err) == (0, "")
    assert all(figure in out.read_text() for figure in figures)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--color", "params@h200"), "'params@h200' is not a column to color by"),
        (("--color", "macs@h200"), "no box has macs@h200; it comes with --layers"),
        (("--color", "fused_bytes"), "no box has fused_bytes; it comes with --fusion"),
        (("--color", "spilled_bytes", "--fusion", "none"), "no box has spilled_bytes"),
        (("--color", "bound_s@a100", "--hardware", "h200"), "no box has bound_s@a100"),
        (("--as-dtype", "int8"), "--as-dtype is of memory and bounds"),
        (("--viewer", "netron", "--on-chip", "1MiB"), "--on-chip is for --viewer flow or --viewer model-ex"),
    ],
)
def test_what_no_box_has_is_refused_in_a_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = onnxlens("render", worked(tmp_path), *arguments, "--out", tmp_path / "x.svg")
    assert done.code == 2 and message in done.err and len(done.err.strip().splitlines()) == 1


def test_every_column_of_chips_is_node_data(tmp_path: Path) -> None:
    path, out = worked(tmp_path), tmp_path / "net.json"
    given = ("--hardware", "k230,h200", "--as-dtype", "int8", "--fusion", "none", "--on-chip", "1MiB")
    assert onnxlens("render", path, "--viewer", "model-explorer", *given, "--out", out).code == 0
    for column, name, total in (
        ("bound_s", "lower bound (s)", True),
        ("bound_s@h200", "lower bound (s) on h200", True),
        ("serial_s", "bound of operators in turn (s)", False),
        ("spilled_bytes", "spilled", False),
    ):
        (data,) = json.loads((tmp_path / f"net.{column}.json").read_text()).values()
        assert data["name"] == name and ("hideAggregatedStats" in data) is total
    bounds = json.loads((tmp_path / "net.bound_s.json").read_text())
    values = [each["value"] for each in next(iter(bounds.values()))["results"].values()]
    assert values == [pytest.approx(MACS / 614.4e9), pytest.approx(2 * (MAP - 155_648) / 25.6e9)]
    assert not (tmp_path / "net.limited_by.json").exists()


def test_this_machine_is_measured_and_kept(no_host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = calibrate(lambda *_: None, budget_s=0.001)
    document = tomllib.loads(chip_text(measured))
    assert document["macs_per_s"]["float32xfloat32"]["grade"] == "measured"
    monkeypatch.setattr("onnxlens.profile.runtime.calibration.calibrate", lambda progress: measured)
    done = onnxlens("calibrate")
    assert done.code == 0 and f"wrote {no_host}" in done.err and "measured" in done.out
    host = api.chip_of("host")
    assert host.peak("float32xfloat32").value == round(measured.macs_per_s["float32"][0])
    assert any(line.startswith("host ") for line in onnxlens("hardware").out.splitlines())


def test_every_cache_counts_once(tmp_path: Path) -> None:
    caches = (
        ("0", "1", "Data", "32K", "0"),
        ("1", "1", "Instruction", "64K", "0"),
        ("2", "3", "Unified", "8192K", "0-1"),
    )
    for cpu in ("cpu0", "cpu1"):
        for index, level, kind, size, shared in caches:
            folder = tmp_path / cpu / "cache" / f"index{index}"
            folder.mkdir(parents=True)
            own = shared if shared == "0-1" else cpu[3:]
            for name, text in (("level", level), ("type", kind), ("size", size), ("shared_cpu_list", own)):
                (folder / name).write_text(text + "\n")
    assert cache_bytes(tmp_path) == (2 * 32 + 8192) * 1024
    assert cache_bytes(tmp_path / "none") is None


def test_a_trace_has_the_bounds_and_the_fused_traffic_of_modules(tmp_path: Path) -> None:
    path, out = worked(tmp_path), tmp_path / "trace.json"
    given = (
        "--hardware",
        "h200,a100",
        "--fusion",
        "epilogue",
        "--latency",
        "--format",
        "trace",
        "--out",
        out,
    )
    assert onnxlens("ledger", path, *given, "--out", out).code == 0
    events = json.loads(out.read_text())["traceEvents"]
    conv = next(each["args"] for each in events if each["name"] == "conv" and each.get("cat") == "module")
    assert conv["bound_s"] == pytest.approx(MACS / 247.25e12)
    assert (conv["bound_s@a100"], conv["limited_by"]) == (pytest.approx(MACS / 78e12), "compute")
    assert conv["fused_bytes"] > 0 and conv["serial_s"] >= conv["bound_s"]
