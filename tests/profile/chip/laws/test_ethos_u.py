"""Vela 5.2.0's cycles, to the cycle: from the blocks that it chose, and from those that are chosen here."""

from __future__ import annotations

from math import floor, prod

import pytest

from onnxlens.profile.chip.laws.ethos_u import layer_of, mac_cycles, npu_cycles, traversal_of
from onnxlens.profile.chip.laws.ethos_u_blocks import choose_blocks
from onnxlens.profile.chip.laws.ethos_u_parts import PARTS
from tests.profile.chip.laws.recorded import Row, block, ethos_layer, rows, vela_work

VELA = rows("vela-5.2.0.csv")
U55_U65 = [row for row in VELA if PARTS[row["config"]].shram is not None]
NETWORKS = ("resnet8", "ds-cnn", "mobilenet-v1-025")
U85 = [row for row in VELA if PARTS[row["config"]].is_u85 and row["net"] not in NETWORKS]


def name(row: Row) -> str:
    return "-".join(row[key] for key in ("config", "net", "input", "output", "kernel"))


def test_the_forty_rows_of_single_layers_are_among_them() -> None:
    forty = [row for row in VELA if row["config"].startswith("ethos-u55") and row["net"] not in NETWORKS]
    assert len(forty) == 4 * 10
    # worked out by hand: 3x3, 64 to 64 channels at 32 x 32 on 256 MACs. 4 x 8 microblocks of 4 cycles,
    # 9 taps, 2 in depth, twice 32 input channels: 4,608 for each of 32 blocks; commands; both transfers
    (c64,) = (row for row in forty if (row["config"], row["net"]) == ("ethos-u55-256", "c64"))
    found = npu_cycles(
        ethos_layer(c64), PARTS["ethos-u55-256"], block(c64["ifm_block"]), block(c64["ofm_block"])
    )
    assert (found.mac, found.blocks, found.output) == (4 * 4 * 8 * 9 * 2 * 2, 32, 8 * 16 * 16 // 4)
    assert found.command == (208 + 4608 + 512) // 4
    assert found.npu == 4608 * 32 + 1332 + (32 + 720) + (32 + 512) == 150_084


@pytest.mark.parametrize("config", sorted({row["config"] for row in U55_U65}))
def test_blocks_and_npu_cycles(config: str) -> None:
    part, table = PARTS[config], [row for row in U55_U65 if row["config"] == config]
    assert len(table) > 40
    for row in table:
        layer, blocks = ethos_layer(row), (block(row["ifm_block"]), block(row["ofm_block"]))
        assert choose_blocks(layer, part) == blocks, row
        assert npu_cycles(layer, part, *blocks).npu == int(row["npu_cycles"]), row


@pytest.mark.parametrize("row", U85, ids=name)
def test_mac_cycles_of_u85(row: Row) -> None:
    layer, part = ethos_layer(row), PARTS[row["config"]]
    found = npu_cycles(layer, part, block(row["ifm_block"]), block(row["ofm_block"]))
    assert found.mac == mac_cycles(layer, part, block(row["ifm_block"]), block(row["ofm_block"]))
    # Vela's column holds the output stage of the last block too
    assert floor(found.mac * found.blocks) + found.output == int(row["mac_cycles"])
    assert choose_blocks(layer, part) is None


def test_traversal() -> None:
    for row in VELA:
        layer = ethos_layer(row)
        if row["kind"] == "convolution":
            found = traversal_of(PARTS[row["config"]], layer.ifm[2], layer.kernel, layer.bits)
            assert found == layer.traversal, row


@pytest.mark.parametrize(
    "row", [row for row in U55_U65 if row["net"] in ("c64", "d5", "dw64", "fc")], ids=name
)
def test_a_layer_of_a_graph_is_scheduled_as_the_file_has_it(row: Row) -> None:
    part = PARTS[row["config"]]
    layer = layer_of(vela_work(row), part)
    blocks = choose_blocks(layer, part)
    assert blocks is not None
    assert npu_cycles(layer, part, *blocks).npu == int(row["npu_cycles"])


@pytest.mark.parametrize("config", PARTS)
def test_every_microblock_fills_the_array(config: str) -> None:
    part = PARTS[config]
    for unit in part.microblocks:
        assert prod(unit) * 8 * part.cores == part.macs_per_cycle
    assert part.depthwise is None or part.depthwise in part.microblocks
