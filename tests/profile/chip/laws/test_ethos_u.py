"""Vela 5.2.0's cycles, to the cycle: from the blocks that it chose, and from those that are chosen here."""

from __future__ import annotations

from math import prod

import pytest

from onnxlens.profile.chip.chip_file import load_chip
from onnxlens.profile.chip.laws.ethos_u import mac_cycles, npu_cycles
from onnxlens.profile.chip.laws.ethos_u85_blocks import unit_of
from onnxlens.profile.chip.laws.ethos_u_blocks import choose_blocks
from onnxlens.profile.chip.laws.ethos_u_parts import PARTS, EthosLayer
from onnxlens.profile.chip.laws.vendor import ethos_u
from tests.profile.chip.laws.recorded import TRAVERSALS, TYPES, block, ethos_layer, rows, vela_work

VELA = rows("vela-5.2.0.csv")
NETWORKS = ("resnet8", "ds-cnn", "mobilenet-v1-025")
SINGLE = "c64 c16 rgb dw64 pw64 d5 k1co20 fc maxpool c64_16".split()


def test_the_forty_rows_of_single_layers_are_among_them() -> None:
    forty = [row for row in VELA if row["config"].startswith("ethos-u55") and row["net"] in SINGLE]
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


@pytest.mark.parametrize("config", PARTS)
def test_blocks_and_npu_cycles(config: str) -> None:
    """Of every row, but where U85 chains an addition to a convolution, which doubles its output stage."""
    part, table = PARTS[config], [row for row in VELA if row["config"] == config]
    assert len(table) > 110
    chained = 0
    for row in table:
        layer, blocks = ethos_layer(row), (block(row["ifm_block"]), block(row["ofm_block"]))
        if row["kind"] != "pooling":
            assert TRAVERSALS[row["traversal"]] == layer.traversal, row
        assert choose_blocks(layer, part) == blocks, row
        found = npu_cycles(layer, part, *blocks)
        # Vela's column holds the output stage of the last block too
        outputs = int(row["mac_cycles"]) - int(found.mac * found.blocks)
        if outputs != int(found.output) and row["net"] == "resnet8":
            chained += 1
            assert outputs == 2 * found.output, row
            continue
        assert found.mac == mac_cycles(layer, part, *blocks)
        assert found.npu == int(row["npu_cycles"]) or layer.ifm[2] == 1 == prod(layer.kernel), row
    assert chained == (3 if part.rams is not None else 0)


@pytest.mark.parametrize("config", PARTS)
def test_the_law_says_what_vela_says_of_single_layers(config: str) -> None:
    chip, single = load_chip(config), [row for row in VELA if row["config"] == config]
    single = [row for row in single if row["net"] not in NETWORKS and row["kind"] != "pooling"]
    found = [(row, ethos_u(vela_work(row), chip, TYPES[row["bits"]])) for row in single]
    assert [row for row, cycles in found if cycles not in (None, int(row["npu_cycles"]))] == []
    silent = [row["input"] for row, cycles in found if cycles is None]
    # the weights of a single term may be stored in either form
    assert silent == (["1x1x1"] if PARTS[config].rams is not None else [])


def test_a_unit_of_u85_worked_out_by_hand() -> None:
    """1x1, 64 to 128 channels at 32 x 32 on 512 MACs, blocks of 2 x 32 x 64."""
    part = PARTS["ethos-u85-512"]
    layer = EthosLayer("depth-first", (32, 32, 64), (32, 32, 128), (1, 1))
    # 2x2x16 and 1x4x16 both divide the OFM: the first. Two inputs of 2 x 32 x 64 bytes fill 8 of 16 KB,
    # and two accumulators of 2 x 32 x 64 x 4 bytes all of 32 KB
    assert unit_of(layer, part) == (2, 2, 16)
    assert choose_blocks(layer, part) == ((2, 32, 64), (2, 32, 64))
    # 16 microblocks of 64 / 8 steps, 4 in depth; an eighth of a cycle per output; 2 x 16 blocks
    found = npu_cycles(layer, part, (2, 32, 64), (2, 32, 64))
    assert (found.mac, found.output, found.blocks) == (16 * 8 * 4, 2 * 32 * 64 / 8, 32)
    # runs of 64 bytes are read at 32 a cycle; of 16 bytes bursts of 64 are written
    read, write = 32 + 4096 // 32, 32 + 4096 * 4 // 32
    assert found.command == (write - read + 512 + 512) / 4
    assert found.npu == 512 * 32 + 512 + read + write == 17_600


@pytest.mark.parametrize("config", PARTS)
def test_every_microblock_fills_the_array(config: str) -> None:
    part = PARTS[config]
    for unit in part.microblocks:
        assert prod(unit) * 8 * part.cores == part.macs_per_cycle
    assert part.depthwise is None or part.depthwise in part.microblocks
