from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from onnxlens.profile.flow import build_flow
from tests.profile.models import ledger_of, light_nets

NETS = sorted(path.stem for path in light_nets().glob("*.onnx"))


def net(name: str) -> Path:
    return light_nets() / f"{name}.onnx"


def resnet50_macs() -> int:
    """He et al. 2015, table 1, the stride in a block's 3 x 3 convolution."""
    macs = 112 * 112 * 64 * 3 * 49
    channels, size = 64, 56
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width, out = 64 << stage, 256 << stage
        for block in range(blocks):
            before, size = size, (size // 2 if stage and not block else size)
            macs += before**2 * channels * width  # 1 x 1, before the stride
            macs += size**2 * width * width * 9
            macs += size**2 * width * out
            if not block:
                macs += size**2 * channels * out  # the projection of the shortcut
            channels = out
    return macs + 2048 * 1000


def vgg19_macs() -> int:
    """Simonyan and Zisserman 2014, configuration E."""
    widths = [3] + 2 * [64] + 2 * [128] + 4 * [256] + 4 * [512] + 4 * [512]
    sizes = 2 * [224] + 2 * [112] + 4 * [56] + 4 * [28] + 4 * [14]
    convolutions = sum(
        size**2 * before * after * 9 for size, (before, after) in zip(sizes, pairwise(widths), strict=True)
    )
    return convolutions + 512 * 7 * 7 * 4096 + 4096 * 4096 + 4096 * 1000


def alexnet_macs() -> int:
    """Krizhevsky et al. 2012, in Caffe's form: layers 2, 4 and 5 in two groups; 224 x 224."""
    convolutions = (
        54**2 * 96 * (3 * 11 * 11),  # (224 - 11) // 4 + 1
        26**2 * 256 * (96 // 2 * 5 * 5),
        12**2 * 384 * (256 * 3 * 3),
        12**2 * 384 * (384 // 2 * 3 * 3),
        12**2 * 256 * (384 // 2 * 3 * 3),
    )
    return sum(convolutions) + 256 * 6 * 6 * 4096 + 4096 * 4096 + 4096 * 1000


def test_resnet50_has_the_macs_of_its_paper() -> None:
    assert resnet50_macs() == 4_089_184_256
    assert ledger_of(net("light_resnet50"))[1].totals.macs == resnet50_macs()


def test_vgg19_has_the_macs_of_its_paper() -> None:
    assert ledger_of(net("light_vgg19"))[1].totals.macs == vgg19_macs()


def test_alexnet_has_the_macs_of_its_paper() -> None:
    assert ledger_of(net("light_bvlc_alexnet"))[1].totals.macs == alexnet_macs()


def vgg19_params() -> Iterator[int]:
    widths = [3] + 2 * [64] + 2 * [128] + 4 * [256] + 8 * [512]
    yield from (before * after * 9 + after for before, after in pairwise(widths))
    yield from (25088 * 4096 + 4096, 4096 * 4096 + 4096, 4096 * 1000 + 1000)


def test_vgg19_has_its_params_though_every_weight_is_a_constant_of_shape() -> None:
    totals = ledger_of(net("light_vgg19"))[1].totals
    assert totals.params == sum(vgg19_params()) == 143_667_240
    assert totals.resident_weight_bytes == 4 * totals.params


def test_nine_nets_are_there() -> None:
    assert len(NETS) == 9


@pytest.mark.parametrize("name", NETS)
def test_every_node_of_a_published_net_is_counted_and_the_flow_holds_all_of_it(name: str) -> None:
    graph, ledger = ledger_of(net(name))
    assert ledger.attribution == "none"
    assert [node.reason for node in ledger.nodes if node.status == "unknown"] == []
    flow = build_flow(graph, ledger, depth=2)
    assert sum(node.macs for node in flow.nodes) == ledger.totals.macs > 10**8
