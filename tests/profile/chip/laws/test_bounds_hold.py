"""No recorded cycles of a vendor's tool or a simulator are below the bound with the fit: docs/bounds.md."""

from __future__ import annotations

from collections import Counter

import pytest

from onnxlens.profile.chip.array_fit import fit_layer, rule_cycles
from onnxlens.profile.chip.chip_file import load_chip
from onnxlens.specs.array_fit import MatrixWork
from tests.profile.chip.laws.recorded import TYPES, Row, rknn_work, rows, sizes, tpu_mlir_work, vela_work

VELA = [row for row in rows("vela-5.2.0.csv") if row["kind"] != "pooling"]
NETWORKS = rows("vela-5.2.0-networks.csv")
CONFIGS = sorted({row["config"] for row in VELA})


def network_work(row: Row) -> MatrixWork:
    counts = (int(row[name]) for name in ("times", "groups", "inner", "outer", "height", "width"))
    windows = (sizes(row[name]) for name in ("kernel", "stride", "dilation"))
    return MatrixWork(row["kind"], *counts, *windows)  # type: ignore[arg-type]


def layers_of(graph: str) -> list[MatrixWork]:
    """In execution order."""
    return [
        network_work(row) for row in NETWORKS if (row["graph"], row["config"]) == (graph, "ethos-u55-256")
    ]


def bound_cycles(work: MatrixWork, chip: str, operands: str = "int8xint8") -> float:
    found = load_chip(chip)
    fit = fit_layer(work, found.array, operands)
    assert fit is not None and fit.macs_lost >= 0, f"{chip} has no steps for {work}"
    return fit.cycles / found.cores


@pytest.mark.parametrize("config", CONFIGS)
def test_vela_is_never_below_the_bound(config: str) -> None:
    """Single layers and three networks of MLPerf Tiny; depthwise ones of 16 bits have no steps."""
    checked = [
        (bound_cycles(vela_work(row), config, TYPES[row["bits"]]), int(row["npu_cycles"]))
        for row in VELA
        if row["config"] == config and (row["kind"], row["bits"]) != ("depthwise", "16")
    ]
    assert len(checked) > 110
    assert all(bound <= cycles for bound, cycles in checked)


def test_int8_hed_and_mlsd_are_never_below_the_bound() -> None:
    assert Counter(row["graph"] for row in NETWORKS) == {"hed": 2 * 18, "mlsd-tiny": 2 * 41}
    for row in NETWORKS:
        assert bound_cycles(network_work(row), row["config"]) <= int(row["npu_cycles"]), row


@pytest.mark.parametrize(
    "row", rows("rknn-toolkit2-2.5.0.csv"), ids=lambda row: "-".join([*row.values()][:-1])
)
def test_rockchips_table_is_never_below_the_bound(row: Row) -> None:
    # the table is of one core
    cores = load_chip(row["chip"]).cores
    assert bound_cycles(rknn_work(row), row["chip"], TYPES[row["dtype"]]) * cores <= int(row["npu_cycles"])


def test_the_bm1684x_trace_is_never_below_the_bound() -> None:
    for row in rows("tpu-mlir-1.30.2.csv"):
        assert bound_cycles(tpu_mlir_work(row), "bm1684x", "float16xfloat16") <= int(row["cycles"]), row


