"""``onnxlens traffic``: what it prints, and the plot that it writes."""

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
from tests.profile.models import op, save, value, weight

MAP = 4 * 8 * 6 * 6
KERNEL = 4 * 8 * 8


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """Two pointwise convolutions, an activation on the first, and a product with what is not known."""
    nodes = [
        op("Conv", "x w", "a", "body.0", kernel_shape=[1, 1]),
        op("Relu", "a", "b", "body.0"),
        op("Conv", "b w", "y", "stem", kernel_shape=[1, 1]),
    ]
    shape = (1, 8, 6, 6)
    return save(tmp_path, nodes, [value("x", shape)], [value("y", shape)], [weight("w", 8, 8, 1, 1)])


def test_the_modes_stand_side_by_side_with_the_least_that_must_move(pair: Path) -> None:
    text = done("traffic", pair, "--on-chip", MAP, "--wide")
    unfused, epilogue, pairs = (times * MAP + 2 * KERNEL for times in (6, 4, 2))
    band = (
        f"{short_bytes(unfused)} unfused, {short_bytes(epilogue)} epilogue, {short_bytes(epilogue)} attention"
    )
    least = f"at least {short_bytes(2 * MAP + KERNEL)}: inputs, outputs and weights once"
    assert f"memory traffic: {band}, {short_bytes(pairs)} layer-pairs; {least}" in text


def test_rows_are_modules_operators_or_nodes_and_add_up(pair: Path) -> None:
    def rows(*options: str) -> list[dict[str, str]]:
        text = done("traffic", pair, "--fusion", "epilogue", "--on-chip", "1KiB", "--format", "csv", *options)
        return list(csv.DictReader(io.StringIO(text)))

    modules, operators, nodes = rows(), rows("--by", "op"), rows("--by", "node")
    assert [row["module"] for row in modules] == ["made", "body.0", "stem"]
    assert {row["op"]: int(row["epilogue_bytes"]) for row in operators} == {
        "Conv": 3 * MAP + 2 * KERNEL, "Relu": MAP,
    }  # fmt: skip
    for name in (
        "none_bytes",
        "epilogue_bytes",
        "weight_read_bytes",
        "read_bytes",
        "write_bytes",
        "spilled_bytes",
    ):
        whole = int(modules[0][name])
        assert sum(int(row[name]) for row in modules[1:]) == whole
        assert sum(int(row[name]) for row in operators) == sum(int(row[name]) for row in nodes) == whole
    # six rows of six times eight floats: one row and the weight, and a row out
    assert {row["sram_bytes"] for row in modules} == {str(192 + KERNEL + 192)}


def test_the_document_has_what_the_interface_returns(pair: Path) -> None:
    document = json.loads(done("traffic", pair, "--on-chip", "300B", "--format", "json"))
    report = api.traffic_of(pair, on_chip_bytes=300)
    assert document["total"]["spilled_bytes"] == report.total.spilled_bytes
    assert document["kinds"]["attention"]["read_bytes"] == report.total.read_bytes == 2 * MAP
    assert document["knee"][-1]["moved_bytes"] == 4 * MAP + 2 * KERNEL
    assert "spilled_bytes" not in json.loads(done("traffic", pair, "--format", "json"))["total"]
    assert len(json.loads(done("traffic", pair, "--depth", "0", "--format", "json"))["rows"]) == 1


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_a_plot_names_the_kinds_of_bytes_and_is_the_same_each_time(
    pair: Path, tmp_path: Path, suffix: str
) -> None:
    first, second = (tmp_path / f"{name}.{suffix}" for name in "ab")
    for path in (first, second):
        done("traffic", pair, "--on-chip", "300B", "--plot", path)
    assert first.read_bytes() == second.read_bytes()
    if suffix == "svg":
        text = first.read_text()
        for words in ("weights read", "activations written", "spilled: read again", "memory on the chip"):
            assert f"<!-- {words} -->" in text


