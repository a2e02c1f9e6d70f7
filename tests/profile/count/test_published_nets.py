from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.profile.count.published_macs import PUBLISHED_MACS
from tests.profile.flow.flows import flow_at
from tests.profile.models import ledger_of, light_nets

NETS = sorted(path.stem for path in light_nets().glob("*.onnx"))


def net(name: str) -> Path:
    return light_nets() / f"{name}.onnx"


@pytest.mark.parametrize("name", NETS)
def test_a_published_net_has_the_macs_of_its_paper(name: str) -> None:
    assert ledger_of(net(name))[1].totals.macs == PUBLISHED_MACS[name]()


@pytest.mark.parametrize(
    ("name", "billions"),
    [("densenet121", 2.834), ("resnet50", 4.089), ("squeezenet", 0.349), ("vgg19", 19.632)],
)
def test_four_of_them_have_the_figure_that_torchvision_prints(name: str, billions: float) -> None:
    """In its list of weights, under GFLOPS: multiply-accumulates of the networks that the files keep."""
    assert round(PUBLISHED_MACS[f"light_{name}"]() / 10**9, 3) == billions


def vgg19_params() -> Iterator[int]:
    widths = [3] + 2 * [64] + 2 * [128] + 4 * [256] + 8 * [512]
    yield from (before * after * 9 + after for before, after in pairwise(widths))
    yield from (25088 * 4096 + 4096, 4096 * 4096 + 4096, 4096 * 1000 + 1000)


def test_vgg19_has_its_params_though_every_weight_is_a_constant_of_shape() -> None:
    totals = ledger_of(net("light_vgg19"))[1].totals
    assert totals.params == sum(vgg19_params()) == 143_667_240
    assert totals.resident_weight_bytes == 4 * totals.params


def test_nine_published_nets_are_tested() -> None:
    assert set(NETS) == set(PUBLISHED_MACS)
    assert len(NETS) == 9


@pytest.mark.parametrize("name", NETS)
def test_every_node_of_a_published_net_is_counted_and_the_flow_holds_all_of_it(name: str) -> None:
    graph, ledger = ledger_of(net(name))
    assert ledger.attribution == "weights"
    assert [node.reason for node in ledger.nodes if node.status == "unknown"] == []
    flow = flow_at(graph, ledger, depth=2)
    assert sum(node.macs for node in flow.nodes) == ledger.totals.macs > 10**8