def test_nncase_counts_the_same_macs_and_moves_no_less() -> None:
    convs = layers_of("hed")
    groups = {row["Name"]: row for row in rows("nncase-2.11.0-hed.csv")}
    # the compiler's groups: their convolutions, the bytes they read and the bytes they write; 8 bits inside,
    # and 4 bytes for the picture and the five edge maps
    plane = {side: side * side for side in (128, 64, 32, 16, 8)}
    inside = {
        "TileLayerGroup_0": ([0, 1], 4 * 3 * plane[128], 64 * plane[128]),
        "TileConv2d_0": ([2], 64 * plane[128], 4 * plane[128]),
        "TileLayerGroup_1": ([3, 4], 64 * plane[128], 128 * plane[64]),
        "TileConv2d_1": ([5], 128 * plane[64], 4 * plane[64]),
        "TileLayerGroup_2": ([6, 7, 8], 128 * plane[64], 256 * plane[32]),
        "TileConv2d_2": ([9], 256 * plane[32], 4 * plane[32]),
        "TileLayerGroup_3": ([10, 11, 12], 256 * plane[32], 512 * plane[16]),
        "TileConv2d_3": ([13], 512 * plane[16], 4 * plane[16]),
        "TileLayerGroup_4": ([14, 15, 16, 17], 512 * plane[16], 4 * plane[8]),
    }
    assert groups.keys() == inside.keys()
    for name, (numbers, reads, writes) in inside.items():
        row, works = groups[name], [convs[number] for number in numbers]
        assert int(row["Mac"]) == sum(work.macs for work in works)
        assert int(row["OffChipMemTraffic"]) == reads + writes
        weights = sum(work.input_channels * work.output_channels * work.taps for work in works)
        assert int(row["OffChipMemLWTraffic"]) >= weights


def test_nncase_counts_the_same_macs_of_mlsd() -> None:
    mlsd = [
        network_work(row)
        for row in NETWORKS
        if (row["graph"], row["config"]) == ("mlsd-tiny", "ethos-u55-256")
    ]
    assert sum(int(row["Mac"]) for row in rows("nncase-2.11.0-mlsd-tiny.csv")) == sum(
        work.macs for work in mlsd
    )


SIMULATED = {  # as scripts/vendor_records/conv_layers.py has them
    "c64": (64, 64, 3, 32, 1), "c16": (16, 16, 3, 32, 1), "rgb": (3, 16, 3, 32, 2),
    "pw64": (64, 128, 1, 32, 1), "k1co20": (20, 20, 1, 32, 1), "c38": (38, 38, 3, 17, 1),
    "c9": (9, 4, 3, 10, 1), "deep": (128, 128, 3, 8, 1), "row": (512, 256, 1, 1, 1),
}  # fmt: skip


def simulated_work(name: str) -> MatrixWork:
    inner, outer, kernel, side, stride = SIMULATED[name]
    return MatrixWork("convolution", 1, 1, inner, outer, side, side, (kernel,) * 2, (stride,) * 2, (1, 1))


@pytest.mark.parametrize(
    "row", rows("scalesim-3.0.0.csv"), ids=lambda row: f"{row['dataflow']}-{row['layer']}"
)
def test_scalesim_is_never_below_the_bound(row: Row) -> None:
    work, cycles = simulated_work(row["layer"]), int(row["compute_cycles"])
    if row["dataflow"] == "ws":
        # a fold of 32 x 32 takes 2 x 32 + 32 + T - 2; the simulator counts from 0
        folds = -(-work.input_channels * work.taps // 32) * -(-work.output_channels // 32)
        assert cycles == folds * (94 + work.positions) - 1
        # of one position the 512 activations may be in the array: 16 folds, past which the 256 columns stream
        least = 16 * (93 + 256) if row["layer"] == "row" else 0.98 * cycles
        assert least <= bound_cycles(work, "scalesim-scale") <= cycles
    assert work.macs / 1024 <= cycles


@pytest.mark.parametrize("row", rows("zigzag-3.9.1.csv"), ids=lambda row: f"{row['array']}-{row['layer']}")
def test_zigzag_is_never_below_the_bound(row: Row) -> None:
    work, chip = simulated_work(row["layer"]), load_chip(f"zigzag-{row['array'].replace('_', '-')}")
    assert int(row["macs"]) == work.macs
    # its loops over the array, without stalls, are the steps in the shape that the file has
    (rule,) = chip.array
    assert rule_cycles(work, rule).cycles == int(row["temporal_cycles"])
    assert bound_cycles(work, chip.name) <= int(row["temporal_cycles"]) <= int(row["cycles"])