def test_what_is_not_known_makes_lower_bounds(tmp_path: Path) -> None:
    nodes = [
        op("Conv", "x w", "a", kernel_shape=[1, 1]),
        op("NonZero", "a", "i"),
        op("Cast", "i", "y", to=TensorProto.FLOAT),
    ]
    weights = [weight("w", 8, 8, 1, 1)]
    path = save(tmp_path, nodes, [value("x", (1, 8, 6, 6))], [value("y", (4, "n"))], weights)
    text = done("traffic", path, "--by", "node")
    assert f">= {short_bytes(2 * MAP + KERNEL)} unfused" in text
    assert "unsized: 2 nodes without a size" in text
    small = done("traffic", path, "--on-chip", "100B")
    assert "untiled: 1 node without tiles that fit" in small and "with 100 B on the chip >= " in small


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--fusion", "layer-pairs"),
            "--fusion layer-pairs needs the size of the memory on the chip; add --on-chip SIZE",
        ),
        (("--plot", "a.pdf"), "a.pdf: suffix '.pdf' cannot be plotted; choose .svg or .png"),
        (("--on-chip", "much"), "--on-chip 'much': 'much' is not a number; give a size such as 2MiB"),
        (("--on-chip", "0"), "--on-chip '0': nothing fits into that; give a size such as 2MiB"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused(pair: Path, options: tuple[str, ...], message: str) -> None:
    outcome = onnxlens("traffic", pair, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[0] == f"onnxlens: {message}"


def test_fused_traffic_is_a_column_of_every_kind_of_row(pair: Path) -> None:
    asked = ("--fusion", "epilogue", "--on-chip", "300B", "--columns")
    report = api.traffic_of(pair, fusion="epilogue", on_chip_bytes=300)
    whole = report.total.moved_bytes["epilogue"]
    figures = (
        "fused_bytes,fused_weight_read_bytes,fused_read_bytes,fused_write_bytes,spilled_bytes,sram_bytes"
    )
    for verb in ("profile", "ledger"):
        document = json.loads(done(verb, pair, *asked, f"path,{figures}", "--format", "json"))
        first = document["rows"][0]
        assert [first[name] for name in figures.split(",")] == [
            whole, 2 * KERNEL, 2 * MAP, 2 * MAP, report.total.spilled_bytes, report.total.sram_bytes,
        ]  # fmt: skip
        assert [row["fused_bytes"] for row in document["rows"]] == [
            row.moved_bytes["epilogue"] for row in report.rows
        ]
    for kind in ("op", "node", "class"):
        rows = json.loads(done("profile", pair, "--by", kind, *asked, "fused_bytes", "--format", "json"))[
            "rows"
        ]
        assert sum(row["fused_bytes"] for row in rows) == whole
    text = done("profile", pair, "--fusion", "epilogue", "--on-chip", "300B")
    assert (
        f"fusion epilogue: {short_bytes(whole)}, and {short_bytes(report.total.spilled_bytes or 0)}" in text
    )


def test_floats_may_be_held_in_another_type(pair: Path) -> None:
    document = json.loads(done("traffic", pair, "--as-dtype", "int8", "--format", "json"))
    assert document["total"]["moved_bytes"]["attention"] == (4 * MAP + 2 * KERNEL) // 4
    (row,) = json.loads(
        done(
            "profile", pair, "--fusion", "attention", "--as-dtype", "int8", "--depth", "0", "--format", "json"
        )
    )["rows"]
    assert row["fused_bytes"] == (4 * MAP + 2 * KERNEL) // 4


def test_a_column_of_traffic_needs_its_option(pair: Path) -> None:
    outcome = onnxlens("profile", pair, "--columns", "fused_bytes")
    assert (outcome.code, outcome.err) == (2, "onnxlens: column fused_bytes holds no figure; give --fusion\n")
    outcome = onnxlens("profile", pair, "--fusion", "epilogue", "--columns", "spilled_bytes")
    assert (outcome.code, outcome.err) == (
        2,
        "onnxlens: column spilled_bytes holds no figure; give --on-chip\n",
    )
